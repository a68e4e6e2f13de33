"""The catalog of Cloud Storage: buckets, versions of objects and open uploads, in one SQLite file.

Owns what is durable and in which order it changes. Does not own the bytes (contents.py), nor what a version replaces
(versions.py).
"""

import dataclasses
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.storage.contents import Content
from local.storage.records import Bucket, NoBucket, StoredObject, Upload, rfc3339
from local.wire import CloudError

UPLOAD_LIFE = timedelta(days=7)  # of an open upload, https://cloud.google.com/storage/docs/resumable-uploads
BUSY_SECONDS = 30.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, project TEXT, metageneration INTEGER, created TEXT,
  updated TEXT, fields TEXT, bindings TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (bucket TEXT, name TEXT, generation INTEGER, state TEXT, metageneration INTEGER,
  content TEXT, size INTEGER, md5 TEXT, crc32c TEXT, created TEXT, updated TEXT, deleted TEXT, expires TEXT,
  fields TEXT, PRIMARY KEY (bucket, name, generation)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS one_is_live ON objects (bucket, name) WHERE state = 'live';
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, bucket TEXT, name TEXT, created TEXT, content TEXT,
  request TEXT, result TEXT);
CREATE TABLE IF NOT EXISTS parts (upload TEXT, number INTEGER, content TEXT, size INTEGER, md5 TEXT, crc32c TEXT,
  PRIMARY KEY (upload, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (last INTEGER);
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT * FROM clock);
"""
OBJECT_COLUMNS = (
    "bucket, name, generation, state, metageneration, content, size, md5, crc32c, created, updated, deleted, "
    "expires, fields, (SELECT json_extract(buckets.fields, '$.retentionPolicy.retentionPeriod') FROM buckets "
    "WHERE buckets.name = objects.bucket)"
)
# Not INSERT OR REPLACE, which would delete a second live version in silence instead of failing.
SAVE_OBJECT = """INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (bucket, name, generation) DO UPDATE SET state = excluded.state, updated = excluded.updated,
  metageneration = excluded.metageneration, deleted = excluded.deleted, expires = excluded.expires,
  fields = excluded.fields"""


@dataclass
class Rows:
    """The rows of the catalog as one connection sees them. Contents dropped here are removed after the commit."""

    db: sqlite3.Connection
    contents: Path
    dropped: list[Path] = field(default_factory=list)

    def find_bucket(self, name: str) -> Bucket | None:
        """The bucket, or None."""
        row = self.db.execute("SELECT * FROM buckets WHERE name = ?", (name,)).fetchone()
        return _bucket(row) if row else None

    def bucket(self, name: str) -> Bucket:
        """The bucket.

        Raises:
            NoBucket: 404.
        """
        found = self.find_bucket(name)
        if found is None:
            raise NoBucket
        return found

    def buckets(self, project: str, prefix: str, after: str, limit: int) -> list[Bucket]:
        """Buckets of a project in order of their names, from the first one after `after`."""
        sql = "SELECT * FROM buckets WHERE project = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
        return [_bucket(row) for row in self.db.execute(sql, (project, after, len(prefix), prefix, limit))]

    def save_bucket(self, bucket: Bucket) -> None:
        """Write or replace a bucket."""
        row = dataclasses.astuple(dataclasses.replace(bucket, fields={}, bindings=[]))[:5]
        values = (*row, json.dumps(bucket.fields), json.dumps(bucket.bindings))
        self.db.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def remove_bucket(self, name: str) -> None:
        """Remove a bucket, what was soft-deleted in it, and its open uploads."""
        for (content,) in self.db.execute("SELECT content FROM objects WHERE bucket = ?", (name,)).fetchall():
            self.dropped.append(self.contents / content)
        self.db.execute("DELETE FROM objects WHERE bucket = ?", (name,))
        for (upload,) in self.db.execute("SELECT id FROM uploads WHERE bucket = ?", (name,)).fetchall():
            self.remove_upload(upload)
        self.db.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def is_empty(self, bucket: str) -> bool:
        """Whether a bucket has neither live nor noncurrent versions."""
        sql = "SELECT 1 FROM objects WHERE bucket = ? AND state != 'softDeleted' LIMIT 1"
        return self.db.execute(sql, (bucket,)).fetchone() is None

    def next_generation(self) -> int:
        """A number that no version had before, close to the microseconds since 1970."""
        self.db.execute("UPDATE clock SET last = max(last + 1, ?)", (time.time_ns() // 1000,))
        return int(self.db.execute("SELECT last FROM clock").fetchone()[0])

    def live(self, bucket: str, name: str) -> StoredObject | None:
        """The live version, or None."""
        return self._one("bucket = ? AND name = ? AND state = 'live'", (bucket, name))

    def find(self, bucket: str, name: str, generation: int | None = None, *, soft: bool = False) -> StoredObject:
        """One version: the live one unless a generation is named.

        Args:
            soft: look among the soft-deleted versions instead.

        Raises:
            CloudError: 404, of the bucket or of the object.
        """
        if generation is None:
            found = self.live(bucket, name)
        else:
            where = f"bucket = ? AND name = ? AND generation = ? AND state {'=' if soft else '!='} 'softDeleted'"
            found = self._one(where, (bucket, name, generation))
        if found is None:
            self.bucket(bucket)
            raise CloudError(404, "notFound", f"No such object: {bucket}/{name}")
        return found

    def scan(self, bucket: str, where: str, start: tuple[str, int], end: str) -> Iterator[StoredObject]:
        """Versions in order of name and generation, from `start` on, names below `end` ("": no limit); read lazily."""
        sql = (
            f"SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND {where} AND (name, generation) >= (?, ?)"  # noqa: S608 - no user text
            f"{' AND name < ?' if end else ''} ORDER BY name, generation"
        )
        return map(self._object, self.db.execute(sql, (bucket, *start, *([end] if end else []))))

    def save(self, version: StoredObject) -> None:
        """Write or replace one version."""
        v = version
        row = (v.bucket, v.name, v.generation, v.state, v.metageneration, v.content, v.size, v.md5, v.crc32c)
        values = (*row, v.created, v.updated, v.deleted, v.expires, json.dumps(v.fields))
        self.db.execute(SAVE_OBJECT, values)

    def remove(self, version: StoredObject) -> None:
        """Remove one version for good."""
        key = (version.bucket, version.name, version.generation)
        self.db.execute("DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?", key)
        self.dropped.append(version.path)

    def find_upload(self, id: str, bucket: str) -> Upload | None:
        """An open or finished upload to a bucket, or None."""
        row = self.db.execute("SELECT * FROM uploads WHERE id = ? AND bucket = ?", (id, bucket)).fetchone()
        if row is None:
            return None
        request, result = json.loads(row[5]), json.loads(row[6]) if row[6] else None
        return Upload(
            id=row[0], bucket=row[1], name=row[2], created=row[3], content=row[4], request=request, result=result
        )

    def save_upload(self, upload: Upload) -> None:
        """Write or replace an upload."""
        row = (upload.id, upload.bucket, upload.name, upload.created, upload.content, json.dumps(upload.request))
        result = json.dumps(upload.result) if upload.result else None
        self.db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, result))

    def remove_upload(self, id: str) -> None:
        """Forget an upload, and the bytes it has gathered."""
        sql = "SELECT content FROM uploads WHERE id = ? UNION ALL SELECT content FROM parts WHERE upload = ?"
        self.dropped += [self.contents / content for (content,) in self.db.execute(sql, (id, id)) if content]
        self.db.execute("DELETE FROM uploads WHERE id = ?", (id,))
        self.db.execute("DELETE FROM parts WHERE upload = ?", (id,))

    def parts(self, upload: str) -> dict[int, Content]:
        """The parts of a multipart upload, in order of their numbers."""
        sql = "SELECT number, content, size, md5, crc32c FROM parts WHERE upload = ? ORDER BY number"
        return {row[0]: Content(self.contents / row[1], *row[2:]) for row in self.db.execute(sql, (upload,))}

    def save_part(self, upload: str, number: int, content: Content) -> None:
        """Write a part, or replace the one of the same number."""
        old = self.db.execute("SELECT content FROM parts WHERE upload = ? AND number = ?", (upload, number)).fetchone()
        if old:
            self.dropped.append(self.contents / old[0])
        row = (upload, number, content.path.name, content.size, content.md5, content.crc32c)
        self.db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget_expired(self) -> None:
        """Remove soft-deleted versions whose time is over, and uploads that nobody finished in a week."""
        expired = self.db.execute(f"SELECT {OBJECT_COLUMNS} FROM objects WHERE expires < ?", (rfc3339(),))  # noqa: S608
        for row in expired.fetchall():
            self.remove(self._object(row))
        old = rfc3339(datetime.now(UTC) - UPLOAD_LIFE)
        for (upload,) in self.db.execute("SELECT id FROM uploads WHERE created < ?", (old,)).fetchall():
            self.remove_upload(upload)

    def known_contents(self) -> set[str]:
        """The names of all content files that some row needs."""
        sql = (
            "SELECT content FROM objects UNION ALL SELECT content FROM parts "
            "UNION ALL SELECT content FROM uploads WHERE content IS NOT NULL"
        )
        return {row[0] for row in self.db.execute(sql)}

    def _one(self, where: str, values: tuple[Any, ...]) -> StoredObject | None:
        row = self.db.execute(f"SELECT {OBJECT_COLUMNS} FROM objects WHERE {where}", values).fetchone()  # noqa: S608
        return self._object(row) if row else None

    def _object(self, row: tuple[Any, ...]) -> StoredObject:
        bucket, name, generation, state, metageneration, content, size, md5, crc32c, *times, fields, retention = row
        return StoredObject(
            bucket=bucket, name=name, generation=generation, state=state, metageneration=metageneration,
            folder=self.contents, content=content, size=size, md5=md5, crc32c=crc32c,
            created=times[0], updated=times[1], deleted=times[2], expires=times[3], fields=json.loads(fields),
            retention=int(retention or 0),
        )  # fmt: skip


class Catalog:
    """The SQLite file: one writer at a time, readers beside it.

    Args:
        folder: where the file lies.
        contents: the folder of the content files that rows name.
    """

    def __init__(self, folder: Path, contents: Path) -> None:
        self._file, self._contents = folder / "catalog.sqlite", contents
        self._lock = threading.Lock()
        self._writer = self._connect()
        # FULL: in WAL mode only this makes a commit wait for the disk.
        self._writer.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    @contextmanager
    def changing(self) -> Iterator[Rows]:
        """One durable change: all of it is on disk when the block has ended, or none of it if the block raised."""
        rows = Rows(self._writer, self._contents)
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield rows
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        for path in rows.dropped:
            path.unlink(missing_ok=True)

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """The last committed state; never waits for a writer."""
        try:
            reader = self._readers.get_nowait()
        except queue.Empty:
            reader = self._connect()
        try:
            yield Rows(reader, self._contents)
        finally:
            self._readers.put(reader)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            while not self._readers.empty():
                self._readers.get_nowait().close()
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)


def _bucket(row: tuple[Any, ...]) -> Bucket:
    name, project, metageneration, created, updated, fields, bindings = row
    return Bucket(
        name=name, project=project, metageneration=metageneration, created=created, updated=updated,
        fields=json.loads(fields), bindings=json.loads(bindings),
    )  # fmt: skip
