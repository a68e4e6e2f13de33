"""The keys of a table as four numbers: equal for two tables that hold the same keys equally often, however large.

Adds up over parts of a table, and takes no memory for them. The hashes are DuckDB's, so digests are compared only
within one image. Does not own what is wrong with keys that differ (`gate.py`).
"""

from dataclasses import dataclass

import duckdb

from service.columns import Column
from service.data_files import DataFiles, select
from service.predictions import cast


@dataclass(frozen=True)
class KeyDigest:
    """How many keys there are, rows without one, and two independent sums of hashes of 64 bits."""

    keys: int = 0
    without: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: "KeyDigest") -> "KeyDigest":
        return KeyDigest(
            self.keys + other.keys,
            self.without + other.without,
            self.first + other.first,
            self.second + other.second,
        )


def of_all(connection: duckdb.DuckDBPyConnection, files: DataFiles, key: Column) -> KeyDigest:
    """The digest of each key as often as it occurs."""
    return _digest(connection, f"({select(f'{cast(key)} AS key', files.relation())})")


def of_different(connection: duckdb.DuckDBPyConnection, files: DataFiles, key: Column) -> KeyDigest:
    """The digest of the different keys; spills to disk where they do not fit into DuckDB's memory."""
    return _digest(connection, f"({select(f'DISTINCT {cast(key)} AS key', files.relation())})")


def _digest(connection: duckdb.DuckDBPyConnection, source: str) -> KeyDigest:
    # A sum of hashes alone would take two keys of one hash for each other; the second hash is of another text.
    sums = ", ".join(
        f"coalesce(sum({hashed}) FILTER (WHERE key IS NOT NULL), 0)::HUGEINT"
        for hashed in ("hash(key)", "hash('~' || key)")
    )
    answer = connection.execute(select(f"count(key), count(*) - count(key), {sums}", source)).fetchone()
    return KeyDigest(*(int(number) for number in answer or ()))
