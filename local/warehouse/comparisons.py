"""Comparisons and common types: what may be compared with what, NaN equal to nothing, text taken for a time."""

import itertools
from collections.abc import Iterable

from sqlglot import exp

from local.warehouse.casts import is_plain
from local.warehouse.rewriting import call, rule
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import kind

LITERAL_COERCES = {"DATE", "TIMESTAMP", "DATETIME", "TIME", "STRING", "JSON", "BYTES", "INTERVAL"}
NUMBERS = {"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"}
STRUCT = "STRUCT"


SIGNS: dict[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
}  # fmt: skip


@rule(*SIGNS)
def _compare(node: exp.Binary) -> exp.Expr | None:
    if isinstance(node.parent, exp.Update) and node.arg_key == "expressions":
        return None  # an assignment
    left, right = (STRUCT if is_struct(n) else kind(n) for n in (node.this, node.expression))
    check_comparable((left, right), node, order=not isinstance(node, exp.EQ | exp.NEQ))
    if left == right == STRUCT:
        same = equal_structs(node)
        return exp.not_(same, copy=False) if isinstance(node, exp.NEQ) else same
    if "FLOAT64" in (left, right):
        return _without_nan(node)
    if left is None or right is None or left == right or {left, right} <= NUMBERS - {"BIGNUMERIC"}:
        return None
    if {left, right} <= NUMBERS:
        raise unsupported(f"comparing BIGNUMERIC with {left if right == 'BIGNUMERIC' else right}; cast both alike")
    literal = any(isinstance(side, exp.Literal) and side.is_string for side in (node.this, node.expression))
    null = any(isinstance(side, exp.Null) for side in (node.this, node.expression))
    if null or (literal and {left, right} <= LITERAL_COERCES):
        read_literals([node.this, node.expression])
        return None
    types = f"{left}, {right}{place_of(node)}"
    raise invalid(f"No matching signature for operator {SIGNS[type(node)]} for argument types: {types}")


def is_struct(node: exp.Expr) -> bool:
    """Whether an expression is known to be a struct, which `(1, 2)` is, too."""
    return isinstance(node, exp.Tuple) or kind(node) == STRUCT


def equal_structs(node: exp.Binary) -> exp.Expr:
    """Two structs compared field by field, so that a NULL in one makes it NULL; DuckDB holds NULL for a value there.

    Raises:
        CloudError: 400 when they have not as many fields.
    """
    left, right = _parts(node.this), _parts(node.expression)
    if len(left) != len(right):
        raise invalid(f"No matching signature for operator = for argument types: STRUCT, STRUCT{place_of(node)}")
    pairs = [exp.EQ(this=one, expression=other) for one, other in zip(left, right, strict=True)]
    return exp.paren(exp.and_(*(_compare(pair) or pair for pair in pairs), copy=False), copy=False)


def _parts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Tuple | exp.Struct):
        return [(n.expression if isinstance(n, exp.PropertyEQ) else n.unalias()).copy() for n in node.expressions]
    parts = []
    for number, field in enumerate(node.type.expressions if node.type else [], 1):
        part = call("struct_extract_at", node.copy(), number)
        part.type = field.kind if isinstance(field, exp.ColumnDef) else field
        parts.append(part)
    return parts


def check_comparable(kinds: Iterable[str | None], node: exp.Expr, *, order: bool = False) -> None:
    """Refuse types whose values cannot be compared, or only be told apart.

    Raises:
        CloudError: 400 naming the type.
    """
    for name in kinds:
        if name in ("ARRAY", "JSON"):
            what = "Equality and order are" if name == "ARRAY" else "Less than is" if order else "Equality is"
            raise invalid(f"{what} not defined for arguments of type {name}{place_of(node)}")
        if order and name == STRUCT:
            raise invalid(f"Less than is not defined for arguments of type STRUCT{place_of(node)}")


def read_literals(nodes: Iterable[exp.Expr], *, always: bool = False) -> None:
    """Text beside a time is a time, where GoogleSQL can read it so.

    Args:
        always: whether DuckDB takes no text for a time there by itself.
    """
    nodes = list(nodes)
    target = next((kind(n) for n in nodes if kind(n) in TIMES | {"TIME"}), None)
    for node in nodes if target else []:
        if isinstance(node, exp.Literal) and node.is_string and (always or not is_plain(node, str(target))):
            node.replace(call(f"bq_{str(target).lower()}", node.copy()))


# DuckDB holds NaN for equal to itself and for greater than all else: which sides must then not be NaN.
NAN_SIDES: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.EQ: ("this",), exp.GT: ("this",), exp.GTE: ("this",), exp.LT: ("expression",), exp.LTE: ("expression",),
    exp.NEQ: ("this", "expression"),
}  # fmt: skip


def _without_nan(node: exp.Binary) -> exp.Expr | None:
    literal = any(isinstance(side, exp.Literal) for side in (node.this, node.expression))
    if literal and isinstance(node, exp.EQ | exp.NEQ):
        return None
    sides = [node.args[name] for name in NAN_SIDES[type(node)]]
    tests = [
        call("isnan", side.copy()) for side in sides if kind(side) == "FLOAT64" and not isinstance(side, exp.Literal)
    ]
    if not tests:
        return None
    if isinstance(node, exp.NEQ):
        # Either may be, unless the other is NULL.
        return exp.paren(exp.or_(node.copy(), exp.and_(*tests, copy=False), copy=False), copy=False)
    return exp.paren(exp.and_(node.copy(), *(exp.not_(test) for test in tests), copy=False), copy=False)


@rule(exp.Between)
def _between(node: exp.Between) -> exp.Expr | None:
    sides = [node.this, node.args["low"], node.args["high"]]
    check_comparable((kind(s) for s in sides), node, order=True)
    read_literals(sides)
    high = node.args["high"]
    if kind(high) == "FLOAT64" and not isinstance(high, exp.Literal):
        return exp.paren(exp.and_(node.copy(), exp.not_(call("isnan", high.copy())), copy=False), copy=False)
    return None


# Whose types are what they are said to be: the last ones' whatever they are given.
CERTAIN = (
    exp.Literal, exp.Cast, exp.Column, exp.Boolean, exp.ParseJSON, exp.Array, exp.Struct, exp.Length, exp.ByteLength,
    exp.StrPosition, exp.StartsWith, exp.EndsWith, exp.RegexpLike, exp.CurrentDate, exp.CurrentTimestamp, exp.TimeToStr,
    exp.StrToDate, exp.StrToTime, exp.DateDiff, exp.TimestampDiff, exp.Count, exp.CountIf, exp.ArraySize, exp.Format,
    exp.LowerHex, exp.MD5Digest, exp.Rand, exp.UnixSeconds, exp.UnixToTime, exp.Split, exp.GroupConcat, exp.String,
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Is, exp.Between, exp.Not, exp.And, exp.Or, exp.Like,
)  # fmt: skip
TIMES = {"DATE", "DATETIME", "TIMESTAMP"}


def _alike(nodes: Iterable[exp.Expr | None]) -> tuple[str, str] | None:
    """Two types among expressions that become values of one column, where GoogleSQL finds none for both.

    A text literal is taken for a time or for JSON, as GoogleSQL does where it can be read so.
    """
    known = [(kind(n), n) for n in (n.unalias() for n in nodes if n is not None) if isinstance(n, CERTAIN) and n.type]
    for (left, one), (right, other) in itertools.pairwise(known):
        if left is None or right is None or left == right or {left, right} <= NUMBERS or {left, right} <= TIMES:
            continue
        text = any(isinstance(n, exp.Literal) and n.is_string for n in (one, other))
        if not (text and {left, right} <= LITERAL_COERCES):
            return left, right
    return None


@rule(exp.If, exp.Coalesce, exp.Case)
def same_types(node: exp.Expr) -> None:
    """Refuse values of types that have none in common."""
    name = type(node).__name__.upper()
    if isinstance(node, exp.If):
        values = [] if isinstance(node.parent, exp.Case) else [node.args["true"], node.args.get("false")]
    elif isinstance(node, exp.Case):
        values = [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]
    else:
        values = [node.this, *node.expressions]
    found = _alike(values)
    if found:
        raise invalid(f"No matching signature for {name} for argument types: {', '.join(found)}{place_of(node)}")


@rule(exp.Union, exp.Except, exp.Intersect)
def _set_operation(node: exp.SetOperation) -> None:
    if isinstance(node.parent, exp.SetOperation) or node.args.get("by_name"):
        return  # it is checked with the others
    for number, column in enumerate(zip(*(s.selects for s in _selects(node)), strict=False), 1):
        if any(item.is_star for item in column):
            return
        found = _alike(column)
        if found:
            name = f"{type(node).__name__.upper()} {'DISTINCT' if node.args.get('distinct') else 'ALL'}"
            raise invalid(f"Column {number} in {name} has incompatible types: {', '.join(found)}{place_of(column[1])}")
        if {kind(i) for i in column} & NUMBERS > {"BIGNUMERIC"}:
            raise unsupported(f"BIGNUMERIC beside another type in a UNION{place_of(column[1])}; cast all alike")
        read_literals([item.unalias() for item in column], always=True)


def _selects(node: exp.Expr) -> list[exp.Query]:
    """The queries of a set operation, from left to right."""
    found: list[exp.Query] = []
    left = [node]
    while left:
        query = left.pop()
        if isinstance(query, exp.SetOperation):
            left += [query.expression, query.this]
        elif isinstance(query, exp.Subquery):
            left.append(query.this)
        elif isinstance(query, exp.Query):
            found.append(query)
    return found
