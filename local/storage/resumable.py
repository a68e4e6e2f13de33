"""Resumable uploads: begun by one request, filled by others, resumed after a cut, also after a kill of this cloud.

Accepts chunks of any size, where Google wants multiples of 256 KiB.
"""

import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from local.storage.catalog import Catalog
from local.storage.conditions import Conditions
from local.storage.contents import Contents
from local.storage.records import Upload, rfc3339
from local.storage.resources import object_resource
from local.storage.routes import invalid, number
from local.storage.uploads import claims, named
from local.storage.versions import new_version, place
from local.wire import Answer, Call, CloudError

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)")
LOCKS = 64


@dataclass(frozen=True)
class _Chunk:
    """What a request carries: bytes from `start` on (None: it only asks), and the total if it is known."""

    start: int | None
    length: int
    total: int | None


class ResumableUploads:
    """Uploads of several requests. One chunk at a time of each upload; different uploads do not wait for each other."""

    def __init__(self, catalog: Catalog, contents: Contents) -> None:
        self._catalog, self._contents = catalog, contents
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def start(self, call: Call) -> Answer:
        """Begin an upload; the answer's Location is where its content goes."""
        given = call.json()
        if "x-upload-content-type" in call.headers:
            given.setdefault("contentType", call.headers["x-upload-content-type"])
        name, fields = named(call, given)
        path = f"{call.path}?{urlencode({'uploadType': 'resumable', 'name': name})}&"
        return self.begin(call, name, fields, claims(call, given), path)

    def begin(
        self, call: Call, name: str, fields: Mapping[str, Any], hashes: list[tuple[str, str]], path: str
    ) -> Answer:
        """Begin an upload whose content goes to `path` and its id; its preconditions hold now and at its end."""
        bucket, conditions = call.params["bucket"], {k: v for k, v in call.query.items() if k.startswith("if")}
        length = number(call.headers, "x-upload-content-length")
        request = {"fields": fields, "hashes": hashes, "query": conditions, "length": length}
        upload = Upload(
            id=uuid.uuid4().hex, bucket=bucket, name=name, created=rfc3339(), content=self._contents.new().name,
            request=request,
        )  # fmt: skip
        with self._catalog.changing() as rows:
            rows.bucket(bucket)
            Conditions.of(conditions).check(rows.live(bucket, name))
            rows.save_upload(upload)
        location = f"{call.base_url}{path}{urlencode({'upload_id': upload.id})}"
        return Answer(body=b"", headers={"location": location, "x-guploader-uploadid": upload.id})

    def proceed(self, call: Call) -> Answer:
        """Take a chunk, or tell how far the upload is."""
        with self._lock(call):
            upload = self._find(call)
            if upload.result:
                return Answer(body=upload.result)
            path = self._contents.folder / str(upload.content)
            chunk = _chunk(call)
            size = self._append(call, path, chunk)
            if chunk.total is not None and size > chunk.total:
                raise invalid(f"The upload has {size} bytes already, more than the {chunk.total} announced")
            if chunk.total is None or size < chunk.total:
                return _unfinished(call, size)
            return self._finish(call, upload, path, chunk.total)

    def cancel(self, call: Call) -> Answer:
        """Give an upload up; Google answers 499 to that."""
        with self._lock(call), self._catalog.changing() as rows:
            rows.remove_upload(self._find(call).id)
        return Answer(status=499, body=b"")

    def _lock(self, call: Call) -> threading.Lock:
        return self._locks[hash(call.query.get("upload_id")) % LOCKS]

    def _find(self, call: Call) -> Upload:
        id, bucket = call.query.get("upload_id", ""), call.params["bucket"]
        with self._catalog.reading() as rows:
            upload = rows.find_upload(id, bucket)
        if upload is None or not (upload.content or upload.result):
            raise CloudError(404, "notFound", f"No such upload: {id!r}; it was cancelled, has expired, or never was")
        return upload

    def _append(self, call: Call, path: Path, chunk: _Chunk) -> int:
        """Add what is new in a chunk; the file's size is what has arrived, and survives a kill."""
        size = path.stat().st_size if path.exists() else 0
        if chunk.start is None:
            return size
        if chunk.start > size:
            text = f"the upload offset is {chunk.start} byte(s), which exceeds already uploaded size of {size} byte(s)"
            raise invalid(f"Invalid request. According to the Content-Range header, {text}.")
        known = min(size - chunk.start, chunk.length)  # sent again after a cut
        call.body.seek(known)
        if chunk.length > known:
            self._contents.append(path, call.body, chunk.length - known)
        return max(size, chunk.start + chunk.length)

    def _finish(self, call: Call, upload: Upload, path: Path, total: int) -> Answer:
        try:
            content = self._contents.measure(path)
            if content.size != total or upload.request["length"] not in (None, total):
                expected = upload.request["length"] if content.size == total else total
                raise invalid(f"The upload has {content.size} bytes, but {expected} were announced")
            content.verify([*map(tuple, upload.request["hashes"]), *claims(call)])
            with self._catalog.changing() as rows:
                bucket = rows.bucket(upload.bucket)
                Conditions.of(upload.request["query"]).check(rows.live(upload.bucket, upload.name))
                version = new_version(rows, bucket, upload.name, content, upload.request["fields"])
                place(rows, bucket, version)
                resource = object_resource(version, call.base_url)
                rows.save_upload(replace(upload, content=None, result=resource))
        except CloudError:
            with self._catalog.changing() as rows:  # it can never succeed
                rows.remove_upload(upload.id)
            raise
        return Answer(body=resource)


def _unfinished(call: Call, size: int) -> Answer:
    headers = {"range": f"bytes=0-{size - 1}"} if size else {}
    if "x-guploader-no-308" in call.headers:  # of clients that would follow a 308 as a redirect
        return Answer(body=b"", headers=headers | {"x-http-status-code-override": "308"})
    return Answer(status=308, body=b"", headers=headers)


def _chunk(call: Call) -> _Chunk:
    """What the request carries, from its Content-Range; without one it carries everything."""
    length = call.body.seek(0, 2)
    call.body.seek(0)
    header = call.headers.get("content-range")
    if header is None:
        return _Chunk(0, length, length)
    match = CONTENT_RANGE.fullmatch(header.strip())
    if not match:
        raise invalid(f"Failed to parse Content-Range header: {header!r}")
    first, last, whole = match.groups()
    total = None if whole == "*" else int(whole)
    if first is None:
        if length:
            raise invalid(f"The request has a body of {length} bytes, but its Content-Range {header!r} names none")
        return _Chunk(None, 0, total)
    start = int(first)
    if last == "*":
        return _Chunk(start, length, start + length)  # an upload of unknown size in one request
    if int(last) + 1 - start != length or (total is not None and int(last) >= total):
        raise invalid(f"The Content-Range {header!r} does not fit the body of {length} bytes")
    return _Chunk(start, length, total)
