"""All resource types and functions that the provider answers."""

from collections.abc import Callable, Mapping
from typing import Any

from local.declared import Declared
from local.metadata import project_number
from local.provider import schemas
from local.provider.bucket_kind import Bucket
from local.provider.composer import Environment
from local.provider.declared_kind import Account, Service
from local.provider.grants import TARGETS, Grant
from local.provider.image_kind import Image, Repository
from local.provider.job_kind import Job
from local.provider.kind import Kind, Scope
from local.provider.monitoring_kinds import AlertPolicy, LogMetric, NotificationChannel
from local.provider.object_kind import BucketObject
from local.provider.previewed_kind import TOKENS, Previewed
from local.provider.rest import Rest
from local.provider.values import Properties
from local.provider.warehouse_kinds import Dataset, Table
from local.runtime import Runtime
from local.wire import CloudError

Function = Callable[[Mapping[str, Any], Scope], Properties]


class Catalog:
    """Finds a resource type or a function by its token."""

    def __init__(self, declared: Declared, rest: Rest, runtime: Runtime, issue_token: Callable[[], str]) -> None:
        kinds: list[Kind] = [
            *(kind(declared) for kind in (Service, Account, LogMetric, AlertPolicy, NotificationChannel)),
            *(kind(declared, rest) for kind in (Bucket, BucketObject, Dataset, Table, Job, Environment)),
            *(Grant(declared, rest, token) for token in TARGETS),
            *(kind(declared, runtime) for kind in (Repository, Image)),
            *(Previewed(declared, token) for token in TOKENS),
        ]
        self._kinds = {kind.type: kind for kind in kinds}
        self._issue_token = issue_token
        self._functions: dict[str, Function] = {
            "gcp:organizations/getClientConfig:getClientConfig": self._client_config,
            "gcp:organizations/getProject:getProject": self._project,
        }

    def kind(self, token: str) -> Kind:
        """The resource type.

        Raises:
            CloudError: there is none, or only on the real platform.
        """
        if token in self._kinds:
            return self._kinds[token]
        if schemas.exists(token):
            has = ", ".join(sorted(self._kinds))
            raise CloudError(501, "notImplemented", f"The local cloud does not offer {token!r}. It offers: {has}.")
        raise CloudError(400, "invalid", f"{token!r} is no resource type of the installed SDKs.")

    def function(self, token: str) -> Function:
        """The function.

        Raises:
            CloudError: the local cloud does not have it.
        """
        if token in self._functions:
            return self._functions[token]
        has = ", ".join(sorted(self._functions))
        raise CloudError(501, "notImplemented", f"The local cloud does not offer function {token!r}. It offers: {has}.")

    def _client_config(self, arguments: Mapping[str, Any], scope: Scope) -> Properties:
        where = f"projects/{scope.project}/regions/{scope.region}/zones/{scope.zone}"
        return {
            "id": where,
            "project": scope.project,
            "region": scope.region,
            "zone": scope.zone,
            "accessToken": self._issue_token(),
            "defaultLabels": dict(scope.labels),
        }

    def _project(self, arguments: Mapping[str, Any], scope: Scope) -> Properties:
        project = str(arguments.get("projectId") or scope.project)
        number = str(project_number(project))
        return {"id": f"projects/{project}", "projectId": project, "name": project, "number": number}
