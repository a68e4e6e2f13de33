"""How far a numeric column has moved away from an earlier delivery: the population stability index.

The values of the reference are cut into bins at its quantiles; with p and q the shares of a bin's rows now and then,

    PSI = sum over the bins of (p - q) * ln(p / q)

(N. Siddiqi, Credit Risk Scorecards, Wiley 2006; 0.1 is usually read as some, 0.25 as much change). Ours are:

- Bins end half-way between neighbouring deciles of the reference, so that a value which many rows share lies inside a
  bin and not on its edge. A column of one value has a bin of a tenth around it.
- Rows without a value (NULL, NaN, infinite) are a bin of their own. A bin without rows counts as half a row.
- Few rows differ by chance. Without any change PSI is distributed as chi-square, with one degree of freedom less than
  there are bins, times 1/n + 1/m (B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan
  University 2018). What happens by chance once in a million is never taken for drift: see `by_chance`.

Everything is counted by SQL, in BigQuery and DuckDB alike; no row passes through Python. Does not own limits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from service import data_files
from service.columns import NUMBERS, Column

PARTS = 10
MARGIN = 0.1  # of a column of one value, to both sides
CHANCE = 4.753  # of the normal distribution: what is exceeded once in a million


@dataclass(frozen=True)
class Shape:
    """How a column's rows fall into bins: the edges between them, and rows without a value, then rows in each bin."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts)


@dataclass(frozen=True)
class Dialect:
    """How GoogleSQL or DuckDB's SQL says the same."""

    value: str
    quantiles: str
    count: str
    number: str
    quote: str

    def name(self, column: str) -> str:
        """A column's name as an identifier."""
        return data_files.name(column) if self.quote == '"' else f"`{column}`"

    def value_of(self, column: Column) -> str:
        """A column's value as a double, NULL where there is none."""
        return self.value.format(c=self.name(column.name))


BIGQUERY = Dialect(
    value="IF(IS_NAN(CAST({c} AS FLOAT64)) OR IS_INF(CAST({c} AS FLOAT64)), NULL, CAST({c} AS FLOAT64))",
    quantiles="APPROX_QUANTILES({v}, " + str(PARTS) + ")",
    count="COUNTIF({condition})",
    number="CAST('{number!r}' AS FLOAT64)",
    quote="`",
)
DUCKDB = Dialect(
    value="CASE WHEN isfinite({c}::DOUBLE) THEN {c}::DOUBLE END",
    quantiles="quantile_disc({v}, [" + ", ".join(f"{part / PARTS}::DOUBLE" for part in range(PARTS + 1)) + "])",
    count="count(*) FILTER (WHERE {condition})",
    number="CAST('{number!r}' AS DOUBLE)",
    quote='"',
)


def compared(columns: Sequence[Column], key: str) -> list[Column]:
    """The columns whose drift is measured: numbers, other than the key."""
    return [column for column in columns if column.type in NUMBERS and column.name != key]


def quantiles_sql(dialect: Dialect, columns: Sequence[Column], source: str, where: str = "TRUE") -> str:
    """SQL that answers one row: a list of the deciles of each column, the least and greatest value included."""
    lists = (dialect.quantiles.format(v=dialect.value_of(column)) for column in columns)
    return data_files.select(", ".join(lists), source, where=where)


def counts_sql(
    dialect: Dialect, columns: Sequence[Column], edges: Sequence[Sequence[float]], source: str, where: str = "TRUE"
) -> str:
    """SQL that answers one row: of each column all rows, those with a value, and those up to each edge."""
    counts = []
    for column, ends in zip(columns, edges, strict=True):
        value = dialect.value_of(column)
        conditions = ["TRUE", f"{value} IS NOT NULL", *(f"{value} <= {dialect.number.format(number=e)}" for e in ends)]
        counts += [dialect.count.format(condition=condition) for condition in conditions]
    return data_files.select(", ".join(counts), source, where=where)


def edges_of(quantiles: Sequence[float] | None) -> tuple[float, ...]:
    """Where bins end: half-way between different quantiles."""
    values = sorted(set(quantiles or ()))
    if len(values) == 1:
        margin = abs(values[0]) * MARGIN or MARGIN
        return (values[0] - margin, values[0] + margin)
    return tuple(left + (right - left) / 2 for left, right in pairwise(values))


def shapes(edges: Sequence[tuple[float, ...]], answer: Sequence[int]) -> list[Shape]:
    """The columns' shapes from the answer to `counts_sql`."""
    found, at = [], 0
    for ends in edges:
        rows, valued, *up_to = answer[at : at + 2 + len(ends)]
        at += 2 + len(ends)
        steps = [0, *up_to, valued]
        bins = (after - before for before, after in pairwise(steps))
        found.append(Shape(ends, (rows - valued, *bins)))
    return found


def index(now: Shape, then: Shape) -> float:
    """The population stability index of two shapes with the same edges."""
    total = 0.0
    for new, old in zip(now.counts, then.counts, strict=True):
        if new or old:
            p, q = max(new, 0.5) / now.rows, max(old, 0.5) / then.rows
            total += (p - q) * math.log(p / q)
    return total


def by_chance(now: Shape, then: Shape) -> float:
    """The index that two draws of so many rows from one population exceed once in a million.

    The quantile of chi-square is Wilson and Hilferty's (Proceedings of the National Academy of Sciences 17, 1931).
    """
    filled = sum(1 for counts in zip(now.counts, then.counts, strict=True) if any(counts))
    freedom = max(filled - 1, 1)
    part = 2 / (9 * freedom)
    chi_square = freedom * (1 - part + CHANCE * math.sqrt(part)) ** 3
    return float(chi_square * (1 / now.rows + 1 / then.rows))
