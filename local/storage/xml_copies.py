"""Copies by the XML API: a PUT whose headers name an object to copy, instead of bringing content.

Does not own how a copy is made (copies.py): the headers become a call of storage.objects.copy.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from local.storage.records import StoredObject
from local.storage.resources import DEFAULT_TYPE, check_name
from local.storage.routes import invalid, unsupported
from local.wire import Call

NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"
SOURCE = "x-goog-copy-source"
DIRECTIVE = "x-goog-metadata-directive"
PARAMETERS = {
    f"{SOURCE}-generation": "sourceGeneration",
    f"{SOURCE}-if-generation-match": "ifSourceGenerationMatch",
    f"{SOURCE}-if-metageneration-match": "ifSourceMetagenerationMatch",
}
HEADERS = " ".join([SOURCE, *PARAMETERS])


def copied_from(headers: Mapping[str, str]) -> tuple[str, str]:
    """Bucket and name of the object that a request copies.

    Raises:
        CloudError: 400 when the header names none.
    """
    bucket, _, name = unquote(headers[SOURCE]).removeprefix("/").partition("/")
    if not bucket or not name:
        raise invalid(f"Header {SOURCE!r} is {headers[SOURCE]!r}; expected BUCKET/OBJECT, percent-encoded")
    return bucket, name


def as_copy(call: Call, fields: Mapping[str, Any]) -> Call:
    """The call of storage.objects.copy that a request stands for.

    Args:
        fields: those that its headers set. They count when they are to replace the source's; the storage class always.
    """
    directive, place = call.headers.get(DIRECTIVE, "COPY"), (call.params["bucket"], call.params["object"])
    if directive not in ("COPY", "REPLACE"):
        raise invalid(f"Header {DIRECTIVE!r} is {directive!r}; expected COPY or REPLACE")
    for name in ("if-match", "if-none-match"):
        if name in call.headers:
            raise unsupported(f"header {name!r} of a copy; use x-goog-if-generation-match")
    if directive == "COPY" and copied_from(call.headers) == place:
        raise invalid(f"An object is copied to itself only with {DIRECTIVE}: REPLACE")
    if call.body.read(1):
        raise invalid("A copy takes no content: the body must be empty")
    replaced = {"contentType": DEFAULT_TYPE, **fields}
    given = replaced if directive == "REPLACE" else {k: v for k, v in fields.items() if k == "storageClass"}
    bucket, name = copied_from(call.headers)
    target = {"bucket2": call.params["bucket"], "object2": check_name(call.params["object"])}
    source = {parameter: call.headers[header] for header, parameter in PARAMETERS.items() if header in call.headers}
    return replace(
        call,
        params={"bucket": bucket, "object": name, **target},
        query={**call.query, **source},
        body=BytesIO(json.dumps(given).encode()),
    )


def result(version: StoredObject, etag: str) -> bytes:
    """What the XML API says of the version that a copy made."""
    inner = f"<LastModified>{version.updated}</LastModified><ETag>{escape(etag)}</ETag>"
    text = f"<?xml version='1.0' encoding='UTF-8'?><CopyObjectResult xmlns='{NAMESPACE}'>{inner}</CopyObjectResult>"
    return text.encode()
