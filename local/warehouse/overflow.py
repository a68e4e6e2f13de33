"""FLOAT64 arithmetic that leaves its range: an error in GoogleSQL, infinity in DuckDB."""

from sqlglot import exp

from local.warehouse.rewriting import call, written_once
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
