"""Objects whose content is part of the program: DAG files and the like."""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.provider.bucket_kind import API
from local.provider.kind import Scope, State
from local.provider.rest_kind import Field, RestKind
from local.provider.schemas import Fault
from local.provider.values import Asset, Properties, plain
from local.wire import CHUNK_BYTES, CloudError


class BucketObject(RestKind):
    """An object with a `source` (StringAsset or FileAsset) or with `content`."""

    type = "gcp:storage/bucketObject:BucketObject"
    named = "name"
    remade = ("crc32c", "generation", "md5hash", "md5hexhash", "mediaLink")
    fields = tuple(
        Field(name)
        for name in (
            "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "metadata",
            "storageClass", "eventBasedHold", "temporaryHold", "kmsKeyName",
        )
    )  # fmt: skip

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """Exactly one of `source` and `content`, and a source that is a file or text of the program."""
        given = [name for name in ("source", "content") if name in inputs]
        if len(given) != 1:
            yield Fault("source", f"Exactly one of 'source' and 'content' is needed, {len(given)} are given.")
        source = plain(inputs.get("source"))
        if isinstance(source, Asset) and (source.kind != "asset" or not {"text", "path"} & source.fields.keys()):
            yield Fault("source", "The local cloud takes a StringAsset or a FileAsset, no archive and no URL.")

    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """From bucket and name: the id joins them by a dash, which both may contain."""
        if not outputs:
            raise CloudError(501, "notImplemented", f"Object {id!r} cannot be imported, nor can the real provider.")
        return f"/storage/v1/b/{quote(outputs['bucket'], safe='')}/o/{quote(outputs['name'], safe='')}"

    def insert(self, facts: Properties, scope: Scope) -> str:
        """Upload the content with its metadata in one request."""
        boundary = secrets.token_hex(16)
        metadata = {"name": facts["name"], **self.body(facts)}
        self.rest.call(
            "POST",
            f"/upload/storage/v1/b/{quote(facts['bucket'], safe='')}/o",
            query={"uploadType": "multipart"},
            content=_multipart(metadata, _content(facts, scope), boundary),
            content_type=f"multipart/related; boundary={boundary}",
        )
        return f"{facts['bucket']}-{facts['name']}"

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """Content that somebody else wrote shows in `detectMd5hash`, which exists for that."""
        found = super().read(id, inputs, outputs, scope)
        if found is None:
            return None
        observed, state = found
        if state.outputs["md5hash"] != outputs.get("md5hash"):
            observed = {**observed, "detectMd5hash": state.outputs["md5hash"]}
        return observed, state

    def patch(self, id: str, body: Properties, before: Properties, facts: Properties, scope: Scope) -> None:
        """Upload again when the content changed, here or there; else change the metadata."""
        if any(before.get(name) != facts.get(name) for name in ("content", "source", "detectMd5hash", "sourceMd5hash")):
            self.insert(facts, scope)
        else:
            super().patch(id, body, before, facts, scope)

    def computed(self, found: Mapping[str, Any]) -> Properties:
        """Hashes and generation from the service; addresses as on the platform."""
        md5 = str(found.get("md5Hash", ""))
        place = f"b/{found['bucket']}/o/{quote(found['name'], safe='')}"
        generation = int(found["generation"])
        return {
            "contentType": found.get("contentType"),
            "storageClass": found.get("storageClass"),
            "crc32c": found.get("crc32c"),
            "generation": generation,
            "md5hash": md5,
            "md5hexhash": base64.b64decode(md5).hex(),
            "mediaLink": f"https://storage.googleapis.com/download/storage/v1/{place}?generation={generation}&alt=media",
            "outputName": found["name"],
            "selfLink": f"{API}/{place}",
        }


def _content(facts: Properties, scope: Scope) -> Iterator[bytes]:
    source = facts.get("source")
    if not isinstance(source, Asset):
        yield str(facts["content"]).encode()
    elif "path" in source.fields:
        yield from _file(scope.path(source.fields["path"]))
    else:
        yield str(source.fields["text"]).encode()


def _file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece
    except OSError as error:
        raise CloudError(400, "invalid", f"Cannot read {str(path)!r} of a FileAsset: {error.strerror}.") from error


def _multipart(metadata: Properties, content: Iterator[bytes], boundary: str) -> Iterator[bytes]:
    """https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object, as a multipart upload."""
    kind = metadata.get("contentType") or "application/octet-stream"
    part = f"--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{json.dumps(metadata)}\r\n"
    yield f"{part}--{boundary}\r\ncontent-type: {kind}\r\n\r\n".encode()
    yield from content
    yield f"\r\n--{boundary}--\r\n".encode()
