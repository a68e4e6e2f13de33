"""Resource types of which the local cloud only keeps what was declared; other parts read it there."""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from local.declared import Declared, Resource
from local.provider import schemas
from local.provider.kind import Kind, Scope, State, filled
from local.provider.values import MASK, Properties, masked
from local.wire import CloudError

Computed = str | Callable[[], Any]


class DeclaredKind(Kind):
    """A type that is a row in the table of declared resources.

    Attributes:
        id: template of the provider's id.
        computed: outputs beside the inputs; templates, or functions called once, when the resource is made.
        repeatable: whether declaring the same twice is no conflict.
    """

    id: str
    computed: Mapping[str, Computed] = {}
    repeatable: bool = False

    def create(self, inputs: Properties, scope: Scope) -> State:
        """Check what the resource refers to, and add the row."""
        facts = self.complete(inputs, scope)
        id = filled(self.id, facts)
        self.refuse_reference(facts, id, scope)
        if not self.repeatable and self.declared.get(self.type, id):
            raise CloudError(409, "alreadyExists", f"{self.type.rpartition(':')[2]} {id!r} already exists.")
        return State(id, self._outputs(facts, {}))

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """What was declared; where the row differs from the state, the row counts. Secrets it does not have."""
        row = self.declared.get(self.type, id)
        if row is None:
            return None
        if not outputs:  # an import, which takes everything that could have been given
            inputs = {name: row.properties[name] for name in schemas.inputs(self.type) if name in row.properties}
        kept = {name: value for name, value in row.properties.items() if MASK not in json.dumps(value)}
        changed = {name: value for name, value in kept.items() if masked(outputs.get(name)) != value}
        observed = {name: changed.get(name, value) for name, value in inputs.items()}
        return observed, State(id, {**outputs, **changed})

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Replace the row."""
        facts = self.complete(inputs, scope)
        self.refuse_reference(facts, id, scope)
        return self._outputs(facts, outputs)

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the row, which the caller does for every type."""

    def refuse_reference(self, facts: Properties, id: str, scope: Scope) -> None:
        """Refuse a resource that refers to something that does not exist.

        Raises:
            CloudError: as the platform answers.
        """

    def _outputs(self, facts: Properties, before: Properties) -> Properties:
        made = {}
        for name, value in self.computed.items():
            if isinstance(value, str):
                made[name] = filled(value, facts)
            else:
                made[name] = value() if name not in before or name in self.remade else before[name]
        return {**facts, **made}


class Service(DeclaredKind):
    """An API that is switched on."""

    type = "gcp:projects/service:Service"
    id = "{project}/{service}"
    repeatable = True


class Account(DeclaredKind):
    """A service account; a new one of an old name is a new identity, as on the platform."""

    type = "gcp:serviceaccount/account:Account"
    email = "{accountId}@{project}.iam.gserviceaccount.com"
    id = f"projects/{{project}}/serviceAccounts/{email}"
    named = "accountId"

    def __init__(self, declared: Declared) -> None:
        super().__init__(declared)
        unique = lambda: str(secrets.randbelow(9 * 10**20) + 10**20)  # noqa: E731 (21 digits, as the platform gives)
        member = f"serviceAccount:{self.email}"
        self.computed = {"email": self.email, "member": member, "name": self.id, "uniqueId": unique}

    def create(self, inputs: Properties, scope: Scope) -> State:
        """As others, but an account that is there is no conflict where the program says so."""
        existing = self._existing(inputs, scope) if inputs.get("createIgnoreAlreadyExists") else None
        return State(existing.id, {**existing.properties, **inputs}) if existing else super().create(inputs, scope)

    def _existing(self, inputs: Properties, scope: Scope) -> Resource | None:
        return self.declared.get(self.type, filled(self.id, self.complete(inputs, scope)))


def now() -> str:
    """The time as the platform writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
