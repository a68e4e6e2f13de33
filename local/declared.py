"""What the Pulumi program declared on this local cloud, one row per resource, kept on disk.

Other parts read it to learn what should run: Airflow its environment, the metadata server its accounts.
"""

import json
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A declared resource: its Pulumi type token, provider id, and its properties in camelCase."""

    token: str
    id: str
    properties: dict[str, Any]


class Declared:
    """A durable table of resources, keyed by (token, id).

    Args:
        folder: created when missing; holds one SQLite file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "declared.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS declared (token TEXT, id TEXT, properties TEXT, PRIMARY KEY (token, id))"
        )

    def put(self, resource: Resource) -> None:
        """Write or replace one resource."""
        row = (resource.token, resource.id, json.dumps(resource.properties))
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO declared VALUES (?, ?, ?)", row)

    def get(self, token: str, id: str) -> Resource | None:
        """The resource, or None."""
        with self._lock:
            row = self._db.execute("SELECT properties FROM declared WHERE token = ? AND id = ?", (token, id)).fetchone()
        return Resource(token, id, json.loads(row[0])) if row else None

    def remove(self, token: str, id: str) -> None:
        """Forget one resource; forgetting an unknown one does nothing."""
        with self._lock:
            self._db.execute("DELETE FROM declared WHERE token = ? AND id = ?", (token, id))

    def all(self) -> list[Resource]:
        """All resources, by type token and id."""
        with self._lock:
            rows = self._db.execute("SELECT token, id, properties FROM declared ORDER BY token, id").fetchall()
        return [Resource(t, i, json.loads(p)) for t, i, p in rows]

    def of_type(self, token: str) -> list[Resource]:
        """All resources of a type token such as `gcp:composer/environment:Environment`, by id."""
        with self._lock:
            rows = self._db.execute(
                "SELECT token, id, properties FROM declared WHERE token = ? ORDER BY id", (token,)
            ).fetchall()
        return [Resource(t, i, json.loads(p)) for t, i, p in rows]

    def version(self) -> tuple[int, int]:
        """A value that differs after every change, be it by this process or by another."""
        with self._lock:
            by_others = self._db.execute("PRAGMA data_version").fetchone()[0]
            return int(by_others), self._db.total_changes

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
