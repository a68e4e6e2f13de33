"""Keeps log entries in one SQLite file, ordered by instant."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from local.log_entry import Row

Position = tuple[str, str, str]  # timestamp in normal form, insert id, parent: what has these in common is one entry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    parent TEXT, timestamp TEXT, insert_id TEXT, log_name TEXT, entry TEXT,
    PRIMARY KEY (parent, timestamp, insert_id, log_name)
) WITHOUT ROWID
"""


class LogStore:
    """Entries on disk. One writer at a time; each reader has its own connection and sees a stable state.

    Args:
        folder: created when missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "entries.sqlite"
        self._lock = threading.Lock()
        self._db = sqlite3.connect(self._file, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # survives the end of this process; a power cut may take the tail
        self._db.execute(_SCHEMA)

    def add(self, rows: Sequence[Row]) -> None:
        """Keep entries, all or none. One of the same log, instant and insert id is the same entry and kept once."""
        values = [(r.parent, r.timestamp, r.insert_id, r.log_name, json.dumps(r.entry)) for r in rows]
        with self._lock, self._db:
            self._db.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", values)

    def scan(
        self, parents: Sequence[str], *, since: str, until: str, after: Position | None, descending: bool
    ) -> Iterator[tuple[Position, dict[str, Any]]]:
        """Entries in order, `since` and `until` included, beginning behind `after`; those of one position in a row."""
        places = ", ".join("?" * len(parents))
        sign, order = ("<", "DESC") if descending else (">", "ASC")
        beyond = f" AND (timestamp, insert_id, parent) {sign} (?, ?, ?)" if after else ""
        query = (
            f"SELECT timestamp, insert_id, parent, entry FROM entries WHERE parent IN ({places})"  # noqa: S608 - only placeholders
            f" AND timestamp >= ? AND timestamp <= ?{beyond}"
            f" ORDER BY timestamp {order}, insert_id {order}, parent {order}"
        )
        with closing(sqlite3.connect(self._file)) as db:
            for timestamp, insert_id, parent, entry in db.execute(query, [*parents, since, until, *(after or ())]):
                yield (timestamp, insert_id, parent), json.loads(entry)

    def names(self, parent: str) -> list[str]:
        """The logs of a project that have entries, sorted."""
        query = "SELECT DISTINCT log_name FROM entries WHERE parent = ? ORDER BY log_name"
        with self._lock:
            return [name for (name,) in self._db.execute(query, (parent,))]

    def delete(self, log_name: str) -> int:
        """Remove a log; returns how many entries it had."""
        with self._lock, self._db:
            return self._db.execute("DELETE FROM entries WHERE log_name = ?", (log_name,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
