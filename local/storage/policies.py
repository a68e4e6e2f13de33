"""IAM policies of buckets: kept, versioned by an ETag, and answered. Does not own who may do what (local/iam/)."""

from dataclasses import replace
from typing import Any

from local.storage.catalog import Catalog
from local.storage.conditions import not_met
from local.storage.records import Bucket, rfc3339
from local.storage.resources import tag_of
from local.storage.routes import invalid, number, row
from local.wire import Answer, Call, CloudError, Method

EVERYBODY = ("allUsers", "allAuthenticatedUsers")
PREVENTED = f"The member bindings {' and '.join(EVERYBODY)} are not allowed since public access prevention is enforced."
WITH_CONDITIONS = 3  # the policy version that may hold conditional bindings


class Policies:
    """The methods of a bucket's IAM policy."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def methods(self) -> list[Method]:
        """The table of methods."""
        path = "/storage/v1/b/{bucket}/iam"
        return [
            row("storage.buckets.getIamPolicy", "GET", path, self._get, "optionsRequestedPolicyVersion"),
            row("storage.buckets.setIamPolicy", "PUT", path, self._set),
            row("storage.buckets.testIamPermissions", "GET", path + "/testPermissions", self._test, "permissions"),
        ]

    def _get(self, call: Call) -> Answer:
        with self._catalog.reading() as rows:
            bucket = rows.bucket(call.params["bucket"])
        requested = number(call.query, "optionsRequestedPolicyVersion") or 1
        if _has_conditions(bucket.bindings) and requested < WITH_CONDITIONS:
            raise invalid("The policy has conditional bindings: request version 3 of it")
        return Answer(body=_policy(bucket))

    def _set(self, call: Call) -> Answer:
        given = call.json()
        bindings = given.get("bindings", [])
        if not all(isinstance(b.get("role"), str) and isinstance(b.get("members"), list) for b in bindings):
            raise invalid("Invalid policy: each binding needs a role and a list of members")
        if _has_conditions(bindings) and given.get("version") != WITH_CONDITIONS:
            raise invalid("A policy with conditional bindings must say version 3")
        with self._catalog.changing() as rows:
            bucket = rows.bucket(call.params["bucket"])
            if given.get("etag") not in (None, "", tag_of(bucket)):
                raise not_met()
            if bucket.fields["iamConfiguration"]["publicAccessPrevention"] == "enforced" and _is_public(bindings):
                raise CloudError(412, "conditionNotMet", PREVENTED)
            version = bucket.metageneration + 1
            bucket = replace(bucket, bindings=bindings, metageneration=version, updated=rfc3339())
            rows.save_bucket(bucket)
        return Answer(body=_policy(bucket))

    def _test(self, call: Call) -> Answer:
        """For the owner, who may do everything; others are answered by local/iam/gate.py."""
        with self._catalog.reading() as rows:
            rows.bucket(call.params["bucket"])
        asked = [value for name, value in call.query_pairs if name == "permissions"]
        return Answer(body={"kind": "storage#testIamPermissionsResponse", "permissions": asked})


def _policy(bucket: Bucket) -> dict[str, Any]:
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket.name}",
        "version": WITH_CONDITIONS if _has_conditions(bucket.bindings) else 1,
        "etag": tag_of(bucket),
        "bindings": bucket.bindings,
    }


def _is_public(bindings: list[dict[str, Any]]) -> bool:
    return any(member in EVERYBODY for binding in bindings for member in binding["members"])


def _has_conditions(bindings: list[dict[str, Any]]) -> bool:
    return any("condition" in binding for binding in bindings)
