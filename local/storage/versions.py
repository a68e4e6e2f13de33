"""What becomes of an older version when another takes its place, and what protects a version from that.

Does not own where versions are kept (catalog.py).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from local.storage.catalog import Catalog, Rows
from local.storage.conditions import Conditions
from local.storage.contents import Content, Contents
from local.storage.records import LIVE, NONCURRENT, SOFT_DELETED, Bucket, StoredObject, rfc3339
from local.storage.resources import DEFAULT_TYPE, check_name, merge
from local.wire import CloudError

HOLDS = {"temporaryHold": "Temporary", "eventBasedHold": "Event-Based"}


def new_version(
    rows: Rows, bucket: Bucket, name: str, content: Content, fields: dict[str, Any], *, composed: bool = False
) -> StoredObject:
    """A version that is not yet in the catalog; what `fields` leave open has the bucket's defaults."""
    defaults = {"contentType": DEFAULT_TYPE, "storageClass": bucket.fields["storageClass"]}
    if bucket.fields.get("defaultEventBasedHold"):
        defaults["eventBasedHold"] = True
    now = rfc3339()
    return StoredObject(
        bucket=bucket.name,
        name=check_name(name),
        generation=rows.next_generation(),
        folder=content.path.parent,
        content=content.path.name,
        size=content.size,
        md5=None if composed else content.md5,  # Google keeps no MD5 of what it put together
        crc32c=content.crc32c,
        created=now,
        updated=now,
        retention=int(bucket.fields.get("retentionPolicy", {}).get("retentionPeriod", 0)),
        fields=merge(defaults, {key: value for key, value in fields.items() if value is not None}),
    )


def create(
    catalog: Catalog,
    contents: Contents,
    place_of: tuple[str, str],
    content: Content,
    fields: dict[str, Any],
    conditions: Conditions,
    claims: Iterable[tuple[str, str]] = (),
) -> StoredObject:
    """Make a content that has arrived the live version of an object, in one durable step; if refused it is removed.

    Args:
        place_of: bucket and name.
        claims: hashes that the client says it has.

    Raises:
        CloudError: 404 without the bucket, 412 against the conditions, 403 for a protected version in the way, 400
            for another hash.
    """
    bucket, name = place_of
    with contents.unless_kept(content.path):
        content.verify(claims)
        with catalog.changing() as rows:
            home = rows.bucket(bucket)
            conditions.check(rows.live(bucket, name))
            version = new_version(rows, home, name, content, fields)
            place(rows, home, version)
    return version


def duplicate(
    rows: Rows, contents: Contents, source: StoredObject, bucket: Bucket, name: str, fields: dict[str, Any]
) -> StoredObject:
    """Make a second version of the same bytes the live one of its name."""
    content = Content(contents.twin(source.path), source.size, source.md5 or "", source.crc32c)
    with contents.unless_kept(content.path):
        version = new_version(rows, bucket, name, content, fields, composed=source.md5 is None)
        place(rows, bucket, version)
    return version


def place(rows: Rows, bucket: Bucket, version: StoredObject) -> None:
    """Make a version the live one; the one that was live is retired."""
    old = rows.live(bucket.name, version.name)
    if old:
        retire(rows, bucket, old)
    rows.save(version)


def retire(rows: Rows, bucket: Bucket, version: StoredObject, *, for_good: bool = False) -> None:
    """Take a version away: it becomes noncurrent under versioning, else it is deleted.

    Args:
        for_good: delete it even under versioning, as a request does that names the generation.

    Raises:
        CloudError: 403 while a hold or the bucket's retention policy protects it.
    """
    check_unprotected(version)
    now = datetime.now(UTC)
    if version.state == LIVE and not for_good and bucket.fields.get("versioning", {}).get("enabled"):
        rows.save(replace(version, state=NONCURRENT, deleted=rfc3339(now)))
        return
    soft_seconds = int(bucket.fields["softDeletePolicy"]["retentionDurationSeconds"])
    if soft_seconds:
        expires = rfc3339(now + timedelta(seconds=soft_seconds))
        rows.save(replace(version, state=SOFT_DELETED, deleted=rfc3339(now), expires=expires))
    else:
        rows.remove(version)


def check_unprotected(version: StoredObject) -> None:
    """Refuse to touch the content of a protected version.

    Raises:
        CloudError: 403.
    """
    name = f"Object '{version.bucket}/{version.name}'"
    for field, label in HOLDS.items():
        if version.fields.get(field):
            text = f"{name} is under active {label} hold and cannot be deleted, overwritten or archived"
            raise CloudError(403, "objectUnderActiveHold", f"{text} until hold is removed.")
    until = version.retained_until
    if until and until > datetime.now(UTC):
        text = f"{name} is subject to bucket's retention policy and cannot be deleted or overwritten"
        raise CloudError(403, "retentionPolicyNotMet", f"{text} until {rfc3339(until)}")
