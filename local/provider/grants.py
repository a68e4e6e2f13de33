"""Grants of one role to one member on one resource: the types ending in IAMMember.

Checks that resource and member exist, as the platform does, and that local/iam/ knows the role and understands the
condition. Does not decide who may do what.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.declared import Declared
from local.iam import conditions
from local.iam.tables import roles, unknown_role
from local.provider.declared_kind import Account, DeclaredKind
from local.provider.image_kind import Repository
from local.provider.kind import Scope, State, filled
from local.provider.rest import Rest
from local.provider.schemas import Fault
from local.provider.values import UNKNOWN, Properties
from local.wire import CloudError

# https://cloud.google.com/iam/docs/principal-identifiers
MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers"
    r"|(deleted:)?(user|group|serviceAccount):[^@\s:]+@[^@\s:?]+(\?uid=\d+)?"
    r"|serviceAccount:[^@\s:]+\.svc\.id\.goog\[[^\]\s]+\]"
    r"|domain:[a-z0-9-]+(\.[a-z0-9-]+)+"
    r"|(principal|principalSet)://\S+"
    r"|project(Owner|Editor|Viewer):[a-z][a-z0-9-]+"
)
ON_A_PROJECT = "gcp:projects/iAMMember:IAMMember"
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
ROLE = re.compile(r"(projects/[^/]+/|organizations/\d+/)?roles/[\w.]+")


@dataclass(frozen=True)
class Target:
    """What a type of grant opens: its name, and where to ask whether it exists.

    Attributes:
        method: path of the REST method that gets it, or
        declared: type token under which it is declared, its name being the id there.
    """

    name: str
    method: str = ""
    declared: str = ""


TARGETS = {
    "gcp:storage/bucketIAMMember:BucketIAMMember": Target("b/{bucket}", "/storage/v1/b/{bucket}"),
    "gcp:bigquery/datasetIamMember:DatasetIamMember": Target(
        "projects/{project}/datasets/{datasetId}", "/bigquery/v2/projects/{project}/datasets/{datasetId}"
    ),
    "gcp:bigquery/iamMember:IamMember": Target(
        "projects/{project}/datasets/{datasetId}/tables/{tableId}",
        "/bigquery/v2/projects/{project}/datasets/{datasetId}/tables/{tableId}",
    ),
    "gcp:cloudrunv2/jobIamMember:JobIamMember": Target(
        "projects/{project}/locations/{location}/jobs/{name}", "/v2/projects/{project}/locations/{location}/jobs/{name}"
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": Target(
        "projects/{project}/locations/{location}/repositories/{repository}", declared=Repository.type
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": Target("{serviceAccountId}", declared=Account.type),
    "gcp:projects/iAMMember:IAMMember": Target("{project}"),
    # Secrets are nobody's to declare here, so whether one exists is not known.
    "gcp:secretmanager/secretIamMember:SecretIamMember": Target("projects/{project}/secrets/{secretId}"),
}


class Grant(DeclaredKind):
    """One type of grant; every property is part of its identity, so every change replaces it."""

    repeatable = True
    computed = {"etag": "local"}  # noqa: RUF012 (never changed)

    def __init__(self, declared: Declared, rest: Rest, token: str) -> None:
        super().__init__(declared)
        self.rest, self.type, self.target = rest, token, TARGETS[token]
        self.keys = tuple(re.findall(r"\{(\w+)\}", self.target.name))
        self.id = self.target.name + "/{role}/{member}"
        self.placed = "location" if "location" in self.keys else ""

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """A job's name may be left out in the SDK, where it means nothing; roles and members have a form."""
        if "name" in self.keys and "name" not in inputs:
            yield Fault("name", "The required property 'name' is missing: the job whose grant this is.")
        for name, pattern, example in (
            ("role", ROLE, "roles/run.viewer"),
            ("member", MEMBER, "serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"),
        ):
            value = inputs.get(name)
            if value is not None and value is not UNKNOWN and not pattern.fullmatch(str(value)):
                yield Fault(name, f"{value!r} is no {name}. One looks like {example!r}.")
        yield from self._role_faults(inputs.get("role"))
        yield from _condition_faults(inputs.get("condition"))

    def _role_faults(self, role: Any) -> Iterator[Fault]:
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            return
        known = roles().get(role)
        if role in BASIC_ROLES:  # a preview takes them, for the policy pack to refuse; `up` does not
            return
        if known is None:
            yield Fault("role", unknown_role(role))
        elif known.project_only and self.type != ON_A_PROJECT:
            yield Fault("role", f"Role {role!r} exists on projects only ({known.source}), not on {self.target.name!r}.")

    def create(self, inputs: Properties, scope: Scope) -> State:
        """As others; a condition is part of the id, because it makes another grant."""
        state = super().create(inputs, scope)
        condition = inputs.get("condition")
        return State(f"{state.id}/{condition['title']}", state.outputs) if condition else state

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """A grant ends with the resource it opens."""
        found = super().read(id, inputs, outputs, scope)
        return found if found and self._exists(found[1].outputs) else None

    def refuse_reference(self, facts: Properties, id: str, scope: Scope) -> None:
        """Resource and member must exist, and the role must be one of which is known what it allows."""
        if facts["role"] in BASIC_ROLES:
            raise CloudError(501, "notImplemented", unknown_role(str(facts["role"])))
        if not self._exists(facts):
            raise CloudError(404, "notFound", f"{filled(self.target.name, facts)!r} does not exist, so no role on it.")
        kind, _, email = str(facts["member"]).partition(":")
        if kind == "serviceAccount":
            refuse_missing_account(self.declared, email, scope.project)

    def _exists(self, facts: Mapping[str, Any]) -> bool:
        name = filled(self.target.name, facts)
        if self.target.declared:
            return self.declared.get(self.target.declared, name) is not None
        return not self.target.method or self.rest.find(filled(self.target.method, facts)) is not None


def _condition_faults(condition: Any) -> Iterator[Fault]:
    """A condition that cannot be evaluated here would make every rehearsal of it worthless."""
    expression = condition.get("expression") if isinstance(condition, Mapping) else None
    if isinstance(expression, str):
        try:
            conditions.compiled(expression)
        except conditions.Refused as refused:
            understood = "resource.name, .type and .service with startsWith and endsWith, request.time with timestamp()"
            yield Fault("condition.expression", f"{refused}. The local cloud understands {understood}, &&, || and !.")


def refuse_missing_account(declared: Declared, email: str, project: str) -> None:
    """Refuse a service account of the project that was never declared; of other projects nothing is known.

    Raises:
        CloudError: 400, as IAM answers.
    """
    ours = email.endswith(f"@{project}.iam.gserviceaccount.com")
    if ours and not declared.get(Account.type, f"projects/{project}/serviceAccounts/{email}"):
        raise CloudError(400, "invalid", f"Service account {email!r} does not exist.")
