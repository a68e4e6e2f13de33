"""Literals, casts, arithmetic and comparisons: GoogleSQL's types and errors where DuckDB's differ."""

import itertools
from collections.abc import Iterable

from sqlglot import exp

from local.warehouse.rewriting import call, cast, rule
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import kind


@rule(exp.Literal)
def _literal(node: exp.Literal) -> exp.Expr | None:
    if node.is_string or node.is_int or "e" in node.name.lower():
        return None
    parent = node.parent
    if isinstance(parent, exp.Binary):
        other = parent.expression if parent.this is node else parent.this
        if kind(other) == "NUMERIC" and not (isinstance(other, exp.Literal)):
            return None  # coerces to NUMERIC, which is what DuckDB takes it for
    return exp.Literal.number(node.name + "e0")


@rule(exp.ByteString)
def _bytes(node: exp.ByteString) -> exp.Expr:
    return call("from_hex", node.name.encode("latin-1", "backslashreplace").hex())


@rule(exp.DataType)
def _data_type(node: exp.DataType) -> exp.Expr | None:
    if node.this == exp.DType.DECIMAL and not node.expressions:
        return exp.DataType.build("DECIMAL(38, 9)", dialect="duckdb")
    if node.this == exp.DType.BIGDECIMAL:
        return exp.DataType(this=exp.DType.USERDEFINED, kind="BIGNUM")
    if node.this in (exp.DType.GEOGRAPHY, exp.DType.RANGE):
        raise unsupported(f"the type {node.this.value}")
    return None


@rule(exp.Parameter)
def _parameter(node: exp.Parameter) -> exp.Expr:
    raise unsupported(f"the system variable {node.sql('bigquery')}")


TO_STRING = {
    "FLOAT64": "bq_float_string", "NUMERIC": "bq_numeric_string", "BYTES": "decode", "TIMESTAMP": "bq_timestamp_string",
    "DATETIME": "bq_datetime_string", "TIME": "bq_time_string", "BIGNUMERIC": "bq_bignumeric_string",
    "INTERVAL": "bq_interval_string", None: "bq_string",
}  # fmt: skip
TO_INT64 = {"STRING": "bq_int", "FLOAT64": "bq_round_int", "NUMERIC": "bq_round_int", None: "bq_to_int"}
CASTS: dict[str, dict[str | None, str]] = {
    "STRING": TO_STRING,
    "INT64": TO_INT64,
    "BOOL": {"STRING": "bq_bool"},
    "BYTES": {"STRING": "encode"},
}
# `error` cannot stand inside TRY, so these have forms of their own that answer NULL.
SAFE_FORMS = {"bq_int": "bq_safe_int", "bq_bool": "bq_safe_bool", "bq_substr": "bq_safe_substr"}


@rule(exp.Cast, exp.TryCast)
def _cast(node: exp.Cast) -> exp.Expr | None:
    if node.args.get("format"):
        raise unsupported("CAST with a FORMAT clause")
    safe = isinstance(node, exp.TryCast)
    if digest := _number_of_digest(node):
        return digest
    source, target = kind(node.this), kind(node)
    if target == "STRUCT" and isinstance(node.this, exp.Struct):
        _name_fields(node.this, node.args["to"])
    if target == "BIGNUMERIC" or source == "BIGNUMERIC":
        return _cast_bignumeric(node, source, target, safe)
    macro = CASTS.get(target or "", {}).get(source)
    if macro is None or isinstance(node.this, exp.Null):
        return None
    if safe:
        return (
            call(SAFE_FORMS[macro], node.this)
            if macro in SAFE_FORMS
            else exp.TryCast(this=node.this, to=node.args["to"])
        )
    return call(macro, node.this)


def _number_of_digest(node: exp.Cast) -> exp.Expr | None:
    """The last bits of a reversed MD5 as a number, which GoogleSQL says by way of digits and DuckDB at once."""
    text = node.this
    if not isinstance(text, exp.Concat) or len(text.expressions) != 2 or kind(node) != "INT64":
        return None
    sign, digits = text.expressions
    found = isinstance(digits, exp.Substring) and digits.this.find(exp.MD5Digest)
    if not found or digits.args.get("length") or sign.name != "0x" or found.parent.key != "reverse":
        return None
    first = digits.args["start"]
    start = int(first.name) if isinstance(first, exp.Literal) and first.is_int else 0
    if not isinstance(digits.this, exp.LowerHex | exp.Hex) or not 17 < start <= 32:  # 15 digits fit whatever they are
        return None
    mask = exp.Literal.number(16 ** (33 - start) - 1)
    number = exp.BitwiseAnd(this=call("md5_number", found.this), expression=cast(mask, "UHUGEINT"))
    return cast(exp.paren(number), "BIGINT")


def _name_fields(struct: exp.Struct, to: exp.DataType) -> None:
    """Give the fields of STRUCT<a INT64>(1) their names: DuckDB casts structs by name."""
    for value, field in zip(struct.expressions, to.expressions, strict=False):
        if isinstance(value, exp.PropertyEQ) and isinstance(field, exp.ColumnDef):
            value.set("this", exp.to_identifier(field.name, quoted=True))


def _cast_bignumeric(node: exp.Cast, source: str | None, target: str | None, safe: bool) -> exp.Expr | None:
    if source == target or isinstance(node.this, exp.Null):
        return None
    if safe:
        raise unsupported("SAFE_CAST to or from BIGNUMERIC")
    if target == "BIGNUMERIC":
        text = node.this if source == "STRING" else call(TO_STRING.get(source, "bq_string"), node.this)
        return call("bq_bignumeric", text)
    text = call("bq_bignumeric_string", node.this)
    return text if target == "STRING" else exp.Cast(this=text, to=node.args["to"])


@rule(exp.Add, exp.Sub, exp.Mul)
def _arithmetic(node: exp.Binary) -> exp.Expr | None:
    left, right = kind(node.this), kind(node.expression)
    if "BIGNUMERIC" in (left, right):
        raise unsupported(f"arithmetic on BIGNUMERIC{place_of(node)}; cast to NUMERIC")
    if "DATE" in (left, right):
        return _date_arithmetic(node, left, right)
    for side in ("this", "expression"):
        operand = node.args[side]
        if isinstance(operand, exp.Literal) and operand.is_int:
            node.set(side, cast(operand.copy(), "BIGINT"))  # DuckDB takes a small literal for 32 bits
    # The product of two DuckDB decimals has all their digits and would soon overflow.
    return cast(node.copy(), "DECIMAL(38, 9)") if isinstance(node, exp.Mul) and kind(node) == "NUMERIC" else None


def _date_arithmetic(node: exp.Binary, left: str | None, right: str | None) -> exp.Expr | None:
    if left == right == "DATE":
        return call("to_days", cast(exp.paren(node.copy()), "INTEGER"))
    for side, other in (("this", right), ("expression", left)):
        if other == "DATE" and kind(node.args[side]) == "INT64":
            node.set(side, cast(node.args[side].copy(), "INTEGER"))
            return None
    return None


@rule(exp.Div)
def _divide(node: exp.Div) -> exp.Expr:
    kinds = {kind(node.this), kind(node.expression)}
    if "BIGNUMERIC" in kinds:
        raise unsupported(f"division of BIGNUMERIC{place_of(node)}; cast to NUMERIC")
    numeric = "NUMERIC" in kinds and "FLOAT64" not in kinds
    return call("bq_divide_numeric" if numeric else "bq_divide", node.this, node.expression)


@rule(exp.SafeDivide)
def _safe_divide(node: exp.SafeDivide) -> exp.Expr:
    divisor = exp.Nullif(this=node.expression, expression=exp.Literal.number(0))
    numeric = "NUMERIC" in (kind(node.this), kind(node.expression))
    return call("bq_divide_numeric" if numeric else "bq_divide", node.this, divisor)


SAFE_OPERATORS: dict[type[exp.Expr], type[exp.Binary]] = {
    exp.SafeAdd: exp.Add,
    exp.SafeSubtract: exp.Sub,
    exp.SafeMultiply: exp.Mul,
}


@rule(*SAFE_OPERATORS)
def _safe_operator(node: exp.Expr) -> exp.Expr:
    sides = [node.args["this"], node.args["expression"]]
    left, right = (cast(s, "BIGINT") if isinstance(s, exp.Literal) and s.is_int else exp.paren(s) for s in sides)
    return call("try", SAFE_OPERATORS[type(node)](this=left, expression=right))


@rule(exp.SafeNegate)
def _safe_negate(node: exp.SafeNegate) -> exp.Expr:
    return call("try", exp.Neg(this=exp.paren(node.this)))


@rule(exp.IntDiv)
def _int_divide(node: exp.IntDiv) -> exp.Expr:
    if _is_divisor(node.expression):
        return exp.paren(exp.IntDiv(this=exp.paren(node.this), expression=node.expression))
    return call("bq_int_divide", node.this, node.expression)


@rule(exp.Mod)
def _mod(node: exp.Mod) -> exp.Expr:
    if _is_divisor(node.expression):
        return exp.paren(exp.Mod(this=exp.paren(node.this), expression=node.expression))
    return call("bq_mod", node.this, node.expression)


def _is_divisor(node: exp.Expr) -> bool:
    """Whether a number is there to see and is not 0: then nothing can go wrong, and the macro would write `a` twice."""
    return isinstance(node, exp.Literal) and node.is_int and int(node.name) != 0


LITERAL_COERCES = {"DATE", "TIMESTAMP", "DATETIME", "TIME", "STRING", "JSON", "BYTES", "INTERVAL"}
NUMBERS = {"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"}


@rule(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
def _compare(node: exp.Binary) -> exp.Expr | None:
    left, right = kind(node.this), kind(node.expression)
    if left == right == "ARRAY":
        raise invalid(f"Equality and order are not defined for arguments of type ARRAY{place_of(node)}")
    if left is None or right is None or left == right or {left, right} <= NUMBERS - {"BIGNUMERIC"}:
        return None
    if {left, right} <= NUMBERS:
        raise unsupported(f"comparing BIGNUMERIC with {left if right == 'BIGNUMERIC' else right}; cast both alike")
    literal = any(isinstance(side, exp.Literal) and side.is_string for side in (node.this, node.expression))
    null = any(isinstance(side, exp.Null) for side in (node.this, node.expression))
    if null or (literal and {left, right} <= LITERAL_COERCES):
        return None
    sign = {"EQ": "=", "NEQ": "!=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}[type(node).__name__]
    raise invalid(f"No matching signature for operator {sign} for argument types: {left}, {right}{place_of(node)}")


CERTAIN = (exp.Literal, exp.Cast, exp.Column, exp.Boolean)  # whose types are what they are said to be
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
    for number, pair in enumerate(zip(node.left.selects, node.right.selects, strict=False), 1):
        if any(item.is_star for item in pair):
            return
        found = _alike(pair)
        if found:
            name = f"{type(node).__name__.upper()} {'DISTINCT' if node.args.get('distinct') else 'ALL'}"
            raise invalid(f"Column {number} in {name} has incompatible types: {', '.join(found)}{place_of(pair[1])}")
