"""Rows as JSON: DuckDB writes a result as the API's `{"f": [{"v": ...}]}`, so that no value passes through Python.

Source of the forms: https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list
"""

import json
from collections.abc import Sequence
from typing import Any

import duckdb

from local.warehouse.database import quoted
from local.warehouse.schema import Field, mode_of
from local.wire import Answer

MAX_PAGE = 50_000  # Google ends a page at 10 MB
JSON_TYPE = {"content-type": "application/json; charset=UTF-8"}

# How a value of each type is written as text, x being the value.
_FRACTION = "CASE WHEN extract('microsecond' FROM {x}) % 1000000 = 0 THEN '' ELSE strftime({x}, '.%f') END"
TEXTS = {
    "STRING": "{x}",
    "JSON": "CAST({x} AS VARCHAR)",
    "INTEGER": "CAST({x} AS VARCHAR)",
    "BOOLEAN": "CAST({x} AS VARCHAR)",
    "FLOAT": "CASE WHEN isnan({x}) THEN 'NaN' WHEN isinf({x}) THEN CASE WHEN {x} > 0 THEN 'Infinity' ELSE '-Infinity' END"
    " ELSE CAST({x} AS VARCHAR) END",
    "NUMERIC": "bq_numeric_string({x})",
    "BIGNUMERIC": "bq_bignumeric_string({x})",
    "BYTES": "to_base64({x})",
    "DATE": "CAST({x} AS VARCHAR)",
    "TIME": "strftime(DATE '1970-01-01' + {x}, '%H:%M:%S') || "
    + _FRACTION.replace("strftime({x}", "strftime(DATE '1970-01-01' + {x}"),
    "DATETIME": "strftime({x}, '%Y-%m-%dT%H:%M:%S') || " + _FRACTION,
    "INTERVAL": "bq_interval_string({x})",
}
TIMESTAMPS = {
    "INT64": "CAST(epoch_us({x}) AS VARCHAR)",
    "FLOAT": "CAST(CAST(epoch_us({x}) AS DOUBLE) / 1e6 AS VARCHAR)",
}


ESCAPED = ("STRING", "JSON")  # whose text may hold what JSON must escape


def _value(field: Field, x: str, timestamps: str, depth: int) -> str:
    """A DuckDB expression for the JSON text of one value."""
    if mode_of(field) == "REPEATED":
        name = f"e{depth}"
        item = _cell(field | {"mode": "NULLABLE"}, name, timestamps, depth + 1)
        return f"('[' || array_to_string(list_transform(coalesce({x}, []), lambda {name}: {item}), ',') || ']')"
    if field["type"] == "RECORD":
        cells = [_cell(f, f"{x}.{quoted(f['name'])}", timestamps, depth) for f in field["fields"]]
        return f"CASE WHEN {x} IS NULL THEN 'null' ELSE {_row(cells)} END"
    pattern = timestamps if field["type"] == "TIMESTAMP" else TEXTS[field["type"]]
    text = pattern.replace("{x}", x)
    written = f"CAST(to_json({text}) AS VARCHAR)" if field["type"] in ESCAPED else f"('\"' || {text} || '\"')"
    return f"coalesce({written}, 'null')"


def _cell(field: Field, x: str, timestamps: str, depth: int) -> str:
    return f"('{{\"v\":' || {_value(field, x, timestamps, depth)} || '}}')"


def _row(cells: list[str]) -> str:
    inner = " || ',' || ".join(cells)
    return f"('{{\"f\":[' || {inner} || ']}}')"


def row_sql(fields: Sequence[Field], *, int64_timestamps: bool) -> str:
    """A DuckDB expression that writes one row of a table with these fields."""
    timestamps = TIMESTAMPS["INT64" if int64_timestamps else "FLOAT"]
    return _row([_cell(f, quoted(f["name"]), timestamps, 0) for f in fields])


def read(
    cursor: duckdb.DuckDBPyConnection,
    source: str,
    fields: Sequence[Field],
    *,
    start: int,
    size: int,
    condition: str = "TRUE",
    int64_timestamps: bool = False,
) -> list[str]:
    """Rows `start` to `start + size` of a DuckDB table in the order they were written, each as JSON text."""
    if not fields or size == 0:
        return []
    row = row_sql(fields, int64_timestamps=int64_timestamps)
    sql = f"SELECT {row} FROM {source} WHERE {condition} LIMIT {size} OFFSET {start}"
    return [text for (text,) in cursor.execute(sql).fetchall()]


def page(
    cursor: duckdb.DuckDBPyConnection,
    source: str,
    fields: Sequence[Field],
    *,
    start: int,
    size: int,
    condition: str,
    int64_timestamps: bool,
) -> tuple[list[str], int]:
    """A page of rows, and how many there are in all; counted only where the page does not tell."""
    found = read(cursor, source, fields, start=start, size=size, condition=condition, int64_timestamps=int64_timestamps)
    if fields and len(found) < size and (found or start == 0):
        return found, start + len(found)
    row = cursor.execute(f"SELECT count(*) FROM {source} WHERE {condition}").fetchone()
    return found, int(row[0]) if row else 0


def answer(head: dict[str, Any], found: list[str]) -> Answer:
    """An answer whose rows are JSON text already."""
    if not found:
        return Answer(body=head)
    text = f'{json.dumps(head)[:-1]}, "rows": [{",".join(found)}]}}'
    return Answer(body=text.encode(), headers=JSON_TYPE)
