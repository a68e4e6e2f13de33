"""How many rows a table has and how many logical bytes, by the sizes that BigQuery documents for its types.

Source: https://cloud.google.com/bigquery/pricing#data
"""

import threading
from collections.abc import Iterable

import duckdb

from local.warehouse.catalog import Table
from local.warehouse.database import quoted
from local.warehouse.schema import Field, mode_of

FIXED_BYTES = {
    "INTEGER": 8, "FLOAT": 8, "NUMERIC": 16, "BIGNUMERIC": 32, "BOOLEAN": 1, "DATE": 8, "TIME": 8, "DATETIME": 8,
    "TIMESTAMP": 8, "INTERVAL": 16,
}  # fmt: skip
REMEMBERED = 1000


def _size(field: Field, value: str, depth: int = 0) -> str:
    """The bytes of one value, as a DuckDB expression; NULL has none."""
    if mode_of(field) == "REPEATED" and depth >= 0:
        name = f"e{depth}"
        inner = _size(field | {"mode": "NULLABLE"}, name, depth + 1)
        return f"coalesce(list_sum(list_transform({value}, lambda {name}: {inner})), 0)"
    if field["type"] == "RECORD":
        parts = [_size(f, f"{value}.{quoted(f['name'])}", max(depth, 0)) for f in field["fields"]]
        return "(" + " + ".join(parts) + ")"
    if field["type"] in FIXED_BYTES:
        return f"CASE WHEN {value} IS NULL THEN 0 ELSE {FIXED_BYTES[field['type']]} END"
    return f"coalesce(2 + {_length(field, value)}, 0)"


def _length(field: Field, value: str) -> str:
    return f"octet_length({value})" if field["type"] == "BYTES" else f"strlen(CAST({value} AS VARCHAR))"


def _total(field: Field) -> str:
    name = quoted(field["name"])
    if field["type"] in FIXED_BYTES and mode_of(field) != "REPEATED":
        return f"{FIXED_BYTES[field['type']]} * count({name})"
    if field["type"] != "RECORD" and mode_of(field) != "REPEATED":  # half the time of the general form
        return f"2 * count({name}) + coalesce(sum({_length(field, name)}), 0)"
    return f"coalesce(sum({_size(field, name)}), 0)"


class Sizes:
    """Counts rows and bytes, and remembers them until the table changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def of(
        self,
        cursor: duckdb.DuckDBPyConnection,
        table: Table,
        condition: str = "TRUE",
        columns: Iterable[str] | None = None,
    ) -> tuple[int, int]:
        """Rows that meet a condition, and the bytes of some of their columns (all, unless named).

        The table must not have been changed by the transaction of `cursor`.
        """
        if table.physical is None:
            return 0, 0
        wanted = None if columns is None else {c.lower() for c in columns}
        fields = [f for f in table.fields if wanted is None or f["name"].lower() in wanted]
        modified = str(table.resource.get("lastModifiedTime"))
        key = (table.physical, modified, condition, *(f["name"] for f in fields))
        with self._lock:
            if key in self._known:
                return self._known[key]
        total = " + ".join(["0", *(_total(f) for f in fields)])
        row = cursor.execute(f"SELECT count(*), {total} FROM {table.physical} WHERE {condition}").fetchone()
        result = (int(row[0]), int(row[1])) if row else (0, 0)
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = result
        return result
