"""Grants as bindings: a role, a member, the resource it opens, and a condition.

Owns how the declared types of grants name their resources. Does not own what a role gives (tables.py).
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.declared import Declared
from local.iam import conditions
from local.iam.tables import roles

EVERYBODY = ("allUsers", "allAuthenticatedUsers")

# The resource that each type of grant opens, by the name that conditions see.
OPENED = {
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": (
        "projects/{project}/locations/{location}/repositories/{repository}"
    ),
    "gcp:bigquery/datasetIamMember:DatasetIamMember": "projects/{project}/datasets/{datasetId}",
    "gcp:bigquery/iamMember:IamMember": "projects/{project}/datasets/{datasetId}/tables/{tableId}",
    "gcp:cloudrunv2/jobIamMember:JobIamMember": "projects/{project}/locations/{location}/jobs/{name}",
    "gcp:projects/iAMMember:IAMMember": "projects/{project}",
    "gcp:secretmanager/secretIamMember:SecretIamMember": "projects/{project}/secrets/{secretId}",
    "gcp:serviceaccount/iAMMember:IAMMember": "{serviceAccountId}",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "projects/_/buckets/{bucket}",
}


@dataclass(frozen=True)
class Binding:
    """One role of one member on one resource and everything below it."""

    role: str
    member: str  # serviceAccount:E-MAIL, user:E-MAIL, allUsers ...
    resource: str
    condition: str = ""

    def gives(self, email: str, permission: str, resource: str, places: Iterable[str]) -> bool:
        """Whether it lets an account do something.

        Args:
            resource: on what.
            places: the resource and everything above it.
        """
        role = roles().get(self.role)
        return (
            role is not None
            and permission in role.permissions
            and self.resource in places
            and (self.member in EVERYBODY or self.member.partition(":")[2] == email)
            and (not self.condition or conditions.holds(self.condition, resource))
        )


def of_policy(policy: Iterable[Mapping[str, Any]], resource: str) -> list[Binding]:
    """The bindings of a policy as the APIs write it."""
    return [
        Binding(binding["role"], member, resource, (binding.get("condition") or {}).get("expression", ""))
        for binding in policy
        for member in binding.get("members", [])
    ]


class DeclaredBindings:
    """What the program granted; read again whenever a declaration changed, in this process or another."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._lock = threading.Lock()
        self._version: Any = None
        self._found: list[Binding] = []

    def all(self) -> list[Binding]:
        """Every declared grant."""
        with self._lock:
            version = self._declared.version()
            if version != self._version:
                self._found, self._version = list(self._read()), version
            return self._found

    def _read(self) -> Iterable[Binding]:
        for token, template in OPENED.items():
            for row in self._declared.of_type(token):
                facts = {key: str(value) for key, value in row.properties.items()}
                condition = row.properties.get("condition") or {}
                yield Binding(
                    facts["role"], facts["member"], template.format_map(facts), str(condition.get("expression", ""))
                )


Source = Callable[[str], list[Binding]]
"""Bindings kept elsewhere, such as in the policy of a bucket, that reach a resource."""
