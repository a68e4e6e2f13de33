"""A fingerprint of a table's content that BigQuery, DuckDB and Python compute alike.

Two tables with the same rows, in any order, have the same fingerprint; a changed value changes it. The formula:

1. A value becomes a text: STRING as it is; INT64 and BOOL as `-7`, `true`; DATE as `2024-05-01`; TIMESTAMP as whole
   microseconds since 1970 in UTC; NUMERIC with nine decimals; FLOAT64 as C's `%.17g`, which names each double, except
   that both zeros are `0` and every NaN is `nan`.
2. Each text is written with its length in characters before it, `5:apple`; NULL is `N`. A row is these, joined.
3. A row's MD5 in hex gives two numbers: its first and its second eight digits.
4. The fingerprint is `<rows>-<sum of the first>-<sum of the second>`, the sums in hex.

It finds mistakes and losses. It is no proof against someone who chooses rows to deceive it.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from service.data_files import name as quoted
from service.data_files import select

Columns = Sequence[tuple[str, str]]  # (name, type as in schema.json) in the order in which they are hashed

BIGQUERY_TEXT = {
    "STRING": "{c}",
    "FLOAT64": "CASE WHEN IS_NAN({c}) THEN 'nan' WHEN {c} = 0 THEN '0' ELSE FORMAT('%.17g', {c}) END",
    "NUMERIC": "FORMAT('%.9f', {c})",
    "TIMESTAMP": "CAST(UNIX_MICROS({c}) AS STRING)",
}
DUCKDB_TEXT = {
    "FLOAT64": "CASE WHEN isnan({c}::DOUBLE) THEN 'nan' WHEN {c} = 0 THEN '0' ELSE printf('%.17g', {c}::DOUBLE) END",
    "NUMERIC": "CAST(CAST({c} AS DECIMAL(38, 9)) AS VARCHAR)",
    "TIMESTAMP": "CAST(epoch_us({c}) AS VARCHAR)",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bigquery_sql(columns: Columns, source: str, *, where: str = "TRUE", also: str = "") -> str:
    """GoogleSQL that answers one row: the number of rows and the two sums, then the expressions of `also`.

    Args:
        source: a table, quoted as GoogleSQL wants it.
        also: more aggregates over the same rows, separated by commas.
    """
    parts = []
    for column, kind in columns:
        text = BIGQUERY_TEXT.get(kind, "CAST({c} AS STRING)").format(c=f"`{column}`")
        parts.append(f"IFNULL(CONCAT(CAST(CHAR_LENGTH({text}) AS STRING), ':', {text}), 'N')")
    digest = f"TO_HEX(MD5(CONCAT({', '.join(parts)})))"
    sums = [f"IFNULL(SUM(CAST(CONCAT('0x', SUBSTR(row_digest_, {at}, 8)) AS INT64)), 0)" for at in (1, 9)]
    hashed = select(f"*, {digest} AS row_digest_", source, where=where)
    return select(", ".join(["COUNT(*)", *sums, *([also] if also else [])]), f"({hashed})")


def duckdb_sql(columns: Columns, source: str, *, also: str = "") -> str:
    """The same question in DuckDB's SQL, `source` being a table or a table function."""
    parts = []
    for column, kind in columns:
        text = DUCKDB_TEXT.get(kind, "CAST({c} AS VARCHAR)").format(c=quoted(column))
        parts.append(f"coalesce(length({text}) || ':' || {text}, 'N')")
    digest = f"md5({' || '.join(parts)})"
    sums = [f"coalesce(sum(CAST('0x' || substr(row_digest_, {at}, 8) AS BIGINT)), 0)::BIGINT" for at in (1, 9)]
    hashed = select(f"*, {digest} AS row_digest_", source)
    return select(", ".join(["count(*)", *sums, *([also] if also else [])]), f"({hashed})")


def kind_of_duckdb(kind: str) -> str:
    """The type to hash a DuckDB column as; types without a counterpart are hashed by their text."""
    if kind in ("DOUBLE", "FLOAT"):
        return "FLOAT64"
    if kind.startswith("TIMESTAMP"):
        return "TIMESTAMP"
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if decimal and int(decimal[2]) <= 9 and int(decimal[1]) - int(decimal[2]) <= 29:  # as NUMERIC
        return "NUMERIC"
    return "STRING"


def text(rows: int, first: int, second: int) -> str:
    """The fingerprint of the three numbers that the SQL answers."""
    return f"{rows}-{first:x}-{second:x}"


def of_rows(columns: Columns, rows: Iterable[Sequence[object]]) -> str:
    """The formula in Python, for few rows and for people who want to check the others."""
    count = first = second = 0
    for row in rows:
        line = "".join(_part(kind, value) for (_, kind), value in zip(columns, row, strict=True))
        digest = hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()
        count, first, second = count + 1, first + int(digest[:8], 16), second + int(digest[8:16], 16)
    return text(count, first, second)


def _part(kind: str, value: object) -> str:
    if value is None:
        return "N"
    written = _written(kind, value)
    return f"{len(written)}:{written}"


def _written(kind: str, value: object) -> str:
    if kind == "FLOAT64" and isinstance(value, float | int):
        return "nan" if math.isnan(value) else "0" if value == 0 else f"{value:.17g}"
    if kind == "NUMERIC" and isinstance(value, Decimal | int):
        return f"{abs(Decimal(value)) if value == 0 else Decimal(value):.9f}"
    if kind == "TIMESTAMP" and isinstance(value, datetime):
        return str((value - EPOCH) // timedelta(microseconds=1))
    if kind == "DATE" and isinstance(value, date):
        return value.isoformat()
    return str(value).lower() if kind == "BOOL" else str(value)
