"""The bytes of objects: files that are written once, under opaque names, and hashed on the way in.

Does not own which file belongs to which object (catalog.py); a file that no row names is removed at the next start.
"""

import base64
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import google_crc32c

from local.wire import CHUNK_BYTES, CloudError


class HashMismatch(CloudError):
    """400: the bytes that arrived are not those whose hash was sent along."""

    def __init__(self, kind: str, provided: str, calculated: str) -> None:
        label = {"md5": "MD5 hash", "crc32c": "CRC32C"}[kind]
        message = f'Provided {label} "{provided}" doesn\'t match calculated {label} "{calculated}".'
        super().__init__(400, "invalid", message)


@dataclass(frozen=True)
class Content:
    """A complete file: size in bytes, hashes in base64."""

    path: Path
    size: int
    md5: str
    crc32c: str

    def verify(self, claims: Iterable[tuple[str, str]]) -> None:
        """Compare with hashes that a client sent, as (`md5` or `crc32c`, base64).

        Raises:
            HashMismatch: 400.
        """
        for kind, provided in claims:
            calculated = self.md5 if kind == "md5" else self.crc32c
            if provided != calculated:
                raise HashMismatch(kind, provided, calculated)


class Contents:
    """A folder of content files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._directory = os.open(folder, os.O_RDONLY)

    def new(self) -> Path:
        """A path that no file has had."""
        return self.folder / uuid.uuid4().hex

    def write(self, source: IO[bytes], length: int | None = None) -> Content:
        """Copy `length` bytes (or all) to a new file; they are on disk when this returns."""
        return self._fill(_pieces(source, length))

    def join(self, paths: Iterable[Path]) -> Content:
        """Copy files one after the other to a new one; it is on disk when this returns.

        Raises:
            CloudError: 404 when a file's object was deleted meanwhile.
        """
        with _still_there():
            return self._fill(piece for path in paths for piece in _file_pieces(path))

    def append(self, path: Path, source: IO[bytes], length: int) -> None:
        """Add `length` bytes to an unfinished file; they are on disk when this returns."""
        with path.open("ab") as file:
            for piece in _pieces(source, length):
                file.write(piece)
            _settle(file)

    def measure(self, path: Path) -> Content:
        """Hash a file that is already there; one that was never begun is empty."""
        with path.open("ab") as file:
            _settle(file)
        hashes = _Hashes()
        for piece in _file_pieces(path):
            hashes.update(piece)
        return hashes.content(path)

    def take(self, source: Path) -> Content:
        """Move a file in."""
        path = self.new()
        shutil.move(source, path)
        os.fsync(self._directory)
        return self.measure(path)

    def twin(self, path: Path) -> Path:
        """The same bytes under a second name: files are never changed, so both share the disk space.

        Raises:
            CloudError: 404 when the file's object was deleted meanwhile.
        """
        twin = self.new()
        with _still_there():
            twin.hardlink_to(path)
        os.fsync(self._directory)
        return twin

    @contextmanager
    def unless_kept(self, path: Path) -> Iterator[None]:
        """Remove a file again if the block raises, because then no row names it."""
        try:
            yield
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def sweep(self, known: set[str]) -> None:
        """Remove what a killed process left behind: files that are not `known`."""
        for entry in os.scandir(self.folder):
            if entry.name not in known:
                Path(entry.path).unlink()

    def close(self) -> None:
        """Release the folder."""
        os.close(self._directory)

    def _fill(self, pieces: Iterable[bytes]) -> Content:
        path, hashes = self.new(), _Hashes()
        with self.unless_kept(path), path.open("xb") as file:
            for piece in pieces:
                file.write(piece)
                hashes.update(piece)
            _settle(file)
        return hashes.content(path)


class _Hashes:
    def __init__(self) -> None:
        self.size, self.md5, self.crc32c = 0, hashlib.md5(usedforsecurity=False), google_crc32c.Checksum()  # type: ignore[no-untyped-call]  # has no types

    def update(self, piece: bytes) -> None:
        self.size += len(piece)
        self.md5.update(piece)
        self.crc32c.update(piece)  # type: ignore[no-untyped-call]  # has no types

    def content(self, path: Path) -> Content:
        md5, crc32c = (base64.b64encode(digest.digest()).decode() for digest in (self.md5, self.crc32c))
        return Content(path, self.size, md5, crc32c)


@contextmanager
def _still_there() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise CloudError(404, "notFound", "No such object: it was deleted while this request read it") from error


def _settle(file: IO[bytes]) -> None:
    """Wait for the disk. On ext4, XFS, btrfs and APFS that covers the name of a new file, too."""
    file.flush()
    os.fsync(file.fileno())


def _pieces(source: IO[bytes], length: int | None) -> Iterator[bytes]:
    left = length
    while left != 0 and (piece := source.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))):
        left = None if left is None else left - len(piece)
        yield piece


def _file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _pieces(file, None)
