"""The keys of a table as four numbers: equal for two tables that hold the same keys equally often, however large.

Adds up over parts of a table, and takes no memory for them. The hashes are DuckDB's, so digests are compared only
within one image. Does not own what is wrong with keys that differ (`gate.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from service import data_files
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


def aggregates(key: Column) -> list[str]:
    """SQL for the numbers of the digest of each key as often as it occurs; `of_answer` reads them."""
    value = cast(key)
    # Hashes that happen to have one sum do not have the other as well.
    sums = [
        f"coalesce(sum({hashed}) FILTER (WHERE {value} IS NOT NULL), 0)::HUGEINT"
        for hashed in (f"hash({value})", f"hash({value}, 1)")
    ]
    return [f"count({value})", f"count(*) - count({value})", *sums]


def of_answer(numbers: Sequence[int]) -> KeyDigest:
    """The digest from what a query has answered to its `aggregates`."""
    return KeyDigest(*map(int, numbers))


def of_different(connection: duckdb.DuckDBPyConnection, files: DataFiles, key: Column) -> KeyDigest:
    """The digest of the different keys; spills to disk where they do not fit into DuckDB's memory."""
    name = data_files.name(key.name)
    different = f"({select(f'DISTINCT {cast(key)} AS {name}', files.relation())})"
    return of_answer(connection.execute(select(", ".join(aggregates(key)), different)).fetchone() or ())
