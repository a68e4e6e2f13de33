"""Versions of a model: immutable folders of files in the models bucket, each complete once its manifest is there.

Does not own which version is live (`promotions.py`). Files are created once, the manifest last; a folder without a
manifest is no version. The manifest names each file's SHA-256 and generation, and files are read by generation.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud.storage import Bucket

from service import objects
from service.errors import BadData, UpstreamFailed

FOLDER = "versions"
MANIFEST = "manifest.json"
TRAIN_AGAIN = "Train again, or roll back to a version that is whole."


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a version is made of, and from what. `files` maps a name to its sha256, size in bytes and generation."""

    version: str
    model: str
    run_date: str
    run_id: str
    execution: str
    created_at: str
    code_commit: str | None
    image_digest: str | None
    input_rows: int | None
    input_fingerprint: str | None
    metrics: dict[str, Any]
    files: dict[str, dict[str, Any]]
    evaluation: dict[str, Any] = field(default_factory=dict)  # see promotion_gate.py
    environment_fingerprint: str | None = None  # see model_environment.py


def new_id(run_date: date, attempt: str) -> str:
    """A version id that no other attempt makes: `<run date>-<8 hex digits>`."""
    return f"{run_date}-{hashlib.sha256(attempt.encode()).hexdigest()[:8]}"


def files_of(folder: Path) -> dict[str, Path]:
    """The files that a version is made of, by their names in it.

    Raises:
        BadData: the folder holds no file, or one with the manifest's name.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if not paths:
        raise BadData("The training left no file in its output_path.", "Make the model save what it learnt there.")
    if MANIFEST in paths:
        text = f"The training left a file '{MANIFEST}', a name that versions use themselves."
        raise BadData(text, "Give the model's file another name.")
    return paths


def publish(bucket: Bucket, version: str, folder: Path, **origin: Any) -> Manifest:
    """Upload a folder as a version: every file, then the manifest.

    Safe to repeat with the same content. A failure leaves files without a manifest, which no one reads.

    Args:
        origin: the fields of Manifest that say where the version comes from.

    Raises:
        BadData: see `files_of`.
    """
    files = {}
    for name, path in files_of(folder).items():
        generation = objects.create_file(bucket, f"{FOLDER}/{version}/{name}", path)
        files[name] = {"sha256": objects.sha256(path), "size": path.stat().st_size, "generation": generation}
    created_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    manifest = Manifest(version=version, created_at=created_at, files=files, **origin)
    if not objects.swap_json(bucket, _manifest_name(version), asdict(manifest), generation=objects.ABSENT):
        text = f"Version '{version}' exists already in 'gs://{bucket.name}'."
        raise UpstreamFailed(text, "Look for a second process of this execution; its version stands.")
    return manifest


def read(bucket: Bucket, version: str) -> Manifest:
    """The manifest of a version.

    Raises:
        BadData: there is no such version, it was never completed, or its manifest was written by something else.
    """
    document, _ = objects.read_json(bucket, _manifest_name(version))
    if document is None:
        text = f"Version '{version}' has no manifest in 'gs://{bucket.name}': it does not exist or is not complete."
        raise BadData(text, TRAIN_AGAIN)
    try:
        return Manifest(**document)
    except TypeError as error:
        text = f"The manifest of version '{version}' in 'gs://{bucket.name}' is not one of this release: {error}."
        raise BadData(text, TRAIN_AGAIN) from error


def all_of(bucket: Bucket) -> Iterator[Manifest]:
    """Every complete version, oldest first."""
    for blob in bucket.list_blobs(match_glob=f"{FOLDER}/*/{MANIFEST}"):
        yield read(bucket, blob.name.split("/")[1])


def fetch(bucket: Bucket, manifest: Manifest, folder: Path) -> None:
    """Download the files of a version into a folder, and verify each.

    Raises:
        BadData: a file is gone, was replaced, or is not what the training made.
    """
    for name, known in manifest.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blob = bucket.blob(f"{FOLDER}/{manifest.version}/{name}", generation=known["generation"])
        where = f"File '{name}' of version '{manifest.version}' in 'gs://{bucket.name}'"
        try:
            blob.download_to_filename(str(path))
        except NotFound as error:
            raise BadData(f"{where} was deleted or replaced after the training.", TRAIN_AGAIN) from error
        if objects.sha256(path) != known["sha256"]:
            raise BadData(f"{where} is not what the training made: its SHA-256 differs.", TRAIN_AGAIN)


def verify(bucket: Bucket, manifest: Manifest) -> None:
    """See that each file of a version is still the one that the training made, without reading it.

    Raises:
        BadData: a file is gone or was replaced.
    """
    for name, known in manifest.files.items():
        blob = bucket.get_blob(f"{FOLDER}/{manifest.version}/{name}", generation=known["generation"])
        if blob is None or blob.size != known["size"]:
            where = f"File '{name}' of version '{manifest.version}' in 'gs://{bucket.name}'"
            raise BadData(f"{where} was deleted or replaced after the training.", TRAIN_AGAIN)


def _manifest_name(version: str) -> str:
    return f"{FOLDER}/{version}/{MANIFEST}"
