"""Objects of a bucket that are made once, read as they were made, or changed only by compare-and-swap.

Does not own what the objects mean. Every write names the generation it replaces, so a repeated request is harmless.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Bucket

from service.errors import BadData

ABSENT = 0  # the generation that says: only when no such object exists
CHUNK_BYTES = 1 << 20


def read_json(bucket: Bucket, name: str) -> tuple[dict[str, Any] | None, int]:
    """Read an object of JSON and its generation; `(None, ABSENT)` when there is none.

    Raises:
        BadData: it holds something else, because somebody wrote it by hand or cut it.
    """
    blob = bucket.blob(name)
    try:
        content = blob.download_as_bytes()
    except NotFound as error:
        # The same status, but a bucket that is not there would otherwise look like one without versions.
        if "bucket does not exist" in str(error):
            raise
        return None, ABSENT
    try:
        value = json.loads(content)
    except ValueError as error:
        raise unfit(bucket, name, f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise unfit(bucket, name, "is not a JSON object")
    return value, int(blob.generation)


def unfit(bucket: Bucket, name: str, why: str) -> BadData:
    """The error for an object that is not what the service writes there."""
    to_do = "Look at its generations with `gcloud storage ls --all-versions`, and copy the last good one over it."
    return BadData(f"Object 'gs://{bucket.name}/{name}' {why}.", to_do)


def swap_json(bucket: Bucket, name: str, value: dict[str, Any], *, generation: int) -> bool:
    """Write one line of JSON if the object still has the generation that was read.

    Returns:
        Whether the object now holds the value. False means that somebody else changed it: read it again.
    """
    text = json.dumps(value, sort_keys=True)
    try:
        bucket.blob(name).upload_from_string(text, content_type="application/json", if_generation_match=generation)
    except PreconditionFailed:
        # Also the answer when the client repeats a request whose first answer was lost.
        return bool(read_json(bucket, name)[0] == json.loads(text))
    return True


def create_file(bucket: Bucket, name: str, path: Path) -> int:
    """Upload a file to a name that is free, and return the generation.

    Safe to repeat with the same content.

    Raises:
        PreconditionFailed: the name holds something else.
    """
    blob = bucket.blob(name)
    try:
        blob.upload_from_filename(str(path), if_generation_match=ABSENT)
    except PreconditionFailed:
        blob.reload()
        if blob.md5_hash != base64.b64encode(_digest(path, "md5").digest()).decode():
            raise
    return int(blob.generation)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    return str(_digest(path, "sha256").hexdigest())


def _digest(path: Path, algorithm: str) -> Any:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest
