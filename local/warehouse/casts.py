"""Casts: which macro makes of a value of one type a value of another, where DuckDB's own cast would differ.

How text may be written is in text_forms.py.
"""

import re

from sqlglot import exp

from local.warehouse.rewriting import attempted, call, cast, rule
from local.warehouse.statements import unsupported
from local.warehouse.text_forms import FORMS, PLAIN_TIMESTAMP
from local.warehouse.types import kind

TO_STRING = {
    "FLOAT64": "bq_float_string", "NUMERIC": "bq_numeric_string", "BYTES": "decode", "TIMESTAMP": "bq_timestamp_string",
    "DATETIME": "bq_datetime_string", "TIME": "bq_time_string", "BIGNUMERIC": "bq_bignumeric_string",
    "INTERVAL": "bq_interval_string", None: "bq_string",
}  # fmt: skip
TO_INT64 = {"STRING": "bq_int", "FLOAT64": "bq_round_int", "NUMERIC": "bq_round_int", None: "bq_to_int"}
WHOLE = (exp.Trunc, exp.Floor, exp.Ceil, exp.Round)  # of one argument: what they answer need not be rounded
CASTS: dict[str, dict[str | None, str]] = {
    "STRING": TO_STRING,
    "INT64": TO_INT64,
    "BOOL": {"STRING": "bq_bool"},
    "BYTES": {"STRING": "encode"},
    **{name: {"STRING": f"bq_{name.lower()}"} for name in FORMS},
}
FALLIBLE = {"decode", *TO_INT64.values()}
# Answer NULL themselves, which TRY would do row by row.
SAFE_FORMS = {f"bq_{name}": f"bq_safe_{name}" for name in ("int", "bool", *(name.lower() for name in FORMS))}


@rule(exp.Cast, exp.TryCast)
def _cast(node: exp.Cast) -> exp.Expr | None:
    length = node.args["to"].expressions
    if kind(node) not in ("STRING", "BYTES") or not length:
        return _converted(node)
    node.args["to"].set("expressions", [])
    limited = call("bq_limited", _converted(node) or node.copy(), length[0], str(kind(node)))
    return attempted(limited) if isinstance(node, exp.TryCast) else limited


def _converted(node: exp.Cast) -> exp.Expr | None:
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
    if source == "TIMESTAMP" and target == "TIME":
        return cast(call("timezone", "UTC", node.this), "TIME")
    macro = CASTS.get(target or "", {}).get(source)
    if macro is None or isinstance(node.this, exp.Null) or is_plain(node.this, target or ""):
        return None
    if macro in SAFE_FORMS:
        read = call(SAFE_FORMS[macro] if safe else macro, node.this)
        # NUMERIC(10, 2) is rounded once it is read.
        return type(node)(this=read, to=node.args["to"]) if node.args["to"].expressions else read
    whole = macro == "bq_round_int" and isinstance(node.this, WHOLE) and not node.this.args.get("decimals")
    made = cast(node.this, "BIGINT") if whole else call(macro, node.this)
    return attempted(made) if safe and macro in FALLIBLE else made


def is_plain(node: exp.Expr, target: str) -> bool:
    """Whether a literal is there to see that DuckDB reads as GoogleSQL does."""
    plain = PLAIN_TIMESTAMP if target == "TIMESTAMP" else FORMS.get(target)
    infinite = target == "FLOAT64" and ("e" in node.name.lower() or len(node.name) > 30)
    literal = isinstance(node, exp.Literal) and node.is_string and plain is not None and not infinite
    return literal and re.fullmatch(str(plain), node.name) is not None and "t" not in node.name


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
    if target == "BIGNUMERIC":
        text = node.this if source == "STRING" else call(TO_STRING.get(source, "bq_string"), node.this)
        made: exp.Expr = call("bq_bignumeric", text)
    else:
        text = call("bq_bignumeric_string", node.this)
        made = text if target == "STRING" else exp.Cast(this=text, to=node.args["to"])
    return attempted(made) if safe else made
