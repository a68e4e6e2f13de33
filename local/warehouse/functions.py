"""Functions of text, bytes and JSON, and those that sqlglot does not know: each written for DuckDB, or refused by name."""

import contextlib
import re
from collections.abc import Callable

from sqlglot import exp

from local.warehouse import arrays, comparisons, operators, ordering, pivots, times
from local.warehouse.casts import TO_STRING
from local.warehouse.formats import JSON_FORMS, JSON_STRING_FORMS, format_call, json_value, with_names_once
from local.warehouse.operators import as_numeric
from local.warehouse.rewriting import attempted, call, cast, rewrite, rule
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import kind

__all__ = ["arrays", "comparisons", "operators", "ordering", "pivots", "rewrite", "times"]  # imported for their rules


@rule(exp.Substring)
def _substring(node: exp.Substring) -> exp.Expr | None:
    start, length = node.args.get("start"), node.args.get("length")
    plain = isinstance(start, exp.Literal) and start.is_int and int(start.name) > 0
    plain = plain and (length is None or (isinstance(length, exp.Literal) and length.is_int))
    if kind(node.this) == "BYTES":
        if not plain or not isinstance(start, exp.Literal):
            raise unsupported(f"SUBSTR of BYTES at a computed place{place_of(node)}")
        digits = [2 * int(start.name) - 1, *([2 * int(length.name)] if length else [])]
        return call("from_hex", call("substring", call("hex", node.this), *digits))
    if plain:
        return None
    return call("bq_substr", *(part for part in (node.this, start, length) if part is not None))


@rule(exp.Left, exp.Right, exp.Repeat, exp.Pad)
def _counted(node: exp.Expr) -> exp.Expr | None:
    """DuckDB takes a negative length for something else, or for 0."""
    name = "times" if isinstance(node, exp.Repeat) else "expression"
    length = node.args[name]
    if not (isinstance(length, exp.Literal) and length.is_int):
        function = node.sql("bigquery").split("(")[0]
        node.set(name, call("bq_length", length.copy(), function))
    return None


@rule(exp.StrPosition)
def _position(node: exp.StrPosition) -> exp.Expr | None:
    place, number = node.args.get("position"), node.args.get("occurrence")
    one = exp.Literal.number(1)
    return call("bq_instr", node.this, node.args["substr"], place or one, number or one) if place or number else None


@rule(exp.Like)
def _like(node: exp.Like) -> exp.Expr | None:
    """A backslash escapes in GoogleSQL; DuckDB wants it said."""
    pattern = node.expression
    if kind(node.this) == "BYTES":
        raise unsupported(f"LIKE of BYTES{place_of(node)}")
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.name:
        return None
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


@rule(exp.RegexpExtract, exp.RegexpExtractAll)
def _extraction(node: exp.Expr) -> None:
    pattern = node.expression
    try:
        groups = re.compile(pattern.name).groups if isinstance(pattern, exp.Literal | exp.RawString) else 0
    except re.error:
        return  # only RE2 reads it, or nobody, which it will say
    if groups > 1:
        told = "Regular expressions passed into extraction functions must not have more than 1 capturing group"
        raise invalid(f"{told}{place_of(node)}")


@rule(exp.ByteLength)
def _byte_length(node: exp.ByteLength) -> exp.Expr:
    return call("octet_length" if kind(node.this) == "BYTES" else "strlen", node.this)


@rule(exp.SHA2Digest, exp.SHA2)
def _sha(node: exp.SHA2) -> exp.Expr | None:
    long = node.args.get("length") and node.args["length"].name == "512"
    return call("bq_sha512", _as_bytes(node.this)) if long else None


@rule(exp.FarmFingerprint)
def _farm_fingerprint(node: exp.FarmFingerprint) -> exp.Expr | None:
    return call("bq_farm_fingerprint", *map(_as_bytes, node.expressions))


def _as_bytes(node: exp.Expr) -> exp.Expr:
    return node if kind(node) == "BYTES" else call("encode", node)


@rule(exp.JSONFormat)
def _json_format(node: exp.JSONFormat) -> exp.Expr:
    options = node.args.get("options")
    if options is not None and options != exp.false():
        raise unsupported(f"a second argument of {node.sql('bigquery').split('(')[0]}{place_of(node)}")
    if node.args.get("to_json"):
        return call("to_json", json_value(node.this, JSON_FORMS))
    return call("bq_to_json_string", json_value(node.this, JSON_STRING_FORMS))


@rule(exp.ParseJSON)
def _parse_json(node: exp.ParseJSON) -> exp.Expr | None:
    if not isinstance(node.this, exp.Literal):
        return call("bq_json", node.copy())
    with contextlib.suppress(ValueError):  # DuckDB will say so
        node.set("this", exp.Literal.string(with_names_once(node.this.name)))
    return None


@rule(exp.JSONType)
def _json_type(node: exp.JSONType) -> exp.Expr:
    return call("bq_json_type", node.this)


@rule(exp.SafeFunc)
def _safe(node: exp.SafeFunc) -> exp.Expr:
    return attempted(node.this)


@rule(exp.Format)
def _format(node: exp.Format) -> exp.Expr:
    return format_call(node.this, node.expressions)


@rule(exp.DPipe, exp.Concat)
def _concat(node: exp.Expr) -> exp.Expr | None:
    for part in node.expressions if isinstance(node, exp.Concat) else (node.this, node.expression):
        if kind(part) in ("FLOAT64", "NUMERIC", "BIGNUMERIC", "TIMESTAMP", "DATETIME", "TIME"):
            part.replace(call(TO_STRING[kind(part)], part.copy()))
    for null in node.find_all(exp.Null):
        if null.parent is node:
            null.replace(cast(exp.Null(), "VARCHAR"))
    return None


@rule(exp.Pow)
def _power(node: exp.Pow) -> exp.Expr | None:
    value = call("bq_finite", call("pow", node.this, node.expression), node.this, "POW")
    return as_numeric(node, value) or value


@rule(exp.Exp)
def _exponential(node: exp.Exp) -> exp.Expr | None:
    value = call("bq_finite", call("exp", node.this), node.this, "EXP")
    return as_numeric(node, value) or value


@rule(exp.BitwiseRightShift)
def _shift(node: exp.BitwiseRightShift) -> exp.Expr:
    return call("bq_shift_right", cast(node.this, "BIGINT"), node.expression)


@rule(exp.JSONExtract)
def _json_extract(node: exp.JSONExtract) -> exp.Expr | None:
    if kind(node.this) != "STRING":
        return None
    # Of text, null is NULL; of JSON it is a value.
    return exp.Nullif(this=cast(node.copy(), "VARCHAR"), expression=exp.Literal.string("null"))


@rule(exp.Normalize)
def _normalize(node: exp.Normalize) -> exp.Expr:
    form = node.args.get("form")
    if node.args.get("is_casefold") or (isinstance(form, exp.Expr) and form.name.upper() != "NFC"):
        raise unsupported(f"{node.sql('bigquery')}{place_of(node)}")
    return call("nfc_normalize", node.this)


@rule(exp.JSONExtractArray)
def _json_array(node: exp.JSONExtractArray) -> exp.Expr | None:
    return cast(node.copy(), "VARCHAR[]") if kind(node.this) == "STRING" else None


@rule(exp.String)
def _string(node: exp.String) -> exp.Expr | None:
    if kind(node.this) == "JSON":
        return call("bq_json_as", node.this, "VARCHAR", "a string")
    if node.args.get("zone"):
        return call("bq_zoned_string", node.this, node.args["zone"])
    return call(TO_STRING.get(kind(node.this), "bq_string") if kind(node.this) else "bq_string_of", node.this)


LAX: dict[type[exp.Expr], str] = {
    exp.LaxInt64: "BIGINT",
    exp.LaxFloat64: "DOUBLE",
    exp.LaxBool: "BOOLEAN",
    exp.LaxString: "VARCHAR",
}


@rule(*LAX)
def _lax(node: exp.Expr) -> exp.Expr:
    target = exp.DataType.build(LAX[type(node)], dialect="duckdb")
    return exp.TryCast(this=call("json_extract_string", node.this, "$"), to=target)


def _first(node: exp.Expr) -> exp.Expr:
    found = node.args["this"] if node.args.get("this") is not None else node.expressions[0]
    return found if isinstance(found, exp.Expr) else node.expressions[0]


JSON_NUMBERS = "BIGINT UBIGINT HUGEINT DOUBLE"  # types that DuckDB tells of JSON
# Functions of one argument, or none, by how DuckDB writes them.
SIMPLE: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.JSONBool: lambda x: cast(call("bq_json_as", x, "BOOLEAN", "a boolean"), "BOOLEAN"),
    exp.Float64: lambda x: cast(call("bq_json_as", x, JSON_NUMBERS, "a number"), "DOUBLE"),
    exp.Int64: lambda x: call("bq_json_int", cast(call("bq_json_as", x, JSON_NUMBERS, "an integer"), "DECIMAL(38, 9)")),
    exp.SafeConvertBytesToString: lambda x: call("bq_decoded", x),
    exp.ParseNumeric: lambda x: cast(x, "DECIMAL(38, 9)"),
    exp.ParseBignumeric: lambda x: call("bq_bignumeric", x),
    exp.ToCodePoints: lambda x: call("bq_code_points", x),
    exp.CodePointsToString: lambda x: call("bq_from_code_points", x),
    exp.BitwiseCount: lambda x: call("bit_count", x if kind(x) == "BYTES" else cast(x, "BIGINT")),
    exp.UnixSeconds: lambda x: cast(call("floor", call("epoch", x)), "BIGINT"),
    exp.Cot: lambda x: exp.paren(exp.Div(this=exp.Literal.number("1e0"), expression=call("tan", x))),
}


@rule(*SIMPLE)
def _simple(node: exp.Expr) -> exp.Expr:
    return SIMPLE[type(node)](_first(node))


REFUSED = (
    exp.JSONKeysAtDepth,
    exp.ApproxTopSum,
    exp.JSONSet,
    exp.Soundex,
    exp.NetFunc,
    exp.Collate,
)


@rule(*REFUSED)
def _refused(node: exp.Expr) -> exp.Expr:
    raise unsupported(f"{node.sql('bigquery').split('(')[0].strip()}{place_of(node)}")


# Functions that sqlglot passes through: how each is written in DuckDB.
PASSED: dict[str, Callable[[exp.Anonymous], exp.Expr]] = {
    "IEEE_DIVIDE": lambda n: exp.paren(exp.Div(this=cast(n.expressions[0], "DOUBLE"), expression=n.expressions[1])),
    "ERROR": lambda n: call("bq_error", n.expressions[0]),
}


# Families of functions that GoogleSQL has: geography, sketches, networks, encryption, models.
FAMILIES = re.compile(r"(ST_|S2_|HLL_COUNT\.|KLL_QUANTILES\.|NET\.|KEYS\.|AEAD\.|ML\.|AI\.)", re.IGNORECASE)


@rule(exp.Anonymous)
def _anonymous(node: exp.Anonymous) -> exp.Expr:
    name = str(node.this).upper()
    if node.meta.get("number") is None:
        return node  # made by another rule
    if name not in PASSED:
        whole = node.parent.sql("bigquery").split("(")[0] if isinstance(node.parent, exp.Dot) else str(node.this)
        if FAMILIES.match(whole):
            raise unsupported(f"the function {whole}{place_of(node)}")
        raise invalid(f"Function not found: {whole}{place_of(node)} (at least in the local warehouse)")
    return PASSED[name](node)
