"""Which values may be grouped, told apart and put in order, and where NaN stands: after NULL and before all numbers.

Comparisons of two values are in comparisons.py.
"""

from collections.abc import Callable

from sqlglot import exp

from local.warehouse.overflow import total
from local.warehouse.rewriting import call, rule
from local.warehouse.statements import invalid, place_of
from local.warehouse.types import kind

# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_properties
UNGROUPABLE, UNORDERED = {"JSON"}, {"JSON", "ARRAY", "STRUCT"}


def _key(node: exp.Expr) -> exp.Expr:
    """What a key of ORDER BY or GROUP BY stands for: a place in the SELECT list, a name given there, or itself."""
    clause = node.parent.parent if isinstance(node.parent, exp.Ordered) else node.parent
    select = clause.parent if isinstance(clause, exp.Order | exp.Group) else None
    select = select.this if isinstance(select, exp.SetOperation) else select
    if not isinstance(select, exp.Select):
        return node
    found: exp.Expr | None = None
    if isinstance(node, exp.Literal) and node.is_int and 0 < int(node.name) <= len(select.expressions):
        found = select.expressions[int(node.name) - 1]
    # In ORDER BY a name of the SELECT list hides a column, in GROUP BY it does not.
    elif isinstance(node, exp.Column) and not node.table and (isinstance(clause, exp.Order) or kind(node) is None):
        named = (e for e in select.expressions if isinstance(e, exp.Alias) and e.alias.lower() == node.name.lower())
        found = next(named, None)
    return node if found is None else found.unalias()


def _refuse(nodes: list[exp.Expr], kinds: set[str], told: str) -> None:
    for node in nodes:
        name = kind(_key(node))
        if name in kinds:
            raise invalid(f"{told.format(type=name)}{place_of(node)}")


def _distinct(node: exp.Distinct) -> None:
    if isinstance(node.parent, exp.Select):
        _refuse(
            [e.unalias() for e in node.parent.expressions],
            UNGROUPABLE,
            "A column of type {type} cannot be used in SELECT DISTINCT",
        )
    else:
        told = "Aggregate functions with DISTINCT cannot be used with arguments of type {type}"
        _refuse(node.expressions, UNGROUPABLE, told)


def _extreme(node: exp.Expr) -> None:
    given = [e for e in (node.this, *node.expressions) if isinstance(e, exp.Expr)]
    _refuse(given, UNORDERED, f"{type(node).__name__.upper()} is not defined for arguments of type {{type}}")


def _partition(node: exp.Window) -> None:
    keys = node.args.get("partition_by") or []
    _refuse(keys, UNGROUPABLE | {"FLOAT64"}, "Partitioning by expressions of type {type} is not allowed")


# Used by signatures.py, which looks at every node.
CHECKS: dict[type[exp.Expr], Callable[..., None]] = {
    exp.Group: lambda n: _refuse(n.expressions, UNGROUPABLE, "Grouping by expressions of type {type} is not allowed"),
    exp.Ordered: lambda n: _refuse([n.this], UNORDERED, "ORDER BY does not support expressions of type {type}"),
    exp.Distinct: _distinct,
    exp.Window: _partition,
    **dict.fromkeys((exp.Max, exp.Min, exp.Greatest, exp.Least), _extreme),
}


def place_nan(tree: exp.Expr) -> None:
    """Put NaN where GoogleSQL has it in every ORDER BY, by asking for it first."""
    for node in list(tree.find_all(exp.Ordered)):
        key = _key(node.this)
        frame = node.find_ancestor(exp.Window, exp.Select)
        spec = frame.args.get("spec") if isinstance(frame, exp.Window) else None
        by_distance = spec is not None and spec.args.get("kind") == "RANGE" and _has_distance(spec)
        if kind(key) != "FLOAT64" or by_distance or isinstance(node.find_ancestor(exp.Query), exp.SetOperation):
            continue
        test = call("isnan", key.copy())
        first = exp.Ordered(this=test, desc=not node.args.get("desc"), nulls_first=node.args.get("nulls_first"))
        siblings = node.parent.expressions if node.parent is not None else []
        at = next(i for i, sibling in enumerate(siblings) if sibling is node)
        node.parent.set("expressions", [*siblings[:at], first, *siblings[at:]])  # type: ignore[union-attr]  # an ORDER BY


def _has_distance(spec: exp.WindowSpec) -> bool:
    return any(isinstance(spec.args.get(side), exp.Expr) for side in ("start", "end"))


def _negated(node: exp.Expr) -> exp.Neg:
    return exp.Neg(this=exp.paren(node.copy(), copy=False))


@rule(exp.Min)
def _minimum(node: exp.Min) -> exp.Expr | None:
    """The smallest is NaN where there is one; for DuckDB that is the largest."""
    if kind(node.this) != "FLOAT64" or isinstance(node.parent, exp.Window | exp.Filter | exp.HavingMax):
        return None
    return exp.paren(_negated(exp.Max(this=_negated(node.this))), copy=False)


@rule(exp.Window)
def _window(node: exp.Window) -> exp.Expr | None:
    least = node.this
    if isinstance(least, exp.Sum | exp.Avg):
        return total(least, node)
    if not isinstance(least, exp.Min) or kind(least.this) != "FLOAT64":
        return None
    changed = node.copy()
    changed.set("this", exp.Max(this=_negated(least.this)))
    return exp.paren(_negated(changed), copy=False)


@rule(exp.Least)
def _least(node: exp.Least) -> exp.Expr | None:
    given = [node.this, *node.expressions]
    if not any(kind(e) == "FLOAT64" and not isinstance(e, exp.Literal) for e in given):
        return None
    first, *rest = (_negated(e) for e in given)
    return exp.paren(
        _negated(exp.Greatest(this=first, expressions=rest, ignore_nulls=node.args.get("ignore_nulls"))), copy=False
    )
