"""Multipart uploads of the XML API: parts arrive in any order, the object appears when they are put together.

Accepts parts of any size, where Google wants at least 5 MiB of all but the last.
"""

import base64
import uuid
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from local.storage.catalog import Catalog, Rows
from local.storage.conditions import Conditions
from local.storage.contents import Content, Contents
from local.storage.records import Upload, rfc3339
from local.storage.resources import check_name
from local.storage.routes import Handler, number
from local.storage.uploads import claims
from local.storage.versions import new_version, place
from local.storage.xml_api import TYPE, header_fields, stored_headers, xml_etag
from local.wire import Answer, Call, CloudError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAXIMUM_PARTS = 10_000  # https://cloud.google.com/storage/quotas#requests


class PartUploads:
    """Multipart uploads of the XML API."""

    def __init__(self, catalog: Catalog, contents: Contents) -> None:
        self._catalog, self._contents = catalog, contents

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """Handlers by verb and by the query parameter that names what is wanted."""
        return {
            ("POST", "uploads"): self._initiate,
            ("PUT", "uploadId"): self._put,
            ("POST", "uploadId"): self._complete,
            ("GET", "uploadId"): self._list,
            ("DELETE", "uploadId"): self._abort,
        }

    def _initiate(self, call: Call) -> Answer:
        name, request = check_name(call.params["object"]), {"fields": header_fields(call.headers)}
        upload = Upload(
            id=uuid.uuid4().hex, bucket=call.params["bucket"], name=name, created=rfc3339(), content=None,
            request=request,
        )  # fmt: skip
        with self._catalog.changing() as rows:
            rows.bucket(upload.bucket)
            rows.save_upload(upload)
        return _answer("InitiateMultipartUploadResult", upload, f"<UploadId>{upload.id}</UploadId>")

    def _put(self, call: Call) -> Answer:
        part = number(call.query, "partNumber") or 0
        if not 1 <= part <= MAXIMUM_PARTS:
            raise CloudError(400, "InvalidArgument", f"Part number {part} is not between 1 and {MAXIMUM_PARTS}")
        content = self._contents.write(call.body)
        with self._contents.unless_kept(content.path):
            content.verify(claims(call))
            with self._catalog.changing() as rows:
                rows.save_part(_find(rows, call).id, part, content)
        hashes = f"crc32c={content.crc32c},md5={content.md5}"
        return Answer(body=b"", headers={"etag": _part_etag(content), "x-goog-hash": hashes})

    def _complete(self, call: Call) -> Answer:
        wanted = _wanted(call)
        with self._catalog.reading() as rows:
            parts = rows.parts(_find(rows, call).id)
        for part, tag in wanted:
            if part not in parts or tag.strip('"') != _part_etag(parts[part]).strip('"'):
                raise CloudError(400, "InvalidPart", f"Part {part} was not uploaded, or has another ETag than {tag}")
        content = self._contents.join(parts[part].path for part, _ in wanted)
        with self._contents.unless_kept(content.path), self._catalog.changing() as rows:
            upload = _find(rows, call)
            Conditions.of(call.query).check(rows.live(upload.bucket, upload.name))
            home = rows.bucket(upload.bucket)
            version = new_version(rows, home, upload.name, content, upload.request["fields"], composed=True)
            place(rows, home, version)
            rows.remove_upload(upload.id)
        answer = _answer("CompleteMultipartUploadResult", upload, f"<ETag>{escape(xml_etag(version))}</ETag>")
        return Answer(body=answer.body, headers=stored_headers(version) | TYPE)

    def _list(self, call: Call) -> Answer:
        with self._catalog.reading() as rows:
            upload = _find(rows, call)
            parts = rows.parts(upload.id)
        shown = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{_part_etag(c)}</ETag><Size>{c.size}</Size></Part>"
            for n, c in parts.items()
        )
        more = f"<UploadId>{upload.id}</UploadId><IsTruncated>false</IsTruncated>{shown}"
        return _answer("ListPartsResult", upload, more)

    def _abort(self, call: Call) -> Answer:
        with self._catalog.changing() as rows:
            rows.remove_upload(_find(rows, call).id)
        return Answer(status=204)


def _find(rows: Rows, call: Call) -> Upload:
    id, bucket = call.query["uploadId"], call.params["bucket"]
    upload = rows.find_upload(id, bucket)
    if upload is None or upload.name != call.params["object"]:
        rows.bucket(bucket)
        raise CloudError(404, "NoSuchUpload", f"The requested upload {id!r} was not found.")
    return upload


def _wanted(call: Call) -> list[tuple[int, str]]:
    try:
        root = ElementTree.fromstring(call.body.read())  # noqa: S314 - from a client on this machine
        parts = root.findall("{*}Part")
        found = [(int(part.findtext("{*}PartNumber") or 0), part.findtext("{*}ETag") or "") for part in parts]
    except (ElementTree.ParseError, ValueError) as error:
        raise CloudError(400, "MalformedXML", f"The body is not a list of parts: {error}") from error
    numbers = [part for part, _ in found]
    if not numbers or numbers != sorted(set(numbers)):
        raise CloudError(400, "InvalidPartOrder", f"The parts are not in ascending order: {numbers}")
    return found


def _part_etag(content: Content) -> str:
    return f'"{base64.b64decode(content.md5).hex()}"'


def _answer(kind: str, upload: Upload, inner: Any) -> Answer:
    named = f"<Bucket>{upload.bucket}</Bucket><Key>{escape(upload.name)}</Key>"
    text = f"<?xml version='1.0' encoding='UTF-8'?><{kind} xmlns='{NAMESPACE}'>{named}{inner}</{kind}>"
    return Answer(body=text.encode(), headers=TYPE)
