"""Stands before every method of the local cloud: looks up what the call needs and refuses who does not have it.

Also answers testIamPermissions. Does not own what a BigQuery job needs while it runs (local/warehouse/access.py).
"""

from http import HTTPStatus
from typing import Any

from local.iam.authority import Authority
from local.iam.denials import denial
from local.iam.resources import Resources, bucket_name, named
from local.iam.tables import methods, roles, unknown_role
from local.metadata import OWNER
from local.storage import Storage, xml_copies
from local.warehouse import Warehouse
from local.wire import Answer, Call, CloudError, Method

PARTS = {"POST": "complete", "PUT": "create", "GET": "listParts", "HEAD": "listParts", "DELETE": "abort"}


class Gate:
    """Decides on calls of methods.

    Args:
        authority: knows the grants; is told here where buckets, tables and datasets keep theirs.
    """

    def __init__(self, authority: Authority, storage: Storage, warehouse: Warehouse) -> None:
        self._authority, self._resources = authority, Resources(storage, warehouse)
        authority.also_ask(storage.bindings_on, storage.project_of)
        authority.also_ask(warehouse.bindings_on)

    def run(self, method: Method, call: Call) -> Answer:
        """Check a call, then let the method answer; a denial reads as the method shows it."""
        try:
            return (None if method.open else self.check(method, call)) or method.handler(call)
        except CloudError as error:
            if method.shown and error.status == HTTPStatus.FORBIDDEN:
                return method.shown(error)
            raise

    def check(self, method: Method, call: Call) -> Answer | None:
        """Let a call pass; an answer is given instead of the method's.

        Raises:
            CloudError: 403 for a caller without a permission, 501 for a method of which nothing is known.
        """
        if method.name.endswith(".setIamPolicy"):
            _refuse_unknown_roles(call.json())
        if call.caller == OWNER or method.own:
            return None
        if method.name.endswith(".testIamPermissions"):
            return self._tested(call)
        needs = methods().get(_refined(method.name, call))
        if needs is None:
            raise CloudError(
                501, "notImplemented", f"Nothing is known of what {method.name!r} needs: local/iam/methods.toml"
            )
        for need in needs:
            for resource in self._resources.of(need.on, call):
                if not self._authority.allows(call.caller, need.permission, resource):
                    self._authority.denied(call.caller, need.permission, resource)
                    raise denial(method.name, call.caller, need.permission, resource)
        return None

    def _tested(self, call: Call) -> Answer:
        if "bucket" in call.params:
            resource, kind = bucket_name(call.params["bucket"]), {"kind": "storage#testIamPermissionsResponse"}
            asked = [value for name, value in call.query_pairs if name == "permissions"]
        else:
            resource, kind = named(call, "project", "dataset", "table"), {}
            asked = call.json().get("permissions", [])
        held = [permission for permission in asked if self._authority.allows(call.caller, permission, resource)]
        return Answer(body={**kind, **({"permissions": held} if held else {})})


def _refined(name: str, call: Call) -> str:
    """The name of a method, or of the part of it that a request asks for."""
    if name == "run.jobs.run" and call.json().get("overrides"):
        return f"{name} with overrides"
    if name.startswith("storage.objects.") and "upload_id" in call.query:
        return "storage.objects.insert, continued"
    if name == "storage.objects.insert" and xml_copies.SOURCE in call.headers:
        return "storage.objects.insert, copied"
    if name == "storage.objects.insert" and "uploads" in call.query:
        return "storage.multipartUploads.create"
    if name.startswith("storage.objects.") and "uploadId" in call.query:
        return f"storage.multipartUploads.{PARTS[call.verb]}"
    return name


def _refuse_unknown_roles(body: dict[str, Any]) -> None:
    policy = body.get("policy", body)
    for role in (binding.get("role") for binding in policy.get("bindings", [])):
        if role not in roles():
            raise CloudError(501, "notImplemented", unknown_role(str(role)))
