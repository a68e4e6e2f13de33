"""A fingerprint of a table's content that BigQuery, DuckDB and Python compute alike.

Two tables with the same rows, in any order, have the same fingerprint; a changed value changes it. The formula, in
whole numbers of 64 bits whose division truncates:

1. A value becomes numbers of at most 33 bits. INT64 n is DIV(n, 2^31) and MOD(n, 2^31), and so is TIMESTAMP, as its
   microseconds since 1970 in UTC. FLOAT64 x of at most 2^32 - 1 is cut, after 30 bits behind its point, into a whole
   number and the next 52 bits, both modulo the prime 2^31 - 19; and a 0. That is exact from 2^-30 on, and for 0. All
   else is a text, and then 32 bits of the text's MD5 (its bytes in reverse, the last 8 hex digits): STRING as it is;
   BOOL `true`; DATE `2024-05-01`; NUMERIC with nine decimals. Other FLOAT64 have such a digest in the place of the 0,
   of C's `%.17g`, which names each double; every NaN is `nan`. NULL has numbers of its own.
2. Each number has a factor of 26 bits by its place. A row is r, the sum of its products, modulo 2^31 - 1; and it counts
   as r^2 and as r^3, so that values exchanged between rows do not cancel out.
3. The fingerprint is `<rows>-<sum of r^2>-<sum of r^3>`, each power modulo 2^31 - 1, the sums in hex.

Arithmetic, because texts of numbers and one MD5 a row took most of a large run's time. The parts of a table have
fingerprints that add up to its own. It finds mistakes and losses; it is no proof against someone who chooses rows to
deceive it.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from service.data_files import name as double_quoted
from service.data_files import select

Columns = Sequence[tuple[str, str]]  # (name, type as in schema.json) in the order in which they are hashed

BASE, PRIME = 2**31, 2**31 - 1
CUT_PRIME = 2**31 - 19  # another: modulo 2^31 - 1 the double 2147483647 would be like 0
GROUP = 16  # products that add up without an overflow
NULL = 7_046_029_254_386_353_131  # a number that no value is likely to have
NULL_TEXT = 7_046_029_254  # more than a digest can be
GREATEST = 2**32 - 1  # of a double that is cut
WHOLE, REST = 2**30, 2**52  # what makes whole numbers of a double, and of what is left then
HEX_DIGITS = 8  # of a digest, from its end
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Dialect:
    """How GoogleSQL or DuckDB's SQL says the same."""

    quote: str
    divided: str
    remainder: str
    digest: str  # of a text, as a number
    double: str
    micros: str
    decimals: str
    printed: str

    def name(self, column: str) -> str:
        """A column's name as an identifier."""
        return double_quoted(column) if self.quote == '"' else f"`{column}`"


# BigQuery makes no number of bytes, but it reads hex digits.
BIGQUERY = Dialect(
    quote="`",
    divided="DIV({n}, {by})",
    remainder="MOD({n}, {by})",
    digest=f"CAST(CONCAT('0x', SUBSTR(TO_HEX(REVERSE(MD5({{t}}))), {33 - HEX_DIGITS})) AS INT64)",
    double="{c}",
    micros="UNIX_MICROS({c})",
    decimals="FORMAT('%.9f', {c})",
    printed="CASE WHEN IS_NAN({c}) THEN 'nan' ELSE FORMAT('%.17g', {c}) END",
)
DUCKDB = Dialect(
    quote='"',
    divided="(({n}) // {by})",
    remainder="(({n}) % {by})",
    digest=f"CAST(md5_number({{t}}) & {16**HEX_DIGITS - 1}::UHUGEINT AS INT64)",
    double="{c}::DOUBLE",
    micros="epoch_us({c})",
    decimals="CAST(CAST({c} AS DECIMAL(38, 9)) AS STRING)",
    printed="CASE WHEN isnan({c}) THEN 'nan' ELSE printf('%.17g', {c}) END",
)


def bigquery_sql(columns: Columns, source: str, *, where: str = "TRUE", also: str = "") -> str:
    """GoogleSQL that answers one row: the number of rows and the two sums, then the expressions of `also`.

    Args:
        source: a table, quoted as GoogleSQL wants it.
        also: more aggregates over the same rows, separated by commas.
    """
    return _sql(BIGQUERY, columns, source, where, also)


def duckdb_sql(columns: Columns, source: str, *, also: str = "") -> str:
    """The same question in DuckDB's SQL, `source` being a table or a table function."""
    return _sql(DUCKDB, columns, source, "TRUE", also)


def _sql(dialect: Dialect, columns: Columns, source: str, where: str, also: str) -> str:
    """Steps of their own, so that neither warehouse computes a number twice: values, numbers, row, powers, sums."""
    values, cuts, numbers = list[str](), list[str](), list[str]()
    for at, (column, kind) in enumerate(columns):
        value = dialect.name(column)
        if kind == "FLOAT64":
            value = dialect.double.format(c=value)
            values.append(_scaled(value, at))
            cuts += _cut(at)
            numbers += [dialect.remainder.format(n=f"{n}{at}_", by=CUT_PRIME) for n in ("w", "f")]
            numbers.append(_other(dialect, value, at))
        elif kind in ("INT64", "TIMESTAMP"):
            number = value if kind == "INT64" else dialect.micros.format(c=value)
            values.append(f"COALESCE({number}, {NULL}) AS v{at}_")
            numbers += [form.format(n=f"v{at}_", by=BASE) for form in (dialect.divided, dialect.remainder)]
        else:
            numbers.append(f"COALESCE({_digest_of(dialect, value, kind)}, {NULL_TEXT})")
    step = select(", ".join(["*", *values]), source, where=where)
    step = select(", ".join(["*", *cuts]), f"({step})")
    step = select(f"*, {_row(dialect, numbers)} AS r_", f"({step})")
    square, cube = (dialect.remainder.format(n=f"{n}_ * r_", by=PRIME) for n in ("r", "s"))
    step = select(f"*, {square} AS s_", f"({step})")
    sums = [f"CAST(COALESCE(SUM({n}), 0) AS INT64)" for n in ("s_", cube)]
    return select(", ".join(["COUNT(*)", *sums, *([also] if also else [])]), f"({step})")


def _factor(at: int) -> int:
    """Of the number at a place: 26 bits without a pattern."""
    return int(pow(48_271, at + 7, PRIME)) >> 5 | 1


def _row(dialect: Dialect, numbers: Sequence[str]) -> str:
    products = [f"{number} * {_factor(at)}" for at, number in enumerate(numbers)]
    groups = [" + ".join(products[at : at + GROUP]) for at in range(0, len(products), GROUP)]
    remainders = [dialect.remainder.format(n=group, by=PRIME) for group in groups]
    # A remainder has the sign of what is divided; each added number makes up for a negative one.
    return dialect.remainder.format(n=f"{' + '.join(remainders)} + {len(groups) * PRIME}", by=PRIME)


def _digest_of(dialect: Dialect, column: str, kind: str) -> str:
    text = dialect.decimals.format(c=column) if kind == "NUMERIC" else f"CAST({column} AS STRING)"
    return dialect.digest.format(t=text)


def _scaled(value: str, at: int) -> str:
    """What is cut of a double. Written with e0, because a decimal point alone makes a DECIMAL in DuckDB."""
    return f"CASE WHEN {value} BETWEEN -{GREATEST}e0 AND {GREATEST}e0 THEN {value} * {WHOLE}e0 ELSE 0e0 END AS v{at}_"


def _cut(at: int) -> tuple[str, str]:
    value = f"v{at}_"
    rest = f"({value} - TRUNC({value})) * {REST}e0"
    return f"CAST(TRUNC({value}) AS INT64) AS w{at}_", f"CAST(TRUNC({rest}) AS INT64) AS f{at}_"


def _other(dialect: Dialect, value: str, at: int) -> str:
    """The number that stands for a double that cannot be cut; the usual case comes first, which is all most need."""
    digest = dialect.digest.format(t=dialect.printed.format(c=value))
    return f"CASE WHEN w{at}_ <> 0 OR {value} = 0 THEN 0 WHEN {value} IS NULL THEN {NULL_TEXT} ELSE {digest} END"


def kind_of_duckdb(kind: str) -> str:
    """The type to hash a DuckDB column as; types without a counterpart are hashed by their text."""
    if kind in ("DOUBLE", "FLOAT"):
        return "FLOAT64"
    if kind.startswith("TIMESTAMP"):
        return "TIMESTAMP"
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return "INT64"
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if decimal and int(decimal[2]) <= 9 and int(decimal[1]) - int(decimal[2]) <= 29:  # as NUMERIC
        return "NUMERIC"
    return "STRING"


def text(rows: int, first: int, second: int) -> str:
    """The fingerprint of the three numbers that the SQL answers first."""
    return f"{rows}-{first:x}-{second:x}"


def parts_of(fingerprint: str) -> tuple[int, int, int]:
    """The three numbers of a fingerprint."""
    rows, first, second = fingerprint.split("-")
    return int(rows), int(first, 16), int(second, 16)


def combined(fingerprints: Iterable[str]) -> str:
    """The fingerprint of a table from those of its parts."""
    rows = first = second = 0
    for part in map(parts_of, fingerprints):
        rows, first, second = rows + part[0], first + part[1], second + part[2]
    return text(rows, first, second)


def of_rows(columns: Columns, rows: Iterable[Sequence[object]]) -> str:
    """The formula in Python, for few rows and for people who want to check the others."""
    count = squares = cubes = 0
    for row in rows:
        numbers = [n for (_, kind), value in zip(columns, row, strict=True) for n in _in_python(kind, value)]
        mixed = sum(number * _factor(at) for at, number in enumerate(numbers)) % PRIME
        count, squares, cubes = count + 1, squares + mixed**2 % PRIME, cubes + mixed**3 % PRIME
    return text(count, squares, cubes)


def _split(number: int, by: int = BASE) -> tuple[int, int]:
    """Truncated as in SQL: both have the number's sign."""
    whole, rest = divmod(abs(number), by)
    return (whole, rest) if number >= 0 else (-whole, -rest)


def _in_python(kind: str, value: object) -> tuple[int, ...]:
    if kind == "FLOAT64":
        return _cut_in_python(value) if isinstance(value, float | int) else (0, 0, NULL_TEXT)
    if kind in ("INT64", "TIMESTAMP"):
        if isinstance(value, datetime):
            return _split((value - EPOCH) // timedelta(microseconds=1))
        return _split(value if isinstance(value, int) else NULL)
    return (NULL_TEXT if value is None else _digest(_written(kind, value)),)


def _cut_in_python(value: float) -> tuple[int, int, int]:
    rest, whole = math.modf(value * WHOLE if abs(value) <= GREATEST else 0.0)
    other = 0 if whole or value == 0 else _digest("nan" if math.isnan(value) else f"{value:.17g}")
    return _split(int(whole), CUT_PRIME)[1], _split(int(rest * REST), CUT_PRIME)[1], other


def _digest(text: str) -> int:
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return int(digest[::-1].hex()[-HEX_DIGITS:], 16)


def _written(kind: str, value: object) -> str:
    if kind == "NUMERIC" and isinstance(value, Decimal | int):
        return f"{abs(Decimal(value)) if value == 0 else Decimal(value):.9f}"
    if kind == "DATE" and isinstance(value, date):
        return value.isoformat()
    return str(value).lower() if kind == "BOOL" else str(value)
