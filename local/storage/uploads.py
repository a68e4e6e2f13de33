"""Uploads in one request: media alone, or metadata and media in a multipart/related body."""

import json
from email.message import Message
from typing import IO, Any

from local.storage.catalog import Catalog
from local.storage.conditions import Conditions
from local.storage.contents import Contents
from local.storage.resources import accepted, check_name, object_resource
from local.storage.routes import invalid, unsupported
from local.storage.versions import create
from local.wire import Answer, Call, CloudError

MAXIMUM_LINE_BYTES = 1 << 20  # of the metadata; Google's own limits are far lower
KINDS = {"md5": "md5Hash", "crc32c": "crc32c"}
TAIL_BYTES = 200  # a boundary has 70 characters at most (RFC 2046)


class SimpleUploads:
    """Uploads whose whole content comes with the request."""

    def __init__(self, catalog: Catalog, contents: Contents) -> None:
        self._catalog, self._contents = catalog, contents

    def media(self, call: Call) -> Answer:
        """`uploadType=media`: the body is the content."""
        content_type = {"contentType": call.headers["content-type"]} if call.headers.get("content-type") else {}
        return self._insert(call, content_type, call.body, None)

    def multipart(self, call: Call) -> Answer:
        """`uploadType=multipart`: a JSON part, then the content."""
        given, length = read_related(call.headers.get("content-type", ""), call.body)
        return self._insert(call, given, call.body, length)

    def _insert(self, call: Call, given: dict[str, Any], source: IO[bytes], length: int | None) -> Answer:
        name, fields = named(call, given)
        hashes, conditions, place = claims(call, given), Conditions.of(call.query), (call.params["bucket"], name)
        content = self._contents.write(source, length)
        version = create(self._catalog, self._contents, place, content, fields, conditions, hashes)
        return Answer(body=object_resource(version, call.base_url))


def named(call: Call, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the fields of the object to write; the query's win over those of the metadata."""
    if call.headers.get("content-encoding", "identity") != "identity":
        raise unsupported("header 'content-encoding' of an upload; set contentEncoding in the metadata")
    if given.get("bucket", call.params["bucket"]) != call.params["bucket"]:
        raise invalid(f"The bucket {given['bucket']!r} of the metadata is not that of the address")
    fields = accepted(given)
    if "contentEncoding" in call.query:
        fields["contentEncoding"] = call.query["contentEncoding"]
    return check_name(call.query.get("name") or given.get("name")), fields


def claims(call: Call, given: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """The hashes that a client says its content has: in the metadata, in X-Goog-Hash, in Content-MD5.

    Raises:
        CloudError: 501 for another kind of hash, and for ETags as preconditions of an upload.
    """
    for name in ("if-match", "if-none-match"):
        if name in call.headers:
            raise unsupported(f"header {name!r} of an upload; use ifGenerationMatch")
    fields = given or {}
    found = [(kind, str(fields[key])) for kind, key in KINDS.items() if fields.get(key)]
    for pair in call.headers.get("x-goog-hash", "").split(","):
        kind, _, value = pair.strip().partition("=")
        if kind in KINDS:
            found.append((kind, value))
        elif kind:
            raise unsupported(f"hash {kind!r} in X-Goog-Hash")
    if "content-md5" in call.headers:
        found.append(("md5", call.headers["content-md5"]))
    return found


def read_related(content_type: str, body: IO[bytes]) -> tuple[dict[str, Any], int]:
    """Read a multipart/related body up to its second part, which is then next to be read.

    Returns:
        The JSON of the first part, and the length of the second.

    Raises:
        CloudError: 400 for a body of another shape.
    """
    boundary = _parameter(content_type, "boundary").strip("'").encode()  # gcloud writes it between apostrophes
    first = body.readline(MAXIMUM_LINE_BYTES)
    if not boundary or first.rstrip() != b"--" + boundary:
        raise invalid(f"The body does not begin with the boundary that Content-Type names: {content_type!r}")
    _headers(body)
    text = b""
    while (line := body.readline(MAXIMUM_LINE_BYTES)).rstrip() != b"--" + boundary:
        if not line or len(text) > MAXIMUM_LINE_BYTES:
            raise invalid("The first part of the multipart body does not end")
        text += line
    try:
        given = json.loads(text)
    except ValueError as error:
        raise CloudError(400, "parseError", f"The first part of the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise CloudError(400, "parseError", "The first part of the body is not a JSON object")
    headers = _headers(body)
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "7bit", "8bit"):
        raise unsupported(f"content transfer encoding {headers['content-transfer-encoding']!r}")
    if "content-type" in headers and not given.get("contentType"):
        given["contentType"] = headers["content-type"]
    newline = b"\r\n" if first.endswith(b"\r\n") else b"\n"
    return given, _length_to(newline + b"--" + boundary + b"--", body)


def _length_to(end: bytes, body: IO[bytes]) -> int:
    start = body.tell()
    size = body.seek(0, 2)
    tail_start = max(start, size - TAIL_BYTES)
    body.seek(tail_start)
    place = body.read().rfind(end)
    if place < 0:
        raise invalid("The multipart body does not end with its boundary")
    body.seek(start)
    return tail_start + place - start


def _headers(body: IO[bytes]) -> dict[str, str]:
    headers = {}
    while (line := body.readline(MAXIMUM_LINE_BYTES)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _parameter(header: str, name: str) -> str:
    message = Message()
    message["content-type"] = header
    return str(message.get_param(name) or "")
