"""BIGNUMERIC, which is kept as an integer of 38 more digits: what DuckDB would take for that integer is refused.

Does not own its literals, casts and arithmetic (casts.py, operators.py).
"""

from sqlglot import exp

from local.warehouse.comparisons import NUMBERS
from local.warehouse.statements import place_of, unsupported
from local.warehouse.types import kind

BIG = "BIGNUMERIC"
# Those that only order, add or pass on what they are given, or know of it.
RIGHT = (
    exp.Cast, exp.TryCast, exp.Sum, exp.Max, exp.Min, exp.Count, exp.CountIf, exp.AnyValue, exp.ArrayAgg, exp.ArgMax,
    exp.ArgMin, exp.ApproxQuantiles, exp.ApproxDistinct, exp.ApproxTopK, exp.PercentileDisc, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.NthValue, exp.JSONFormat, exp.Sign, exp.SafeAdd, exp.SafeSubtract, exp.SafeNegate,
    exp.SafeFunc, exp.Struct, exp.RangeBucket, exp.String,
)  # fmt: skip
# Those of values of one type, right where all are.
MIXING = (exp.Coalesce, exp.If, exp.Case, exp.Greatest, exp.Least, exp.Array, exp.Nullif, exp.Between, exp.In)


def check(node: exp.Expr) -> None:
    """Refuse a function of BIGNUMERIC that would be computed wrongly; types are annotated.

    Raises:
        CloudError: 400 naming the function.
    """
    if not isinstance(node, exp.Func | exp.Between | exp.In | exp.Mod | exp.IntDiv) or isinstance(node, RIGHT):
        return
    kinds = {kind(n) for n in node.iter_expressions()}
    if BIG not in kinds:
        return
    if not isinstance(node, MIXING):
        raise unsupported(f"{node.sql('bigquery').split('(')[0]} of BIGNUMERIC; cast to NUMERIC{place_of(node)}")
    other = sorted(str(name) for name in kinds & NUMBERS - {BIG})
    if other:
        raise unsupported(f"BIGNUMERIC beside {other[0]}{place_of(node)}; cast both alike")
