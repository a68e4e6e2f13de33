"""A fingerprint of a table's content that BigQuery, DuckDB and Python compute alike.

Two tables with the same rows, in any order, have the same fingerprint; a changed value changes it. The formula, in
whole numbers of 64 bits whose division truncates:

1. A value becomes numbers of at most 33 bits. INT64 n is DIV(n, 2^31) and MOD(n, 2^31), and so is TIMESTAMP, as its
   microseconds since 1970 in UTC. FLOAT64 x of ordinary size (2^-30 to 2^32, and 0) is cut into trunc(x), the next 30
   bits, the next 26 and the last 26, which is exact, and 0. All else is a text, and then 60 bits of the text's MD5 (its
   bytes in reverse, the last 15 hex digits), taken apart as INT64 is: STRING as it is; BOOL `true`; DATE `2024-05-01`;
   NUMERIC with nine decimals. Other FLOAT64 are four times 0 and MOD(n, 2^31) of such a digest of C's `%.17g`, which
   names each double; every NaN is `nan`. NULL has numbers of its own.
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
GROUP = 16  # products that add up without an overflow
NULL = 7_046_029_254_386_353_131  # a number that no value is likely to have
LEAST, GREATEST = 2.0**-30, 2.0**32  # of a double that is taken apart
STEPS = (30, 26, 26)  # bits of a double after its whole part
MASK = (1 << 60) - 1  # of a digest: its last 15 hex digits
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
    digest="CAST(CONCAT('0x', SUBSTR(TO_HEX(REVERSE(MD5({t}))), 18)) AS INT64)",
    double="{c}",
    micros="UNIX_MICROS({c})",
    decimals="FORMAT('%.9f', {c})",
    printed="CASE WHEN IS_NAN({c}) THEN 'nan' ELSE FORMAT('%.17g', {c}) END",
)
DUCKDB = Dialect(
    quote='"',
    divided="(({n}) // {by})",
    remainder="(({n}) % {by})",
    digest=f"CAST(md5_number({{t}}) & {MASK}::UHUGEINT AS INT64)",
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
    values, numbers = list[str](), list[str]()
    for at, (column, kind) in enumerate(columns):
        value = dialect.name(column)
        if kind == "FLOAT64":
            values += _values_of_double(dialect, dialect.double.format(c=value), at)
            numbers += [*_cut(f"v{at}_"), f"d{at}_"]
        else:
            values.append(f"COALESCE({_number(dialect, value, kind)}, {NULL}) AS v{at}_")
            numbers += [form.format(n=f"v{at}_", by=BASE) for form in (dialect.divided, dialect.remainder)]
    step = select(", ".join(["*", *values]), source, where=where)
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


def _number(dialect: Dialect, column: str, kind: str) -> str:
    if kind == "INT64":
        return column
    if kind == "TIMESTAMP":
        return dialect.micros.format(c=column)
    text = dialect.decimals.format(c=column) if kind == "NUMERIC" else f"CAST({column} AS STRING)"
    return dialect.digest.format(t=text)


def _values_of_double(dialect: Dialect, value: str, at: int) -> tuple[str, str]:
    """What is cut of a double, and the number that stands for what cannot be cut."""
    size = f"ABS({value})"
    # Written with e0, because a decimal point alone makes a DECIMAL in DuckDB.
    ordinary = f"{value} = 0 OR ({size} >= {LEAST!r} AND {size} < {int(GREATEST)}e0)"
    digest = dialect.remainder.format(n=dialect.digest.format(t=dialect.printed.format(c=value)), by=BASE)
    other = f"CASE WHEN {value} IS NULL THEN {NULL % BASE} WHEN {ordinary} THEN 0 ELSE {digest} END AS d{at}_"
    return f"CASE WHEN {ordinary} THEN {value} ELSE 0e0 END AS v{at}_", other


def _cut(value: str) -> list[str]:
    """The whole part of a double, then its bits after the point in steps, each exact."""
    cut, rest = [f"CAST(TRUNC({value}) AS INT64)"], f"({value} - TRUNC({value}))"
    for bits in STEPS:
        scaled = f"{rest} * {2**bits}e0"
        cut.append(f"CAST(TRUNC({scaled}) AS INT64)")
        rest = f"({scaled} - TRUNC({scaled}))"
    return cut


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


def _split(number: int) -> tuple[int, int]:
    """Truncated as in SQL: both have the number's sign."""
    whole, rest = divmod(abs(number), BASE)
    return (whole, rest) if number >= 0 else (-whole, -rest)


def _in_python(kind: str, value: object) -> tuple[int, ...]:
    if kind == "FLOAT64":
        return _cut_in_python(value) if isinstance(value, float | int) else (0, 0, 0, 0, NULL % BASE)
    if value is None:
        return _split(NULL)
    if kind == "INT64" and isinstance(value, int):
        return _split(value)
    if kind == "TIMESTAMP" and isinstance(value, datetime):
        return _split((value - EPOCH) // timedelta(microseconds=1))
    return _split(_digest(_written(kind, value)))


def _cut_in_python(value: float) -> tuple[int, ...]:
    if value != 0 and not LEAST <= abs(value) < GREATEST:
        return 0, 0, 0, 0, _digest("nan" if math.isnan(value) else f"{value:.17g}") % BASE
    rest, whole = math.modf(value)
    cut = [int(whole)]
    for bits in STEPS:
        rest, whole = math.modf(rest * 2**bits)
        cut.append(int(whole))
    return *cut, 0


def _digest(text: str) -> int:
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest, "little") & MASK


def _written(kind: str, value: object) -> str:
    if kind == "NUMERIC" and isinstance(value, Decimal | int):
        return f"{abs(Decimal(value)) if value == 0 else Decimal(value):.9f}"
    if kind == "DATE" and isinstance(value, date):
        return value.isoformat()
    return str(value).lower() if kind == "BOOL" else str(value)
