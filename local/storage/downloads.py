"""The bytes of an object on their way out: ranges, hashes, ETags, decompression.

Does not own which version is meant (objects.py, xml.py).
"""

import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import IO

from local.storage.catalog import Catalog, Rows
from local.storage.conditions import check
from local.storage.records import StoredObject
from local.storage.resources import tag_of
from local.wire import CHUNK_BYTES, Answer, Call, CloudError

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
TRIES = 5
NAMED = {
    "cacheControl": "cache-control", "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding", "contentLanguage": "content-language", "contentType": "content-type",
    "storageClass": "x-goog-storage-class", "customTime": "x-goog-custom-time",
}  # fmt: skip


def answer_media(
    call: Call, catalog: Catalog, find: Callable[[Rows], StoredObject], extra: Callable[[StoredObject], dict[str, str]]
) -> Answer:
    """The content of a version, or the part of it that the request's Range names.

    Args:
        find: the version that is meant.
        extra: headers beside the usual ones.

    Raises:
        CloudError: 304 and 412 against preconditions, 416 for a range beyond the end.
    """
    version, file = _open(catalog, find)
    try:
        headers = media_headers(version) | extra(version)
        check(call, version, reading=True, tag=headers["etag"].strip('"'))
        if _is_unpacked_for(call.headers, headers):
            return _decompressed(file, headers)
        return _slice(call, version, file, headers)
    except BaseException:
        file.close()
        raise


def media_headers(version: StoredObject) -> dict[str, str]:
    """The headers that describe a version, as the JSON API sends them with its content."""
    hashes = [f"crc32c={version.crc32c}"] + ([f"md5={version.md5}"] if version.md5 else [])
    named = {header: header_text(version.fields[field]) for field, header in NAMED.items() if field in version.fields}
    return named | {
        "etag": tag_of(version),
        "last-modified": format_datetime(datetime.fromisoformat(version.updated), usegmt=True),
        "accept-ranges": "bytes",
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": ",".join(hashes),
        "x-goog-stored-content-encoding": named.get("content-encoding", "identity"),
        "x-goog-stored-content-length": str(version.size),
    }


def header_text(value: str) -> str:
    """A text as the value of a header: UTF-8, which headers carry as Latin-1, without line breaks."""
    return value.replace("\r", " ").replace("\n", " ").encode().decode("latin-1")


def _open(catalog: Catalog, find: Callable[[Rows], StoredObject]) -> tuple[StoredObject, IO[bytes]]:
    """The version and its open file; once open, a file outlives the removal of its version."""
    tries_left = TRIES
    while True:
        with catalog.reading() as rows:
            version = find(rows)
        try:
            return version, version.path.open("rb")
        except FileNotFoundError:  # replaced between the lines above: the next look finds what replaced it
            tries_left -= 1
            if not tries_left:
                raise


def _slice(call: Call, version: StoredObject, file: IO[bytes], headers: dict[str, str]) -> Answer:
    try:
        is_same = call.headers.get("if-range", headers["etag"]).strip('"') == headers["etag"].strip('"')
        wanted = _range(call.headers, version.size) if is_same else None
    except CloudError as error:
        file.close()
        return Answer(status=416, body=error.body(), headers={"content-range": f"bytes */{version.size}"})
    start, end = wanted or (0, version.size)
    if wanted:
        headers["content-range"] = f"bytes {start}-{end - 1}/{version.size}"
    headers["content-length"] = str(end - start)
    status = 206 if wanted else 200
    if call.verb == "HEAD":
        file.close()
        return Answer(status=status, body=b"", headers=headers)
    pieces = _pieces(file, start, end - start)
    body = b"".join(pieces) if end - start <= CHUNK_BYTES else pieces
    return Answer(status=status, body=body, headers=headers)


def _range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    match = RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return None  # no range, or one of a kind that a server may pass over
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
        empty = last == "0" or size == 0
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        empty = start >= size
    if empty:
        message = f"The requested range cannot be satisfied: the object has {size} bytes"
        raise CloudError(416, "requestedRangeNotSatisfiable", message)
    return (start, end) if end > start else None


def _is_unpacked_for(asked: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    packed = headers.get("content-encoding") == "gzip" and "no-transform" not in headers.get("cache-control", "")
    return packed and "gzip" not in asked.get("accept-encoding", "")


def _decompressed(file: IO[bytes], headers: dict[str, str]) -> Answer:
    """What Google calls decompressive transcoding: the whole content, whatever the range."""
    headers = {name: value for name, value in headers.items() if name not in ("content-encoding", "accept-ranges")}
    unpacked = gzip.GzipFile(fileobj=file)
    return Answer(body=iter(lambda: unpacked.read(CHUNK_BYTES), b""), headers=headers)


def _pieces(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while length > 0 and (piece := file.read(min(CHUNK_BYTES, length))):
            length -= len(piece)
            yield piece
