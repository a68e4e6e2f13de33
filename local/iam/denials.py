"""Refusals in the words of the service that refuses. Its texts were collected from logs and issues, 2026-11-22."""

import re
from typing import Any

from local.wire import CloudError

MAYBE = "(or it may not exist)"


class Denied(CloudError):
    """403 of the services whose errors say which permission is missing on what, in `details`."""

    def __init__(self, permission: str, resource: str) -> None:
        super().__init__(
            403, "forbidden", f"Permission '{permission}' denied on resource '{resource}' (or resource may not exist)."
        )
        self._facts = {"permission": permission, "resource": resource}

    def body(self) -> dict[str, Any]:
        """As others, with google.rpc.ErrorInfo."""
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        info = {
            "@type": kind,
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "iam.googleapis.com",
            "metadata": self._facts,
        }
        body = super().body()
        body["error"]["details"] = [info]
        return body


def denial(method: str, caller: str, permission: str, resource: str) -> CloudError:
    """The error with which a method refuses a caller."""
    service = method.partition(".")[0]
    if service == "storage":
        return CloudError(403, "forbidden", of_storage(caller, permission, resource))
    if service == "bigquery":
        return CloudError(403, "accessDenied", of_bigquery(permission, resource))
    return Denied(permission, resource)


def of_storage(caller: str, permission: str, resource: str) -> str:
    """What Cloud Storage says."""
    kind = "object" if "/objects/" in resource else "bucket" if "/buckets/" in resource else "project"
    text = f"{caller} does not have {permission} access to the Google Cloud Storage {kind}."
    if kind == "project":
        text = f"{caller} does not have {permission} access to the Google Cloud project."
    return f"{text} Permission '{permission}' denied on resource {MAYBE}."


def of_bigquery(permission: str, resource: str) -> str:
    """What BigQuery says of a table, a dataset or a project."""
    match = re.fullmatch(r"projects/([^/]+)(?:/datasets/([^/]+)(?:/tables/(.+))?)?", resource)
    project, dataset, table = match.groups() if match else (resource, None, None)
    if table:
        name = f"{project}:{dataset}.{table}"
        return f"Access Denied: Table {name}: Permission {permission} denied on table {name} {MAYBE}."
    if dataset:
        name = f"{project}:{dataset}"
        return f"Access Denied: Dataset {name}: Permission {permission} denied on dataset {name} {MAYBE}."
    return f"Access Denied: Project {project}: User does not have {permission} permission in project {project}."


def of_query(name: str) -> str:
    """What BigQuery says of a table that a query reads; it names neither the account nor the permission."""
    told = f"User does not have permission to query table {name}, or perhaps it does not exist."
    return f"Access Denied: Table {name}: {told}"


def of_file(caller: str, permission: str, resource: str, uri: str, doing: str) -> str:
    """What BigQuery says when a job may not read or write an object as the account that made it."""
    told = of_storage(caller, permission, resource)
    hint = (
        f"Please make sure {uri} is accessible via appropriate IAM roles, e.g. Storage Object Viewer or Storage Object"
    )
    return f"Access Denied: BigQuery BigQuery: Permission denied while {doing}. {told} {hint} Creator."
