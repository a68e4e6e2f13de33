"""Buckets: their resource, and the methods that create, change, list and delete them.

Lifecycle, CORS, logging and website rules are kept and answered, never run. Does not own IAM policies (policies.py).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from local import labels
from local.places import BUCKETS
from local.storage import lifecycle
from local.storage.catalog import Catalog
from local.storage.conditions import check
from local.storage.records import Bucket, rfc3339
from local.storage.resources import CLASSES, merge, tag_of
from local.storage.routes import IF, invalid, number, row, unsupported, words
from local.wire import Answer, Call, CloudError, Method

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
MAXIMUM_LABEL = 63  # of a name without dots, https://cloud.google.com/storage/docs/buckets#naming
MULTI_REGIONS = frozenset({"US", "EU", "ASIA"})
UNIFORM_LOCK = timedelta(days=90)  # after which uniform access cannot be switched off again
DAY_SECONDS = 86400
SOFT_DELETE_DAYS = (7, 90)  # besides 0; 7 is the default, https://cloud.google.com/storage/docs/soft-delete
PAGE = 1000
AGENT = "/storage/v1/projects/{project}/serviceAccount"

KEPT: dict[str, Any] = {
    "cors": list, "defaultEventBasedHold": bool, "iamConfiguration": dict, "labels": dict, "lifecycle": dict,
    "location": str, "logging": dict, "retentionPolicy": dict, "rpo": str, "softDeletePolicy": dict,
    "storageClass": str, "versioning": dict, "website": dict,
}  # fmt: skip
OUTPUT_ONLY = words(
    "etag generation id kind locationType metageneration name owner projectNumber satisfiesPZI satisfiesPZS selfLink "
    "softDeleteTime hardDeleteTime timeCreated updated"
)


class Buckets:
    """The methods of buckets. `create`, `change` and `delete` serve other parts of the local cloud as well."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def methods(self) -> list[Method]:
        """The table of methods."""
        all_, one = "/storage/v1/b", "/storage/v1/b/{bucket}"
        refuses = "ACLs, autoclass, default KMS keys, requester pays, hierarchical namespace, object retention"
        kept = "lifecycle, CORS, logging and website are kept and answered, never run"
        return [
            row("storage.buckets.insert", "POST", all_, self._insert, "project", supports=kept, refuses=refuses),
            row("storage.buckets.list", "GET", all_, self._list, "project prefix maxResults pageToken"),
            row("storage.buckets.get", "GET", one, self._get, IF),
            row("storage.buckets.getStorageLayout", "GET", one + "/storageLayout", self._layout, "prefix"),
            row("storage.buckets.patch", "PATCH", one, self._patch, IF, supports=kept, refuses=refuses),
            row("storage.buckets.update", "PUT", one, self._update, IF, supports=kept, refuses=refuses),
            row("storage.buckets.delete", "DELETE", one, self._delete, IF, refuses="soft deletion of buckets"),
            row("storage.projects.serviceAccount.get", "GET", AGENT, _service_agent),
        ]

    def create(self, project: str, given: Mapping[str, Any]) -> Bucket:
        """Create a bucket from a bucket resource.

        Raises:
            CloudError: 409 when it exists, 400 or 501 for what it may not be.
        """
        name = _check_name(given.get("name"))
        fields = _settle({}, _accepted(given))
        now = rfc3339()
        bucket = Bucket(
            name=name, project=project, metageneration=1, created=now, updated=now, fields=fields,
            bindings=_default_bindings(project),
        )  # fmt: skip
        with self._catalog.changing() as rows:
            if rows.find_bucket(name):
                text = "Your previous request to create the named bucket succeeded and you already own it."
                raise CloudError(409, "conflict", text)
            rows.save_bucket(bucket)
        return bucket

    def change(
        self, name: str, given: Mapping[str, Any], call: Call | None = None, *, replaces: bool = False
    ) -> Bucket:
        """Change fields of a bucket.

        Args:
            given: a merge patch, or the whole new resource when `replaces`.
            call: the request, for its preconditions.

        Raises:
            CloudError: 404, 412, or 400 and 501 for what it may not be.
        """
        accepted = _accepted(given)
        with self._catalog.changing() as rows:
            bucket = rows.bucket(name)
            if call:
                check(call, bucket)
            keeps = {key: bucket.fields[key] for key in ("location", "storageClass", "softDeletePolicy")}
            fields = _settle(keeps if replaces else bucket.fields, accepted)
            if fields["location"] != keeps["location"]:
                raise invalid(f"The location of bucket {name!r} cannot change from {keeps['location']!r}")
            version = bucket.metageneration + 1
            bucket = replace(bucket, fields=fields, metageneration=version, updated=rfc3339())
            rows.save_bucket(bucket)
        return bucket

    def delete(self, name: str, call: Call | None = None) -> None:
        """Delete an empty bucket; `call` brings preconditions.

        Raises:
            CloudError: 404, 412, or 409 when it holds objects.
        """
        with self._catalog.changing() as rows:
            bucket = rows.bucket(name)
            if call:
                check(call, bucket)
            if not rows.is_empty(name):
                raise CloudError(409, "conflict", "The bucket you tried to delete is not empty.")
            rows.remove_bucket(name)

    def _insert(self, call: Call) -> Answer:
        return Answer(body=bucket_resource(self.create(_project(call), call.json()), call.base_url))

    def _list(self, call: Call) -> Answer:
        limit = min(number(call.query, "maxResults") or PAGE, PAGE)
        with self._catalog.reading() as rows:
            token = call.query.get("pageToken", "")
            found = rows.buckets(_project(call), call.query.get("prefix", ""), token, limit + 1)
        items = [bucket_resource(bucket, call.base_url) for bucket in found[:limit]]
        more = {"nextPageToken": found[limit - 1].name} if len(found) > limit else {}
        return Answer(body={"kind": "storage#buckets", "items": items} | more)

    def _get(self, call: Call) -> Answer:
        with self._catalog.reading() as rows:
            bucket = rows.bucket(call.params["bucket"])
        check(call, bucket, reading=True)
        return Answer(body=bucket_resource(bucket, call.base_url))

    def _layout(self, call: Call) -> Answer:
        """What gcloud asks before it moves an object."""
        with self._catalog.reading() as rows:
            bucket = rows.bucket(call.params["bucket"])
        place = {key: bucket_resource(bucket, call.base_url)[key] for key in ("location", "locationType")}
        return Answer(body={"kind": "storage#storageLayout", "bucket": bucket.name, **place})

    def _patch(self, call: Call) -> Answer:
        changed = self.change(call.params["bucket"], call.json(), call)
        return Answer(body=bucket_resource(changed, call.base_url))

    def _update(self, call: Call) -> Answer:
        changed = self.change(call.params["bucket"], call.json(), call, replaces=True)
        return Answer(body=bucket_resource(changed, call.base_url))

    def _delete(self, call: Call) -> Answer:
        self.delete(call.params["bucket"], call)
        return Answer(status=204)


def _service_agent(call: Call) -> Answer:
    """The account with which Cloud Storage itself would act in a project."""
    email = f"service-{_project_number(call.params['project'])}@gs-project-accounts.iam.local"
    return Answer(body={"kind": "storage#serviceAccount", "email_address": email})


def _project_number(project: str) -> str:
    return str(int(hashlib.sha256(project.encode()).hexdigest()[:10], 16))


def bucket_resource(bucket: Bucket, base_url: str) -> dict[str, Any]:
    """The bucket resource, as the JSON API answers it."""
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base_url}/storage/v1/b/{bucket.name}",
        "projectNumber": _project_number(bucket.project),
        "metageneration": str(bucket.metageneration),
        "etag": tag_of(bucket),
        "timeCreated": bucket.created,
        "updated": bucket.updated,
        **bucket.fields,
    }


def _project(call: Call) -> str:
    if not call.query.get("project"):
        raise CloudError(400, "required", "Required parameter: project")
    return call.query["project"]


def _check_name(name: Any) -> str:
    legal = isinstance(name, str) and NAME.fullmatch(name) and not ADDRESS.fullmatch(name)
    if (
        not legal
        or not all(0 < len(part) <= MAXIMUM_LABEL for part in name.split("."))
        or name.startswith("goog")
        or "google" in name
    ):
        raise invalid(f"Invalid bucket name: {name!r}")
    return str(name)


def _accepted(given: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if name in KEPT and value is not None and not isinstance(value, KEPT[name]):
            raise invalid(f"Invalid value {value!r} for field {name!r}: expected {KEPT[name].__name__}")
        if name not in KEPT and name not in OUTPUT_ONLY and _is_on(value):
            raise unsupported(f"bucket field {name!r}")
    return {name: value for name, value in given.items() if name in KEPT}


def _is_on(value: Any) -> bool:
    return any(_is_on(inner) for inner in value.values()) if isinstance(value, dict) else bool(value)


def _settle(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields after a change, checked, with the values that Google derives from them."""
    fields = {"location": "US", "storageClass": "STANDARD"} | merge(old, given)
    fields["location"] = fields["location"].upper()
    if fields["location"].lower() not in BUCKETS:
        raise invalid(f"The specified location constraint is not valid: {fields['location']!r}")
    if fields["storageClass"] not in CLASSES:
        raise invalid(f"Invalid storage class {fields['storageClass']!r}")
    dual = "dual-region" if any(c.isdigit() for c in fields["location"]) else "multi-region"
    fields["locationType"] = "region" if "-" in fields["location"] else dual
    if wrong := labels.fault(fields.get("labels", {})):
        raise invalid(f"Invalid labels: {wrong}")
    lifecycle.check(fields.get("lifecycle", {}))
    fields["iamConfiguration"] = _access(fields.get("iamConfiguration") or {}, given.get("iamConfiguration") or {})
    _settle_retention(fields, old)
    return fields


def _access(merged: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    prevention = merged.get("publicAccessPrevention", "inherited")
    if prevention not in ("inherited", "enforced", "unspecified"):
        raise invalid(f"Invalid value {prevention!r} for field 'publicAccessPrevention'")
    name, older = "uniformBucketLevelAccess", "bucketPolicyOnly"  # some clients still write and read the older name
    access = merged.get(older if older in given and name not in given else name) or {}
    uniform: dict[str, Any] = {"enabled": bool(access.get("enabled"))}
    if uniform["enabled"]:
        uniform["lockedTime"] = access.get("lockedTime") or rfc3339(datetime.now(UTC) + UNIFORM_LOCK)
    return {"publicAccessPrevention": prevention, name: uniform, older: uniform}


def _settle_retention(fields: dict[str, Any], old: Mapping[str, Any]) -> None:
    default = {"retentionDurationSeconds": SOFT_DELETE_DAYS[0] * DAY_SECONDS}
    soft = fields["softDeletePolicy"] = dict(fields.get("softDeletePolicy") or default)
    seconds = _seconds(soft, "retentionDurationSeconds")
    if seconds and not SOFT_DELETE_DAYS[0] * DAY_SECONDS <= seconds <= SOFT_DELETE_DAYS[1] * DAY_SECONDS:
        raise invalid(f"Invalid softDeletePolicy: {seconds} seconds are neither 0 nor between 7 and 90 days")
    kept = {"softDeletePolicy": "retentionDurationSeconds", "retentionPolicy": "retentionPeriod"}
    for name, duration in kept.items():
        if name in fields:
            policy = fields[name] = dict(fields[name])
            policy[duration] = str(_seconds(policy, duration))
            if policy[duration] != (old.get(name) or {}).get(duration):
                policy["effectiveTime"] = rfc3339()


def _seconds(policy: Mapping[str, Any], name: str) -> int:
    try:
        return int(policy.get(name, 0))
    except (TypeError, ValueError) as error:
        raise invalid(f"Invalid value {policy[name]!r} for field {name!r}") from error


def _default_bindings(project: str) -> list[dict[str, Any]]:
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    readers = [f"projectViewer:{project}"]
    return [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": readers},
        {"role": "roles/storage.legacyObjectOwner", "members": owners},
        {"role": "roles/storage.legacyObjectReader", "members": readers},
    ]
