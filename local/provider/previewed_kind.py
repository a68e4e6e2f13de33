"""Types that a preview takes and `up` refuses: the policy pack exists to find them, and asks during a preview.

Without them a preview would end at the provider's refusal, before any policy was asked. Nothing of them is made here.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from local.declared import Declared
from local.provider.kind import Kind, Scope, State
from local.provider.values import Properties
from local.wire import CloudError

# Grants that evict what others granted, on each resource that has grants here, and keys.
TOKENS = (
    "gcp:serviceaccount/key:Key",
    *(
        f"gcp:{module}/{name[0].lower()}{name[1:]}{kind}:{name}{kind}"
        for module, name in (
            ("artifactregistry", "RepositoryIam"), ("bigquery", "DatasetIam"), ("bigquery", "Iam"),
            ("cloudrunv2", "JobIam"), ("projects", "IAM"), ("secretmanager", "SecretIam"),
            ("serviceaccount", "IAM"), ("storage", "BucketIAM"),
        )
        for kind in ("Binding", "Policy")
    ),
)  # fmt: skip


class Previewed(Kind):
    """A type that is checked and planned like others, and never made."""

    def __init__(self, declared: Declared, token: str) -> None:
        super().__init__(declared)
        self.type = token

    def create(self, inputs: Properties, scope: Scope) -> State:
        """Refused."""
        self._refuse()

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """Refused."""
        self._refuse()

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Refused."""
        self._refuse()

    def delete(self, id: str, outputs: Mapping[str, Any], scope: Scope) -> None:
        """Refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        text = f"The local cloud makes no {self.type!r}. The policy pack says what to use: infra/policy/rules.py."
        raise CloudError(501, "notImplemented", text)
