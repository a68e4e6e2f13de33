"""The XML API of objects: what signed URLs, public addresses and some clients use instead of the JSON API.

Does not own multipart uploads (parts.py). Signatures are not checked: who asks is decided at the door.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

from local.storage import xml_copies
from local.storage.catalog import Catalog, Rows
from local.storage.conditions import Conditions
from local.storage.contents import Contents, HashMismatch
from local.storage.copies import Copies
from local.storage.downloads import answer_media, header_text, media_headers
from local.storage.objects import Objects
from local.storage.records import NoBucket, StoredObject
from local.storage.resources import accepted, check_name
from local.storage.resumable import ResumableUploads
from local.storage.routes import IF, Handler, invalid, number, row, unsupported
from local.storage.uploads import claims
from local.storage.versions import create
from local.wire import Answer, Call, CloudError, Method

PATH = "/{bucket}/{object*}"
SIGNED = (
    "X-Goog-Algorithm X-Goog-Credential X-Goog-Date X-Goog-Expires X-Goog-SignedHeaders X-Goog-Signature "
    "GoogleAccessId Expires Signature"
)
KEYS = "uploads uploadId partNumber upload_id"
OTHER_APIS = re.compile(r"storage|upload|download|batch|resumable|bigquery|discovery|.{1,2}")  # they are no buckets
TYPE = {"content-type": "application/xml; charset=UTF-8"}
CODES = {
    400: "InvalidArgument", 403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange",
    501: "NotImplemented",
}  # fmt: skip
FIELDS = {
    "cache-control": "cacheControl", "content-disposition": "contentDisposition", "content-type": "contentType",
    "content-encoding": "contentEncoding", "content-language": "contentLanguage",
    "x-goog-custom-time": "customTime", "x-goog-storage-class": "storageClass",
}  # fmt: skip
CONDITIONS = {
    "x-goog-if-generation-match": "ifGenerationMatch",
    "x-goog-if-metageneration-match": "ifMetagenerationMatch",
}
META = "x-goog-meta-"
HEEDED = {xml_copies.SOURCE: xml_copies.HEADERS}  # all other requests refuse these headers
NEVER = 2**33  # seconds since 1970: an address without a signature does not expire


class XmlObjects:
    """The methods of the XML API that read, write and delete one object."""

    def __init__(
        self, catalog: Catalog, contents: Contents, objects: Objects, copies: Copies, resumable: ResumableUploads
    ) -> None:
        self._catalog, self._contents = catalog, contents
        self._objects, self._copies, self._resumable = objects, copies, resumable

    def methods(self, others: Mapping[tuple[str, str], Handler]) -> list[Method]:
        """The table of methods; last of all tables, because its paths match almost everything.

        Args:
            others: handlers of requests whose query or headers hold a name, by verb and name.
        """
        shown = "generation response-content-type response-content-disposition"
        rows = [
            ("storage.objects.get", "GET", self._get, shown),
            ("storage.objects.get", "HEAD", self._get, shown),
            ("storage.objects.insert", "PUT", self._put, ""),
            ("storage.objects.insert", "POST", self._start, ""),
            ("storage.objects.delete", "DELETE", self._objects.delete, "generation"),
        ]
        keyed = dict(others)
        keyed |= {("PUT", "upload_id"): self._resumable.proceed, ("POST", "upload_id"): self._resumable.proceed}
        keyed |= {("DELETE", "upload_id"): self._resumable.cancel, ("PUT", xml_copies.SOURCE): self._copy}
        return [self._row(name, verb, handler, takes, keyed) for name, verb, handler, takes in rows]

    def _row(
        self, name: str, verb: str, plain: Handler, takes: str, others: Mapping[tuple[str, str], Handler]
    ) -> Method:
        known = f"{SIGNED} {IF} {takes}"
        keyed = {
            key: row(name, verb, PATH, handler, f"{known} {KEYS}", heeds=HEEDED.get(key, "")).handler
            for (other, key), handler in others.items()
            if other == verb
        }

        def answer(call: Call) -> Answer:
            if OTHER_APIS.fullmatch(call.params["bucket"]):
                raise unsupported(f"call {call.verb} {call.path}")
            call = replace(call, query={**call.query, **header_conditions(call.headers)})
            try:
                _check_expiry(call.query)
                key = next((key for key in keyed if key in call.query or key in call.headers), None)
                return keyed[key](call) if key else checked(call)
            except CloudError as error:
                if error.status == 304:  # it has no body
                    raise
                return shown(error)

        checked = row(name, verb, PATH, plain, known).handler
        supports = (
            "signed URLs (expiry is checked, the signature is not), copies, resumable and multipart uploads "
            "(parts of any size)"
        )
        refuses = "ACLs, HTML forms"
        return Method(name, verb, PATH, answer, supports=supports, refuses=refuses, shown=shown)

    def _get(self, call: Call) -> Answer:
        def find(rows: Rows) -> StoredObject:
            return rows.find(call.params["bucket"], call.params["object"], number(call.query, "generation"))

        return answer_media(call, self._catalog, find, partial(_described, call))

    def _put(self, call: Call) -> Answer:
        place = call.params["bucket"], check_name(call.params["object"])
        fields, conditions, hashes = header_fields(call.headers), Conditions.of(call.query), claims(call)
        content = self._contents.write(call.body)
        version = create(self._catalog, self._contents, place, content, fields, conditions, hashes)
        return Answer(body=b"", headers=stored_headers(version))

    def _copy(self, call: Call) -> Answer:
        version = self._copies.duplicated(xml_copies.as_copy(call, header_fields(call.headers)))
        return Answer(body=xml_copies.result(version, xml_etag(version)), headers=stored_headers(version) | TYPE)

    def _start(self, call: Call) -> Answer:
        if call.headers.get("x-goog-resumable") != "start":
            raise unsupported(f"call POST {call.path}")
        name, fields = check_name(call.params["object"]), header_fields(call.headers)
        begun = self._resumable.begin(call, name, fields, claims(call), call.path + "?")
        return Answer(status=201, body=b"", headers=begun.headers)


def header_fields(headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an object that the headers of a request set."""
    if "x-goog-acl" in headers:
        raise unsupported("header 'x-goog-acl'")
    fields: dict[str, Any] = {field: _text(headers[name]) for name, field in FIELDS.items() if headers.get(name)}
    own = {name.removeprefix(META): _text(value) for name, value in headers.items() if name.startswith(META)}
    return accepted(fields | ({"metadata": own} if own else {}))


def header_conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """The preconditions among the headers of a request, under the names of the JSON API."""
    return {parameter: headers[name] for name, parameter in CONDITIONS.items() if name in headers}


def stored_headers(version: StoredObject) -> dict[str, str]:
    """What the answer to an upload says about the version that it made."""
    headers = media_headers(version) | {"etag": xml_etag(version)}
    return {name: value for name, value in headers.items() if name == "etag" or name.startswith("x-goog-")}


def xml_etag(version: StoredObject) -> str:
    """The ETag of the XML API: the MD5 in hexadecimal where there is one."""
    return f'"{base64.b64decode(version.md5).hex()}"' if version.md5 else f'"{media_headers(version)["etag"]}"'


def _described(call: Call, version: StoredObject) -> dict[str, str]:
    own = {META + name: header_text(value) for name, value in version.fields.get("metadata", {}).items()}
    prefix = "response-"
    asked = {
        key.removeprefix(prefix): header_text(value) for key, value in call.query.items() if key.startswith(prefix)
    }
    return own | asked | {"etag": xml_etag(version)}


def shown(error: CloudError) -> Answer:
    """An error as the XML API answers it."""
    return Answer(status=error.status, body=_error(error), headers=TYPE)


def _error(error: CloudError) -> bytes:
    code = CODES.get(error.status, "InternalError")
    if isinstance(error, NoBucket):
        code = "NoSuchBucket"
    elif isinstance(error, HashMismatch):
        code = "BadDigest"
    elif error.reason[0].isupper():
        code = error.reason  # already a word of the XML API
    text = escape(error.message)
    inner = f"<Code>{code}</Code><Message>{text}</Message><Details>{text}</Details>"
    return f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>".encode()


def _check_expiry(query: Mapping[str, str]) -> None:
    try:
        if "X-Goog-Expires" in query:
            signed = datetime.strptime(query.get("X-Goog-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            end = signed + timedelta(seconds=int(query["X-Goog-Expires"]))
        else:
            end = datetime.fromtimestamp(int(query.get("Expires", NEVER)), UTC)
    except ValueError as error:
        raise invalid(f"The signed URL has no valid date and expiry: {error}") from error
    if end < datetime.now(UTC):
        raise CloudError(400, "ExpiredToken", f"The signed URL expired at {end.isoformat()}")


def _text(value: str) -> str:
    return value.encode("latin-1").decode(errors="replace")
