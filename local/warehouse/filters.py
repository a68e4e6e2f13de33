"""Which partitions a query reads: the filter that a table may require, and the bytes that the query is charged for.

A filter counts where BigQuery can use it: a condition in WHERE or ON, ANDed, that compares the partitioning column (or a
date function of it) with constants. It may stand outside a subquery, view or WITH that passes the column through.
"""

from collections.abc import Iterable, Iterator

import duckdb
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections

from local.warehouse.catalog import Table
from local.warehouse.functions import rewrite
from local.warehouse.partitions import Partitioning
from local.warehouse.sizes import Sizes
from local.warehouse.statements import duck, invalid

COMPARISONS = (exp.EQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Is, exp.NEQ, exp.Not)
# Functions of a time that keep its order, so that a filter on them still names partitions.
MONOTONE = (exp.Cast, exp.Date, exp.TsOrDsToDate, exp.DateTrunc, exp.TimestampTrunc, exp.DatetimeTrunc, exp.Paren)


def _conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    elif condition is not None:
        yield condition


def _is_column(node: exp.Expr | None, alias: str, column: str) -> bool:
    while isinstance(node, MONOTONE):
        node = node.this
    if not isinstance(node, exp.Column) or node.name.lower() != column.lower():
        return False
    return not node.table or node.table.lower() == alias.lower()


def _is_constant(node: object) -> bool:
    if isinstance(node, list):
        return all(_is_constant(n) for n in node)
    return not isinstance(node, exp.Expr) or not any(node.find_all(exp.Column, exp.Query))


def _prunes(condition: exp.Expr, alias: str, column: str) -> bool:
    """Whether a condition alone tells which partitions are needed."""
    if isinstance(condition, exp.Paren):
        return _prunes(condition.this, alias, column)
    if isinstance(condition, exp.Or | exp.And):
        sides = [_prunes(side, alias, column) for side in (condition.this, condition.expression)]
        return all(sides) if isinstance(condition, exp.Or) else any(sides)
    if not isinstance(condition, COMPARISONS):
        return False
    if isinstance(condition, exp.Not):
        return _prunes(condition.this, alias, column)
    rest = [v for k, v in condition.args.items() if k not in ("this", "query")]
    if condition.args.get("query"):
        return False
    if _is_column(condition.this, alias, column):
        return _is_constant(rest)
    other = condition.args.get("expression")
    return isinstance(other, exp.Expr) and _is_column(other, alias, column) and _is_constant(condition.this)


def _conditions(node: exp.Expr, alias: str, column: str) -> list[exp.Expr]:
    """The usable filters on a column of a source that stands in a FROM or JOIN, or is the target of a DML statement."""
    scope = node.find_ancestor(exp.Select, exp.Update, exp.Delete, exp.Merge)
    if scope is None:
        return []
    where = scope.args.get("where")
    stated = list(_conjuncts(where.this if where else None))
    stated += [c for join in scope.args.get("joins") or [] for c in _conjuncts(join.args.get("on"))]
    stated += list(_conjuncts(scope.args.get("on")))
    found = [c for c in stated if _prunes(c, alias, column)]
    return found or (_outer_conditions(scope, column) if isinstance(scope, exp.Select) else [])


def _outer_conditions(select: exp.Select, column: str) -> list[exp.Expr]:
    """Filters outside a subquery or WITH that shows the column under some name."""
    name = _shown_as(select, column)
    holder = select.find_ancestor(exp.Subquery, exp.CTE)
    if name is None or holder is None or select.args.get("limit"):
        return []
    if isinstance(holder, exp.Subquery):
        outer = _conditions(holder, holder.alias, name)
        return [_renamed(c, name, column) for c in outer]
    root = holder.root()
    uses = [t for t in root.find_all(exp.Table) if "resolved" not in t.meta and t.name.lower() == holder.alias.lower()]
    per_use = [_conditions(t, t.alias_or_name, name) for t in uses]
    return (
        [_renamed(c, name, column) for c in per_use[0]]
        if per_use and all(per_use) and len(per_use) == 1
        else ([exp.true()] if per_use and all(per_use) else [])
    )


def _renamed(condition: exp.Expr, name: str, column: str) -> exp.Expr:
    renamed = condition.copy()
    for found in renamed.find_all(exp.Column):
        if found.name.lower() == name.lower():
            found.set("this", exp.to_identifier(column, quoted=True))
    return renamed


def _shown_as(select: exp.Select, column: str) -> str | None:
    grouped = select.args.get("group")
    keys = [e.name.lower() for e in grouped.expressions] if grouped else []
    if grouped and column.lower() not in keys:
        return None
    for item in select.expressions:
        inner = item.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            return column
        if isinstance(inner, exp.Column) and inner.name.lower() == column.lower():
            return str(item.alias_or_name)
    return None


def partition_conditions(tree: exp.Expr) -> dict[int, str]:
    """For each table node (by id) the DuckDB condition that its usable filters make; must run before rewriting.

    Raises:
        CloudError: 400 when a table requires a filter and has none.
    """
    conditions: dict[int, str] = {}
    for node in tree.find_all(exp.Table):
        table = node.meta.get("table")
        partitioning = Partitioning.of(table) if isinstance(table, Table) else None
        if partitioning is None or not isinstance(table, Table):
            continue
        usable = _conditions(node, node.alias_or_name, partitioning.column)
        if partitioning.required and not usable:
            raise filter_required(table, partitioning)
        conditions[id(node)] = " AND ".join(["TRUE", *(_as_duck(c) for c in usable)])
    return conditions


def filter_required(table: Table, partitioning: Partitioning) -> Exception:
    """The error of a query without the filter that a table requires."""
    column = partitioning.column
    how = f"without a filter over column(s) '{column}' that can be used for partition elimination"
    return invalid(f"Cannot query over table '{table.ref.dotted}' {how}")


def _as_duck(condition: exp.Expr) -> str:
    copy = condition.copy()
    for column in copy.find_all(exp.Column):
        column.set("table", None)
        column.set("this", exp.to_identifier(column.name, quoted=True))
    return f"({duck(rewrite(copy))})"


def bytes_read(
    cursor: duckdb.DuckDBPyConnection,
    sizes: Sizes,
    tree: exp.Expr,
    conditions: dict[int, str],
    columns: dict[str, set[str]] | None,
) -> int:
    """The bytes of the columns and partitions that a statement reads, as a dry run reports them.

    Args:
        conditions: from `partition_conditions`.
        columns: from `columns_read`; None means all.
    """
    total = 0
    seen: set[tuple[str, str]] = set()
    for node in tree.find_all(exp.Table):
        table = node.meta.get("table")
        if not isinstance(table, Table) or table.physical is None:
            continue
        where = _whole_partitions(table, conditions.get(id(node), "TRUE"))
        if (table.physical, where) not in seen:
            seen.add((table.physical, where))
            total += sizes.of(cursor, table, where, None if columns is None else columns.get(table.physical, set()))[1]
    return total


def _whole_partitions(table: Table, condition: str) -> str:
    partitioning = Partitioning.of(table)
    if partitioning is None or condition == "TRUE":
        return "TRUE"
    if partitioning.column_type == "DATE" and partitioning.unit == "DAY":
        return condition
    ids = f"SELECT {partitioning.id_sql} FROM {table.physical} WHERE {condition}"
    return f"{partitioning.id_sql} IN ({ids})"


def columns_read(qualified: exp.Expr | None, tables: Iterable[Table]) -> dict[str, set[str]] | None:
    """The columns that a statement needs of each DuckDB table, None when that cannot be told.

    Args:
        qualified: from `types.annotate`; consumed.
    """
    if not isinstance(qualified, exp.Query):
        return None
    try:
        pruned = pushdown_projections(qualified)
    except (SqlglotError, KeyError, AttributeError):
        return None
    needed: dict[str, set[str]] = {}
    physical = {t.physical for t in tables}
    for scope in pruned.find_all(exp.Select):
        names = {t.alias_or_name: t.name for t in scope.find_all(exp.Table) if t.name in physical}
        for column in scope.find_all(exp.Column):
            for alias in {column.table, *(p.name for p in column.parts[:1])} & set(names):
                needed.setdefault(names[alias], set()).add(
                    column.name if column.table == alias else column.parts[1].name
                )
    return needed
