"""What a job may do while it runs: asked of the local cloud's IAM in the name of the account that made the job.

Owns which statement needs what (by local/iam/methods.toml) and BigQuery's words for a refusal. Does not own grants.
"""

from collections.abc import Callable
from typing import Any, Protocol

from local.iam import denials
from local.iam.tables import methods
from local.wire import CloudError


class Authority(Protocol):
    """The part of local/iam/authority.py that is asked here."""

    def allows(self, caller: str, permission: str, resource: str) -> bool:
        """Whether a caller has a permission on a resource."""

    def denied(self, caller: str, permission: str, resource: str) -> None:
        """Tell that a caller does not have it."""


class Named(Protocol):
    """A table by its names; catalog.Ref is one."""

    @property
    def project(self) -> str:
        """The project."""

    @property
    def dataset(self) -> str:
        """The dataset."""

    @property
    def table(self) -> str:
        """The table."""


Say = Callable[[str, str], str]


class Access:
    """What one account may do.

    Args:
        authority: None when there is nobody to ask, as in work that no request began.
    """

    def __init__(self, authority: Authority | None = None, caller: str = "") -> None:
        self._authority, self._caller = authority, caller

    def read(self, ref: Named) -> None:
        """A query reads a table, or a view, which counts like one.

        Raises:
            CloudError: 403, before anybody learns whether the table exists.
        """
        name = f"{ref.project}:{ref.dataset}.{ref.table}"
        self._need("read", _places(ref), lambda *_: denials.of_query(name))

    def may(self, action: str, ref: Named) -> None:
        """Do something else with a table: append, create, copy, INSERT ...

        Raises:
            CloudError: 403.
        """
        self._need(action, _places(ref), denials.of_bigquery)

    def may_in_dataset(self, action: str, project: str, dataset: str) -> None:
        """Do something with a dataset.

        Raises:
            CloudError: 403.
        """
        self._need(action, _dataset(project, dataset), denials.of_bigquery)

    def file(self, action: str, bucket: str, name: str, uri: str, doing: str) -> None:
        """Read or write objects, as Cloud Storage would let the account itself.

        Args:
            uri: as the job names them.
            doing: what the job was doing, in BigQuery's words.

        Raises:
            CloudError: 403.
        """
        place = f"projects/_/buckets/{bucket}"

        def say(permission: str, resource: str) -> str:
            return denials.of_file(self._caller, permission, resource, uri, doing)

        self._need(action, {"bucket": place, "object": f"{place}/objects/{name}"}, say)

    def _need(self, action: str, places: dict[str, str], say: Say) -> None:
        if self._authority is None:
            return
        for need in methods()[f"bigquery.job.{action}"]:
            resource = places[need.on]
            if not self._authority.allows(self._caller, need.permission, resource):
                self._authority.denied(self._caller, need.permission, resource)
                raise CloudError(403, "accessDenied", say(need.permission, resource))


def bindings_of_dataset(access: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A dataset's `access` as the bindings of a policy; entries for views and special groups name no account."""
    roles = {
        "READER": "roles/bigquery.dataViewer",
        "WRITER": "roles/bigquery.dataEditor",
        "OWNER": "roles/bigquery.dataOwner",
    }
    found = []
    for entry in access:
        role = str(entry.get("role", ""))
        member = entry.get("iamMember") or (f"user:{entry['userByEmail']}" if entry.get("userByEmail") else "")
        if role and member:
            found.append({"role": roles.get(role, role), "members": [member]})
    return found


def _places(ref: Named) -> dict[str, str]:
    return {
        **_dataset(ref.project, ref.dataset),
        "table": f"projects/{ref.project}/datasets/{ref.dataset}/tables/{ref.table}",
    }


def _dataset(project: str, dataset: str) -> dict[str, str]:
    return {"project": f"projects/{project}", "dataset": f"projects/{project}/datasets/{dataset}"}
