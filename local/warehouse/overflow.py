"""FLOAT64 arithmetic and sums that leave their range: an error in GoogleSQL, infinity in DuckDB; and means of NUMERIC."""

from sqlglot import exp

from local.warehouse.rewriting import call, rule, written_once
from local.warehouse.types import kind

ARITHMETIC, AROUND = (exp.Add, exp.Sub, exp.Mul), (exp.Paren, exp.Neg)
# What may be written twice, for DuckDB computes the same expression once.
SIMPLE = (
    exp.Column,
    exp.Literal,
    exp.Cast,
    exp.Paren,
    exp.Identifier,
    exp.DataType,
    exp.Trunc,
    exp.Abs,
    exp.Floor,
    exp.Ceil,
)


def guarded(node: exp.Binary) -> exp.Expr | None:
    """A FLOAT64 sum or product that raises when what goes into it is finite and it is not.

    Asked once for all of `a * b + c`: no operation in it can make an infinite value finite again.
    """
    above = node.parent
    while isinstance(above, AROUND):
        above = above.parent
    if kind(node) != "FLOAT64" or (isinstance(above, ARITHMETIC) and kind(above) == "FLOAT64"):
        return None
    whole = node.copy()
    leaves = [leaf for leaf in _leaves(whole) if not isinstance(leaf, exp.Literal)]
    if all(isinstance(part, SIMPLE) for leaf in leaves for part in leaf.walk()):
        return call("bq_in_range", whole, _all_finite(leaves))
    # What is nested would otherwise grow with every level.
    return written_once(leaves, lambda names: call("bq_in_range", whole, _all_finite(names)))


def _leaves(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, ARITHMETIC):
        return [*_leaves(node.this), *_leaves(node.expression)]
    return _leaves(node.this) if isinstance(node, AROUND) else [node]


def _all_finite(leaves: list[exp.Expr]) -> exp.Expr:
    tests = [call("bq_is_finite", leaf.copy()) for leaf in leaves]
    return exp.and_(*tests, copy=False) if tests else exp.true()


@rule(exp.Sum, exp.Avg)
def _total(node: exp.AggFunc) -> exp.Expr | None:
    return None if isinstance(node.parent, exp.Window | exp.Filter) else total(node, node)


def total(node: exp.AggFunc, whole: exp.Expr) -> exp.Expr | None:
    """A SUM or AVG of FLOAT64 that raises when all it adds is finite and it is not.

    Args:
        whole: the aggregate itself, or the window over which it is computed.
    """
    if node.find_ancestor(exp.Pivot):
        return None
    if isinstance(node, exp.Avg) and kind(node.this) == "NUMERIC":
        return _numeric_mean(node, whole)
    given = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if kind(given) != "FLOAT64":
        return None
    greatest: exp.Expr = exp.Max(this=call("abs", given.copy()))
    if whole is not node:
        over = whole.copy()
        over.set("this", greatest)
        greatest = over
    return call("bq_in_range", whole.copy(), call("bq_is_finite", greatest))


def _numeric_mean(node: exp.AggFunc, whole: exp.Expr) -> exp.Expr:
    """The mean of NUMERIC is one; DuckDB's is a DOUBLE."""
    parts: list[exp.Expr] = [exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy())]
    if whole is not node:
        for position, part in enumerate(parts):
            parts[position] = whole.copy()
            parts[position].set("this", part)
    return call("bq_divide_numeric", parts[0], exp.Nullif(this=parts[1], expression=exp.Literal.number(0)))
