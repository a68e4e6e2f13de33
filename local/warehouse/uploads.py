"""Load jobs whose file comes with the request: multipart and resumable uploads, kept until their job is done."""

import json
import os
import re
import threading
import uuid
from pathlib import Path
from typing import IO

from local.storage.uploads import read_related
from local.warehouse.catalog import Resource
from local.warehouse.job_routes import JobRoutes
from local.wire import Answer, Call, CloudError, Method

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
CHUNK = 1 << 20


class Uploads:
    """The upload forms of bigquery.jobs.insert.

    Args:
        folder: holds files that wait for their job, and those that have not arrived whole.
    """

    def __init__(self, folder: Path, routes: JobRoutes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._routes = folder, routes
        self._lock = threading.Lock()

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        path = "/bigquery/v2/projects/{project}/jobs"
        supports = "multipart, resumable"
        return [
            Method("bigquery.jobs.insert", verb, prefix + path, self.upload, supports=supports)
            for prefix in ("/upload", "/resumable/upload")
            for verb in ("POST", "PUT")
        ]

    def upload(self, call: Call) -> Answer:
        """Take a file, or a part of one; its job starts when it is whole."""
        if "upload_id" in call.query:
            with self._lock:
                return self._proceed(call)
        kind = call.query.get("uploadType")
        if kind == "multipart":
            return self._multipart(call)
        if kind == "resumable":
            return self._begin(call)
        raise CloudError(501, "notImplemented", f"The local warehouse does not take uploads of type {kind!r}")

    def _multipart(self, call: Call) -> Answer:
        body, length = read_related(call.headers.get("content-type", ""), call.body)
        name = uuid.uuid4().hex
        with (self._folder / name).open("wb") as file:
            _copy(call.body, file, length)
        return self._job(call, body, name)

    def _job(self, call: Call, body: Resource, name: str) -> Answer:
        body.pop("contentType", None)  # of the second part
        try:
            return Answer(body=self._routes.start(call, body, uploaded=name))
        except CloudError:
            (self._folder / name).unlink(missing_ok=True)
            raise

    def _begin(self, call: Call) -> Answer:
        name = uuid.uuid4().hex
        (self._folder / name).touch()
        (self._folder / f"{name}.json").write_text(json.dumps(call.json()))
        location = f"{call.base_url}{call.path}?uploadType=resumable&upload_id={name}"
        return Answer(body=b"", headers={"location": location, "x-guploader-uploadid": name})

    def _proceed(self, call: Call) -> Answer:
        name = call.query["upload_id"]
        path, about = self._folder / name, self._folder / f"{name}.json"
        if not re.fullmatch(r"[0-9a-f]{32}", name) or not about.exists():
            raise CloudError(404, "notFound", f"No upload {name!r}")
        size = path.stat().st_size
        header = call.headers.get("content-range", "")
        match = CONTENT_RANGE.fullmatch(header)
        start, total = (match[1], match[2]) if match else ("0", "whole")
        length = call.body.seek(0, os.SEEK_END)
        call.body.seek(0)
        if start is not None:
            if int(start) > size:
                raise CloudError(400, "invalid", f"The upload has {size} bytes; Content-Range starts at {start}")
            with path.open("r+b") as file:
                file.seek(int(start))
                _copy(call.body, file, length)
            size = int(start) + length
        if total == "whole" or (total != "*" and size >= int(total)):
            body = json.loads(about.read_text())
            about.unlink()
            return self._job(call, body, name)
        return Answer(status=308, body=b"", headers={"range": f"bytes=0-{size - 1}"} if size else {})


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    """Copy `length` bytes and see them on the disk, because the job that reads them may outlive this process."""
    while length > 0 and (piece := source.read(min(CHUNK, length))):
        target.write(piece)
        length -= len(piece)
    target.flush()
    os.fsync(target.fileno())
