"""Keeps the resources of Cloud Run in one SQLite file: jobs, executions, operations, as their JSON."""

import glob
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
JOB, EXECUTION, OPERATION = "job", "execution", "operation"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, name TEXT, body TEXT, UNIQUE (kind, name)
)
"""


class RunStore:
    """Resources by kind and full name. Each method is atomic, and durable when it returns.

    Args:
        folder: created when missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "run.sqlite", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # survives the end of this process; a power cut may take the tail
        self._db.execute(_SCHEMA)

    def add(self, kind: str, body: Resource) -> bool:
        """Keep a new resource under its `name`; False, and nothing done, when the name is taken."""
        query = "INSERT OR IGNORE INTO resources (kind, name, body) VALUES (?, ?, ?)"
        with self._lock, self._db:
            return self._db.execute(query, (kind, body["name"], json.dumps(body))).rowcount == 1

    def get(self, kind: str, name: str) -> Resource | None:
        """The resource, or None."""
        with self._lock:
            return self._get(kind, name)

    def change(self, kind: str, name: str, edit: Callable[[Resource], None]) -> Resource | None:
        """Let `edit` alter the resource in place and keep the result; None when there is no such resource.

        What `edit` raises leaves the resource as it was.
        """
        with self._lock, self._db:
            body = self._get(kind, name)
            if body is not None:
                edit(body)
                query = "UPDATE resources SET body = ? WHERE kind = ? AND name = ?"
                self._db.execute(query, (json.dumps(body), kind, name))
            return body

    def delete(self, kind: str, name: str) -> None:
        """Forget a resource."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM resources WHERE kind = ? AND name = ?", (kind, name))

    def of(self, kind: str, pattern: str, *, before: int | None = None, limit: int = -1) -> list[tuple[int, Resource]]:
        """Resources whose name is `pattern`, where a segment `-` stands for any, newest first, with their positions.

        Args:
            before: continue behind this position.
            limit: at most so many; all when negative.
        """
        names = "/".join("*" if part == "-" else glob.escape(part) for part in pattern.split("/"))
        query = "SELECT seq, body FROM resources WHERE kind = ? AND name GLOB ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        with self._lock:
            rows = self._db.execute(query, (kind, names, before or 1 << 62, limit)).fetchall()
        return [(seq, json.loads(body)) for seq, body in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _get(self, kind: str, name: str) -> Resource | None:
        row = self._db.execute("SELECT body FROM resources WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return None if row is None else json.loads(row[0])
