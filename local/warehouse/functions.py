"""GoogleSQL's functions and operators rewritten into what DuckDB computes alike, where sqlglot alone would differ.

One rule per kind of node, children first. Text formats are in formats.py. A function that neither knows is refused.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local.warehouse.formats import format_call, parse_call, strftime_call
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import element, kind

Rule = Callable[[Any], exp.Expr | None]
RULES: dict[type[exp.Expr], Rule] = {}


def rule(*types: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Register the rewriting of a kind of node; a rule that answers None leaves it as it is."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(types, function))
        return function

    return register


def call(name: str, *arguments: exp.Expr | str | int) -> exp.Expr:
    """A call of a DuckDB function or macro."""
    return exp.Anonymous(
        this=name, expressions=[exp.convert(a) if not isinstance(a, exp.Expr) else a for a in arguments]
    )


def cast(node: exp.Expr, duck_type: str) -> exp.Expr:
    """A cast to a DuckDB type, not to be rewritten again."""
    return exp.Cast(this=node, to=exp.DataType.build(duck_type, dialect="duckdb"))


def rewrite(tree: exp.Expr) -> exp.Expr:
    """Rewrite a statement whose names are resolved and whose types are annotated; answers the new root.

    Raises:
        CloudError: 400 naming a function that does not exist here.
    """
    for node in reversed(list(tree.walk(bfs=False))):
        change = RULES.get(type(node))
        new = change(node) if change else None
        if new is not None and new is not node:
            if new.type is None and not isinstance(node, exp.DataType):
                new.type = node.type
            if node is tree:
                tree = new
            else:
                node.replace(new)
    return tree


# --- literals and types


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


# --- operators

TO_STRING = {
    "FLOAT64": "bq_float_string", "NUMERIC": "bq_numeric_string", "BYTES": "decode", "TIMESTAMP": "bq_timestamp_string",
    "DATETIME": "bq_datetime_string", "TIME": "bq_time_string", "BIGNUMERIC": "bq_bignumeric_string",
    "INTERVAL": "bq_interval_string", None: "bq_string",
}  # fmt: skip
TO_INT64 = {"STRING": "bq_int", "FLOAT64": "bq_round_int", "NUMERIC": "bq_round_int", None: "bq_to_int"}
CASTS: dict[str, dict[str | None, str]] = {
    "STRING": TO_STRING,  # type: ignore[dict-item]  # a subset of the keys
    "INT64": TO_INT64,  # type: ignore[dict-item]  # a subset of the keys
    "BOOL": {"STRING": "bq_bool"},
    "BYTES": {"STRING": "encode"},
}
# `error` cannot stand inside TRY, so these have forms of their own that answer NULL.
SAFE_FORMS = {"bq_int": "bq_safe_int", "bq_bool": "bq_safe_bool"}


@rule(exp.Cast, exp.TryCast)
def _cast(node: exp.Cast) -> exp.Expr | None:
    if node.args.get("format"):
        raise unsupported("CAST with a FORMAT clause")
    safe = isinstance(node, exp.TryCast)
    source, target = kind(node.this), kind(node)
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


@rule(exp.IntDiv)
def _int_divide(node: exp.IntDiv) -> exp.Expr:
    return call("bq_int_divide", node.this, node.expression)


@rule(exp.Mod)
def _mod(node: exp.Mod) -> exp.Expr:
    return call("bq_mod", node.this, node.expression)


LITERAL_COERCES = {"DATE", "TIMESTAMP", "DATETIME", "TIME", "STRING", "JSON", "BYTES", "INTERVAL"}
NUMBERS = {"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"}


@rule(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
def _compare(node: exp.Binary) -> exp.Expr | None:
    left, right = kind(node.this), kind(node.expression)
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


# --- arrays and structs


@rule(exp.Bracket)
def _bracket(node: exp.Bracket) -> exp.Expr | None:
    if len(node.expressions) != 1 or kind(node.this) in ("JSON", "STRUCT"):
        return None
    index = node.expressions[0]
    if node.args.get("offset") == 1:
        index = exp.Sub(this=exp.paren(index), expression=exp.Literal.number(1))
    return call("bq_safe_at" if node.args.get("safe") else "bq_at", node.this, index)


@rule(exp.Struct)
def _struct(node: exp.Struct) -> exp.Expr | None:
    fields = []
    for number, value in enumerate(node.expressions, 1):
        if isinstance(value, exp.PropertyEQ):
            fields.append(value)
            continue
        named = isinstance(value, exp.Column | exp.Dot | exp.Alias)
        name = value.alias_or_name if named else f"_field_{number}"
        fields.append(
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value.unalias() if named else value)
        )
    node.set("expressions", fields)
    return None


@rule(exp.Array)
def _array(node: exp.Array) -> exp.Expr | None:
    """Give the structs of an array literal the field names of the first one."""
    first = node.expressions[0] if node.expressions else None
    if not isinstance(first, exp.Struct):
        return None
    for position, item in enumerate(node.expressions):
        values = item.expressions if isinstance(item, exp.Tuple | exp.Struct) else []
        if item is first or len(values) != len(first.expressions):
            continue
        plain = [v.expression if isinstance(v, exp.PropertyEQ) else v for v in values]
        pairs = zip(first.expressions, plain, strict=True)
        fields = [exp.PropertyEQ(this=f.this.copy(), expression=v.copy()) for f, v in pairs]
        node.expressions[position] = exp.Struct(expressions=fields)
    node.set("expressions", node.expressions)
    return None


@rule(exp.In)
def _in(node: exp.In) -> exp.Expr | None:
    unnest = node.args.get("unnest")
    array = unnest.expressions[0] if isinstance(unnest, exp.Unnest) else None
    array = array.this if isinstance(array, exp.Cast) else array
    if isinstance(array, exp.Array) and array.expressions:
        return exp.In(this=node.this, expressions=array.expressions)
    return exp.false() if isinstance(array, exp.Array) else None


@rule(exp.Unnest)
def _unnest(node: exp.Unnest) -> exp.Expr | None:
    if isinstance(node.parent, exp.In) or len(node.expressions) != 1:
        return None
    array, alias, offset = node.expressions[0], node.args.get("alias"), node.args.get("offset")
    name = alias.columns[0] if isinstance(alias, exp.TableAlias) and alias.columns else None
    if name is None:
        implicit = array.name if isinstance(array, exp.Column | exp.Dot) and array.name else "unnested"
        name = exp.to_identifier(implicit, quoted=True)
    items = element(array)
    struct = items is not None and items.this == exp.DType.STRUCT
    unnested: exp.Expr = call("unnest", array)
    if struct:
        # Its fields become columns of a table of that name, so that `name.field`, `field` and `*` all work.
        unnested.append("expressions", exp.Kwarg(this=exp.var("max_depth"), expression=exp.Literal.number(2)))
    else:
        unnested = exp.alias_(unnested, name.copy())
    columns = [unnested]
    if offset:
        position = offset if isinstance(offset, exp.Identifier) else exp.to_identifier("offset", quoted=True)
        subscripts = call("generate_subscripts", array.copy(), 1)
        columns.append(
            exp.alias_(exp.Sub(this=cast(subscripts, "BIGINT"), expression=exp.Literal.number(1)), position.copy())
        )
    table = name.copy() if struct else exp.to_identifier(f"_{name.name}_row", quoted=True)
    return exp.Subquery(this=exp.select(*columns), alias=exp.TableAlias(this=table))


# --- aggregates


@rule(exp.Avg)
def _average(node: exp.Avg) -> exp.Expr | None:
    if kind(node.this) == "BIGNUMERIC":
        raise unsupported("AVG of BIGNUMERIC; cast to NUMERIC")
    if kind(node) != "NUMERIC" or isinstance(node.parent, exp.Window):
        return None
    count = exp.Nullif(this=exp.Count(this=node.this.copy()), expression=exp.Literal.number(0))
    return call("bq_divide_numeric", exp.Sum(this=node.this.copy()), count)


def _limited(node: exp.Expr) -> tuple[exp.Expr, exp.Expr | None]:
    """The argument of an aggregate without its LIMIT, and the LIMIT."""
    return (node.this, node.expression) if isinstance(node, exp.Limit) else (node, None)


def _value_of(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Order | exp.Distinct | exp.Limit):
        node = node.this if node.this is not None else node.expressions[0]
    return node.copy()


@rule(exp.IgnoreNulls)
def _ignore_nulls(node: exp.IgnoreNulls) -> exp.Expr | None:
    if not isinstance(node.this, exp.ArrayAgg | exp.Anonymous | exp.Bracket):
        return None
    found = node.find(exp.ArrayAgg)
    if found is None:
        return None
    present = exp.Not(this=exp.Is(this=_value_of(found.this), expression=exp.Null()))
    found.replace(exp.Filter(this=found.copy(), expression=exp.Where(this=present)))
    return node.this.copy()


@rule(exp.ArrayAgg)
def _array_agg(node: exp.ArrayAgg) -> exp.Expr | None:
    argument, limit = _limited(node.this)
    if limit is None:
        return None
    aggregate: exp.Expr = exp.ArrayAgg(this=argument.copy(), nulls_excluded=node.args.get("nulls_excluded"))
    return call("list_slice", aggregate, 1, limit.copy())


@rule(exp.GroupConcat)
def _string_agg(node: exp.GroupConcat) -> exp.Expr | None:
    argument, limit = _limited(node.this)
    if limit is None:
        return None
    present = exp.Not(this=exp.Is(this=_value_of(argument), expression=exp.Null()))
    listed = exp.Filter(this=exp.ArrayAgg(this=argument.copy()), expression=exp.Where(this=present))
    separator = node.args.get("separator") or exp.Literal.string(",")
    return call("array_to_string", call("list_slice", listed, 1, limit.copy()), separator.copy())


@rule(exp.ApproxTopK)
def _top_count(node: exp.ApproxTopK) -> exp.Expr:
    return call("bq_top_count", call("histogram", node.this), node.expression)


@rule(exp.ApproxQuantiles)
def _quantiles(node: exp.ApproxQuantiles) -> exp.Expr:
    try:
        parts = int(node.expression.name or node.expression.this.name)
    except (AttributeError, ValueError) as error:
        raise unsupported("APPROX_QUANTILES with a number that is not a literal") from error
    points: list[exp.Expr] = [exp.Literal.number(f"{i / parts!r}") for i in range(parts + 1)]
    # Exact, so that a rehearsal gives the same answer twice.
    return call("quantile_disc", node.this, exp.Array(expressions=points))


# --- dates and times


@rule(exp.DateAdd, exp.DateSub)
def _date_shift(node: exp.DateAdd) -> exp.Expr | None:
    target = kind(node.this)
    return cast(node.copy(), {"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}.get(target or "", "DATE"))


@rule(exp.DateTrunc)
def _date_trunc(node: exp.DateTrunc) -> exp.Expr | None:
    target = {"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}.get(kind(node.this) or "", "DATE")
    return cast(node.copy(), target)


@rule(exp.TimestampDiff)
def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    # Whole units that fit between the two, where DATE_DIFF counts boundaries.
    return call("datesub", str(node.args["unit"].name).lower(), node.expression, node.this)


PARTS = {
    "DAYOFWEEK": "dayofweek", "DAYOFYEAR": "dayofyear", "ISOWEEK": "week", "ISOYEAR": "isoyear", "MILLISECOND": "millisecond",
    "MICROSECOND": "microsecond",
}  # fmt: skip


@rule(exp.Extract)
def _extract(node: exp.Extract) -> exp.Expr | None:
    part = node.this.name.upper() if not isinstance(node.this, exp.WeekStart) else f"WEEK({node.this.name.upper()})"
    value = node.expression
    if part in ("DATE", "TIME"):
        return cast(value, part)
    if part == "DATETIME":
        return cast(value, "TIMESTAMP")
    if part.startswith("WEEK"):
        macros = {"WEEK": "bq_week", "WEEK(SUNDAY)": "bq_week", "WEEK(MONDAY)": "bq_week_monday"}
        if part not in macros:
            raise unsupported(f"EXTRACT({part} FROM ...)")
        return call(macros[part], value)
    extracted = call("date_part", PARTS.get(part, part.lower()), value)
    if part == "DAYOFWEEK":
        return exp.paren(exp.Add(this=extracted, expression=exp.Literal.number(1)))
    divisor = {"MILLISECOND": 1000, "MICROSECOND": 1_000_000}.get(part)
    return exp.paren(exp.Mod(this=extracted, expression=exp.Literal.number(divisor))) if divisor else extracted


@rule(exp.TimeToStr)
def _time_to_str(node: exp.TimeToStr) -> exp.Expr:
    return strftime_call(node.this, node.args["format"], node.args.get("zone"))


@rule(exp.StrToDate, exp.StrToTime, exp.ParseDatetime, exp.ParseTime)
def _parse_time(node: exp.Expr) -> exp.Expr:
    target = {"StrToDate": "DATE", "StrToTime": "TIMESTAMPTZ", "ParseDatetime": "TIMESTAMP", "ParseTime": "TIME"}
    return parse_call(node.this, node.args["format"], target[type(node).__name__], node.args.get("zone"))


@rule(exp.Format)
def _format(node: exp.Format) -> exp.Expr:
    return format_call(node.this, node.expressions)


@rule(exp.CurrentDatetime)
def _current_datetime(node: exp.CurrentDatetime) -> exp.Expr:
    zone = node.this or exp.Literal.string("UTC")
    return call("timezone", zone.copy(), exp.CurrentTimestamp())


@rule(exp.CurrentTime)
def _current_time(node: exp.CurrentTime) -> exp.Expr:
    zone = node.this or exp.Literal.string("UTC")
    return cast(call("timezone", zone.copy(), exp.CurrentTimestamp()), "TIME")


@rule(exp.UnixToTime)
def _unix_to_time(node: exp.UnixToTime) -> exp.Expr:
    digits = int(node.args["scale"].name) if node.args.get("scale") else 0
    micros = exp.Mul(this=exp.paren(node.this), expression=exp.Literal.number(10 ** (6 - digits)))
    return cast(call("make_timestamp", cast(micros, "BIGINT")), "TIMESTAMPTZ")


@rule(exp.TimeAdd, exp.TimeSub)
def _time_shift(node: exp.TimeAdd) -> exp.Expr:
    return cast(node.copy(), "TIME")


# --- text and JSON


@rule(exp.Substring)
def _substring(node: exp.Substring) -> exp.Expr | None:
    start, length = node.args.get("start"), node.args.get("length")
    if isinstance(start, exp.Literal) and start.is_int and int(start.name) > 0:
        return None
    return call("bq_substr", *(part for part in (node.this, start, length) if part is not None))


@rule(exp.ByteLength)
def _byte_length(node: exp.ByteLength) -> exp.Expr:
    return call("octet_length" if kind(node.this) == "BYTES" else "strlen", node.this)


@rule(exp.SHA2Digest, exp.SHA2)
def _sha(node: exp.SHA2) -> exp.Expr | None:
    if node.args.get("length") and node.args["length"].name != "256":
        raise unsupported("SHA512")
    return None


@rule(exp.JSONFormat)
def _json_format(node: exp.JSONFormat) -> exp.Expr:
    return call("to_json" if node.args.get("to_json") else "bq_to_json_string", node.this)


@rule(exp.JSONType)
def _json_type(node: exp.JSONType) -> exp.Expr:
    return call("bq_json_type", node.this)


@rule(exp.SafeFunc)
def _safe(node: exp.SafeFunc) -> exp.Expr:
    if any(str(n.this).startswith("bq_") for n in node.find_all(exp.Anonymous)):
        raise unsupported(f"SAFE. before {node.this.sql('bigquery').split('(')[0]}")
    return call("try", node.this)


def _named(name: str, swap: bool = False) -> Callable[[exp.Anonymous], exp.Expr]:
    return lambda node: call(name, *(reversed(node.expressions) if swap else node.expressions))


def _try(operator: type[exp.Binary]) -> Callable[[exp.Anonymous], exp.Expr]:
    def attempt(node: exp.Anonymous) -> exp.Expr:
        left, right = (cast(e, "BIGINT") if isinstance(e, exp.Literal) and e.is_int else e for e in node.expressions)
        return call("try", operator(this=exp.paren(left), expression=exp.paren(right)))

    return attempt


# Functions that sqlglot passes through: how each is written in DuckDB.
PASSED: dict[str, Callable[[exp.Anonymous], exp.Expr]] = {
    "IEEE_DIVIDE": lambda n: exp.paren(exp.Div(this=cast(n.expressions[0], "DOUBLE"), expression=n.expressions[1])),
    "SAFE_ADD": _try(exp.Add),
    "SAFE_SUBTRACT": _try(exp.Sub),
    "SAFE_MULTIPLY": _try(exp.Mul),
    "SAFE_NEGATE": lambda n: call("try", exp.Neg(this=exp.paren(n.expressions[0]))),
    "RANGE_BUCKET": _named("bq_range_bucket"),
    "ERROR": _named("error"),
    "NORMALIZE": lambda n: call("nfc_normalize", n.expressions[0]),
    "CHR": _named("chr"),
    "ASCII": _named("ascii"),
    "UNICODE": _named("unicode"),
    "DATE_FROM_UNIX_DATE": lambda n: cast(exp.Add(this=cast(exp.Literal.string("1970-01-01"), "DATE"),
                                                  expression=cast(n.expressions[0], "INTEGER")), "DATE"),
    "TIME_TRUNC": lambda n: cast(call("date_trunc", n.expressions[1].name.lower(),
                                      exp.Add(this=cast(exp.Literal.string("1970-01-01"), "DATE"), expression=n.expressions[0])),
                                 "TIME"),
    "INT64": lambda n: cast(n.expressions[0], "BIGINT"),
    "LAX_INT64": lambda n: exp.TryCast(this=n.expressions[0], to=exp.DataType.build("BIGINT")),
}  # fmt: skip


@rule(exp.Anonymous)
def _anonymous(node: exp.Anonymous) -> exp.Expr:
    name = str(node.this).upper()
    if node.meta.get("number") is None:
        return node  # made by another rule
    if name not in PASSED:
        raise invalid(f"Function not found: {node.this}{place_of(node)} (at least in the local warehouse)")
    return PASSED[name](node)
