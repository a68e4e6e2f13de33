"""How a version of an object looks in the JSON API, and which of its fields a client may set."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from local.storage.records import NONCURRENT, SOFT_DELETED, Bucket, StoredObject, rfc3339
from local.storage.routes import invalid, unsupported, words

DEFAULT_TYPE = "application/octet-stream"
MAXIMUM_NAME_BYTES = 1024  # https://cloud.google.com/storage/docs/objects#naming
MAXIMUM_METADATA_BYTES = 8192  # https://cloud.google.com/storage/quotas#objects
RESERVED = ".well-known/acme-challenge/"
CLASSES = words(
    "STANDARD NEARLINE COLDLINE ARCHIVE MULTI_REGIONAL REGIONAL DURABLE_REDUCED_AVAILABILITY"
)  # the last three are older names, still accepted

WRITABLE: dict[str, Any] = {
    "cacheControl": str, "contentDisposition": str, "contentEncoding": str, "contentLanguage": str, "contentType": str,
    "customTime": str, "eventBasedHold": bool, "metadata": dict, "storageClass": str, "temporaryHold": bool,
}  # fmt: skip
OUTPUT_ONLY = words(
    "bucket componentCount crc32c etag generation hardDeleteTime id kind md5Hash mediaLink metageneration name owner "
    "retentionExpirationTime selfLink size softDeleteTime timeCreated timeDeleted timeFinalized "
    "timeStorageClassUpdated updated"
)


def tag_of(found: StoredObject | Bucket) -> str:
    """The ETag as Google's look: generation and metageneration as a protocol buffer; `CAE=` for a new bucket."""
    metageneration = (found.metageneration,)
    numbers = metageneration if isinstance(found, Bucket) else (found.generation, *metageneration)
    raw = b"".join(bytes([8 * place]) + _varint(n) for place, n in enumerate(numbers, start=1))
    return base64.b64encode(raw).decode()


def object_resource(version: StoredObject, base_url: str) -> dict[str, Any]:
    """The object resource of a version, as the JSON API answers it."""
    v, path = version, f"/storage/v1/b/{version.bucket}/o/{quote(version.name, safe='')}"
    resource = {
        "kind": "storage#object",
        "id": f"{v.bucket}/{v.name}/{v.generation}",
        "selfLink": base_url + path,
        "mediaLink": f"{base_url}/download{path}?generation={v.generation}&alt=media",
        "name": v.name,
        "bucket": v.bucket,
        "generation": str(v.generation),
        "metageneration": str(v.metageneration),
        "size": str(v.size),
        "crc32c": v.crc32c,
        "etag": tag_of(v),
        "timeCreated": v.created,
        "updated": v.updated,
        "timeStorageClassUpdated": v.created,
        "timeFinalized": v.created,
        **v.fields,
    }
    if v.md5:
        resource["md5Hash"] = v.md5
    if v.retained_until:
        resource["retentionExpirationTime"] = rfc3339(v.retained_until)
    if v.state == NONCURRENT:
        resource["timeDeleted"] = v.deleted
    if v.state == SOFT_DELETED:
        resource |= {"softDeleteTime": v.deleted, "hardDeleteTime": v.expires}
    return resource


def check_name(name: Any) -> str:
    """An object's name, if Cloud Storage allows it.

    Raises:
        CloudError: 400.
    """
    if not name:
        raise invalid("Required: the name of the object")
    try:
        size = len(name.encode())
    except (AttributeError, UnicodeEncodeError) as error:
        raise invalid(f"Object name {name!r} is not valid Unicode text") from error
    if size > MAXIMUM_NAME_BYTES or name in (".", "..") or "\r" in name or "\n" in name:
        raise invalid(f"Invalid object name {name!r}: at most 1024 bytes, no line breaks, neither '.' nor '..'")
    if name.startswith(RESERVED):
        raise invalid(f"Invalid object name {name!r}: names do not begin with {RESERVED!r}")
    return str(name)


def accepted(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an object resource that a client may set; what only Google fills in is passed over, as Google does.

    Raises:
        CloudError: 400 for a wrong value, 501 for a field this cloud does not know.
    """
    for name, value in given.items():
        if name in WRITABLE:
            _check(name, value)
        elif name not in OUTPUT_ONLY and value:
            raise unsupported(f"object field {name!r}")
    return {name: value for name, value in given.items() if name in WRITABLE}


def changed(old: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a version after a patch.

    Raises:
        CloudError: 400 for what must not change: the storage class, and a custom time taken back.
    """
    if given.get("storageClass", old["storageClass"]) != old["storageClass"]:
        raise invalid("The storage class of an object changes only when it is rewritten; use rewriteTo")
    if "customTime" in old and "customTime" in given:
        new = given["customTime"]
        if new is None or _moment(new) < _moment(old["customTime"]):
            raise invalid("Custom time cannot be removed or set to an earlier time")
    fields = merge(old, given)
    return fields if "contentType" in fields else fields | {"contentType": DEFAULT_TYPE}


def merge(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396): null removes, objects merge, everything else replaces."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def _check(name: str, value: Any) -> None:
    if value is None:
        return
    kind = WRITABLE[name]
    if not isinstance(value, kind):
        raise invalid(f"Invalid value {value!r} for field {name!r}: expected {kind.__name__}")
    if name == "metadata" and not all(isinstance(v, str | None) for v in value.values()):
        raise invalid("Invalid value for field 'metadata': all its values must be texts")
    if name == "metadata" and sum(len(f"{k}{v or ''}".encode()) for k, v in value.items()) > MAXIMUM_METADATA_BYTES:
        raise invalid(f"Invalid value for field 'metadata': it has more than {MAXIMUM_METADATA_BYTES} bytes")
    if name == "storageClass" and value not in CLASSES:
        raise invalid(f"Invalid storage class {value!r}")
    if name == "customTime":
        _moment(value)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Invalid value {text!r} for field 'customTime': {error}") from error
    if moment.tzinfo is None:
        raise invalid(f"Invalid value {text!r} for field 'customTime': it has no time zone")
    return moment


def _varint(number: int) -> bytes:
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
