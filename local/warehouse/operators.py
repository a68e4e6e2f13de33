"""Literals and arithmetic: GoogleSQL's types and errors where DuckDB's differ.

Casts are in casts.py, comparisons in comparisons.py.
"""

import math
import re

from sqlglot import exp

from local.warehouse.overflow import guarded
from local.warehouse.rewriting import attempted, call, cast, rule
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import kind


@rule(exp.Literal)
def _literal(node: exp.Literal) -> exp.Expr | None:
    if node.is_string:
        return zone(node) if node.arg_key == "zone" else None
    if node.is_int:
        return None
    if "e" in node.name.lower():
        if math.isinf(float(node.name)):
            raise invalid(f"Invalid floating point literal: {node.name}")
        return None
    parent = node.parent
    if isinstance(parent, exp.Binary):
        other = parent.expression if parent.this is node else parent.this
        if kind(other) == "NUMERIC" and not (isinstance(other, exp.Literal)):
            return None  # coerces to NUMERIC, which is what DuckDB takes it for
    return exp.Literal.number(node.name + "e0")


# Ranges of https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#time_zones
OFFSET = re.compile(r"([+-])(\d{1,2})(?::(\d{1,2}))?")


def zone(node: exp.Literal) -> exp.Expr:
    """A distance from UTC as a time zone, which DuckDB knows by other names, and only in whole hours."""
    match = OFFSET.fullmatch(node.name)
    if match is None:
        return node
    if int(match[3] or 0) or int(match[2]) > (12 if match[1] == "-" else 14):
        raise unsupported(f"the time zone {node.name!r}; name one of whole hours, or a place")
    # There east is negative.
    return exp.Literal.string(f"Etc/GMT{'-' if match[1] == '+' else '+'}{int(match[2])}")


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
    whole: exp.Expr = node
    while isinstance(whole.parent, exp.Parameter | exp.Dot):
        whole = whole.parent
    raise unsupported(f"the system variable {whole.sql('bigquery')}")


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
    if isinstance(node, exp.Sub) and left == right == "TIMESTAMP":
        micros = exp.Sub(this=call("epoch_us", node.this), expression=call("epoch_us", node.expression))
        apart = call("to_microseconds", micros)  # DuckDB would answer days
        apart.type = exp.DataType.build("INTERVAL")
        return apart
    if isinstance(node, exp.Mul) and kind(node) == "NUMERIC":
        # The product of two DuckDB decimals has all their digits and would soon overflow.
        return cast(node.copy(), "DECIMAL(38, 9)")
    return guarded(node)


def _date_arithmetic(node: exp.Binary, left: str | None, right: str | None) -> exp.Expr | None:
    if left == right == "DATE":
        apart = call("to_days", cast(exp.paren(node.copy()), "INTEGER"))
        apart.type = exp.DataType.build("INTERVAL")
        return apart
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
    numeric = "NUMERIC" in (kind(node.this), kind(node.expression))
    divisor = exp.Nullif(this=node.expression.copy(), expression=exp.Literal.number(0))
    return (
        call("bq_divide_numeric", node.this, divisor) if numeric else call("bq_safe_divide", node.this, node.expression)
    )


SAFE_OPERATORS: dict[type[exp.Expr], type[exp.Binary]] = {
    exp.SafeAdd: exp.Add,
    exp.SafeSubtract: exp.Sub,
    exp.SafeMultiply: exp.Mul,
}


@rule(*SAFE_OPERATORS)
def _safe_operator(node: exp.Expr) -> exp.Expr:
    sides = [node.args["this"], node.args["expression"]]
    left, right = (cast(s, "BIGINT") if isinstance(s, exp.Literal) and s.is_int else exp.paren(s) for s in sides)
    made = SAFE_OPERATORS[type(node)](this=left, expression=right)
    made.type = node.type
    return attempted(guarded(made) or made)


@rule(exp.SafeNegate)
def _safe_negate(node: exp.SafeNegate) -> exp.Expr:
    return attempted(exp.Neg(this=exp.paren(node.this)))


@rule(exp.IntDiv)
def _int_divide(node: exp.IntDiv) -> exp.Expr:
    if "NUMERIC" in (kind(node.this), kind(node.expression)):
        return call("bq_int_divide_numeric", node.this, node.expression)
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


@rule(exp.Round, exp.Trunc, exp.Sign)
def _rounded(node: exp.Expr) -> exp.Expr | None:
    """The type of what is given, FLOAT64 where whole numbers are rounded; DuckDB has its own idea."""
    given = kind(node.this)
    if given == "NUMERIC":
        return cast(node.copy(), "DECIMAL(38, 9)")
    changes = given == "FLOAT64" if isinstance(node, exp.Sign) else given == "INT64"
    return cast(node.copy(), "DOUBLE") if changes else None


@rule(exp.Sqrt, exp.Ln, exp.Log)
def _of_numeric(node: exp.Expr) -> exp.Expr | None:
    return as_numeric(node, node.copy())


def as_numeric(node: exp.Expr, value: exp.Expr) -> exp.Expr | None:
    """A function of NUMERIC, computed as a DOUBLE: exact to nine digits, or refused; None for those of other types."""
    kinds = {kind(n) for n in (node.this, node.args.get("expression"))}
    if "NUMERIC" not in kinds or "FLOAT64" in kinds:
        return None
    return call("bq_numeric_of", value, node.sql("bigquery").split("(")[0])
