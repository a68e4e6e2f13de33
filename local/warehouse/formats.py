"""GoogleSQL's text formats: FORMAT, FORMAT_DATE and its kin, PARSE_DATE and its kin, written for DuckDB.

A format must be a literal; an element that DuckDB has no counterpart for is refused by name.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from local.warehouse.comparisons import CERTAIN
from local.warehouse.database import quoted
from local.warehouse.rewriting import call
from local.warehouse.statements import invalid, unsupported
from local.warehouse.types import NAMES, element, kind

NUMERIC_SCALE = 9
SPEC = re.compile(r"%(?P<flags>[-+ #0']*)(?P<width>\d*)(?P<precision>\.\d+)?(?P<kind>[a-zA-Z%])")
ELEMENT = re.compile(r"%(-?[A-DF-Za-z%]|E[a-zA-Z]|E\d?[a-zA-Z]|E\*S)")

# Elements that DuckDB's strftime writes the same way, under its name for them.
SAME = {e: f"%{e}" for e in ("a", "A", "b", "B", "d", "H", "I", "j", "m", "M", "p", "S", "u", "U", "w", "W", "y", "Y",
                             "G", "V", "f", "-H", "-I", "-m", "-M", "-S", "-j", "%")}  # fmt: skip
SAME |= {
    "h": "%b", "R": "%H:%M", "D": "%m/%d/%y", "x": "%m/%d/%y", "F": "%Y-%m-%d", "T": "%H:%M:%S", "X": "%H:%M:%S",
    "E4Y": "%Y", "E3S": "%S.%g", "E6S": "%S.%f", "n": "\n", "t": "\t",
}  # fmt: skip
# Elements of FORMAT that need an expression; x is a TIMESTAMP.
COMPUTED = {
    "s": "CAST(CAST(epoch({x}) AS BIGINT) AS VARCHAR)",
    "Q": "CAST(quarter({x}) AS VARCHAR)",
    "-d": "lpad(CAST(day({x}) AS VARCHAR), 2, ' ')",
    "e": "lpad(CAST(day({x}) AS VARCHAR), 2, ' ')",
    "k": "lpad(CAST(hour({x}) AS VARCHAR), 2, ' ')",
    "l": "lpad(strftime({x}, '%-I'), 2, ' ')",
    "P": "lower(strftime({x}, '%p'))",
    "C": "lpad(CAST(year({x}) // 100 AS VARCHAR), 2, '0')",
    "g": "lpad(CAST(isoyear({x}) % 100 AS VARCHAR), 2, '0')",
    "c": "strftime({x}, '%a %b ') || lpad(CAST(day({x}) AS VARCHAR), 2, ' ') || strftime({x}, ' %H:%M:%S %Y')",
    "E*S": "rtrim(rtrim(strftime({x}, '%S.%f'), '0'), '.')",
}
# Of a TIMESTAMP x in a zone, and in UTC.
ZONED = {"z": "replace(bq_offset({x}, {zone}), ':', '')", "Ez": "bq_offset({x}, {zone})"}
UTC = {"z": "'+0000'", "Z": "'UTC'", "Ez": "'+00:00'"}
PARSED = SAME | {
    "Ez": "%z",
    "z": "%z",
    "Z": "%Z",
    "E*S": "%S.%f",
    "e": "%-d",
    "-d": "%-d",
    "k": "%-H",
    "c": "%a %b %d %H:%M:%S %Y",
}


def _sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _raw(sql: str) -> exp.Expr:
    """A DuckDB expression as it stands; parsed so that it can be part of a tree."""
    from sqlglot import parse_one

    return parse_one(sql, dialect="duckdb")


def _literal(node: exp.Expr, function: str) -> str:
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise unsupported(f"{function} with a format that is not a literal")
    return node.name


def _pieces(format: str) -> list[tuple[str, bool]]:
    """The text of a format and its elements, in order; True marks an element."""
    pieces, end = [], 0
    for match in ELEMENT.finditer(format):
        if match.start() > end:
            pieces.append((format[end : match.start()], False))
        pieces.append((match[1], True))
        end = match.end()
    return pieces + ([(format[end:], False)] if end < len(format) else [])


def strftime_call(value: exp.Expr, format: exp.Expr, zone: exp.Expr | None) -> exp.Expr:
    """FORMAT_DATE, FORMAT_TIMESTAMP, FORMAT_DATETIME, FORMAT_TIME.

    Raises:
        CloudError: 400 naming an element that is not supported.
    """
    x = value.sql("duckdb")
    zoned = UTC
    if isinstance(value, exp.TsOrDsToTime) or kind(value) == "TIME":
        x = f"(DATE '1970-01-01' + {x})"
    elif zone is not None:
        inner = value.this.sql("duckdb") if isinstance(value, exp.TsOrDsToTimestamp) else x
        zoned = {element: sql.format(x=inner, zone=zone.sql("duckdb")) for element, sql in ZONED.items()}
        x = f"timezone({zone.sql('duckdb')}, CAST({inner} AS TIMESTAMPTZ))"
    x = f"CAST({x} AS TIMESTAMP)"
    parts: list[str] = []
    plain = ""
    for piece, is_element in _pieces(_literal(format, "FORMAT_DATE")):
        if not is_element or piece in SAME:
            plain += SAME[piece] if is_element else piece
            continue
        computed = COMPUTED[piece].format(x=x) if piece in COMPUTED else zoned.get(piece)
        if computed is None:
            raise unsupported(f"the format element %{piece}" + (" with a time zone" if piece in UTC else ""))
        parts += [f"strftime({x}, {_sql(plain)})"] if plain else []
        parts.append(computed)
        plain = ""
    parts += [f"strftime({x}, {_sql(plain)})"] if plain or not parts else []
    return _raw(" || ".join(parts))


def parse_call(value: exp.Expr, format: exp.Expr, target: str, zone: exp.Expr | None) -> exp.Expr:
    """PARSE_DATE, PARSE_TIMESTAMP, PARSE_DATETIME, PARSE_TIME.

    Raises:
        CloudError: 400 naming an element that is not supported.
    """
    wanted = ""
    for piece, is_element in _pieces(_literal(format, "PARSE_DATE")):
        if is_element and piece not in PARSED and not (format.name == "%s" and target == "TIMESTAMPTZ"):
            raise unsupported(f"the format element %{piece} in PARSE")
        wanted += PARSED.get(piece, "") if is_element else piece
    text = value.sql("duckdb")
    if format.name == "%s" and target == "TIMESTAMPTZ":
        return call("to_timestamp", call("bq_int", value))
    if "%Y" not in wanted and "%y" not in wanted:
        wanted, text = f"%Y {wanted}", f"'1970 ' || {text}"  # DuckDB's default year is 1900
    parsed = f"strptime({text}, {_sql(wanted)})"
    if zone is not None:
        parsed = f"timezone({zone.sql('duckdb')}, {parsed})"
    return _raw(f"CAST({parsed} AS {target})")


def format_call(format: exp.Expr, values: list[exp.Expr]) -> exp.Expr:
    """FORMAT: printf for numbers and text, %t and %T for values of any type.

    Raises:
        CloudError: 400 for a specifier that is not supported, or values that do not fit their number.
    """
    text, end, parts, used = _literal(format, "FORMAT"), 0, [], 0
    for match in SPEC.finditer(text):
        parts += [_sql(text[end : match.start()])] if match.start() > end else []
        end = match.end()
        if match["kind"] == "%":
            parts.append("'%'")
            continue
        if used >= len(values):
            raise unsupported(f"FORMAT {text!r} with {len(values)} values: too few for its specifiers")
        parts.append(_formatted(match, values[used]))
        used += 1
    if used != len(values):
        raise unsupported(f"FORMAT {text!r} with {len(values)} values for {used} specifiers")
    parts += [_sql(text[end:])] if end < len(text) else []
    return _raw(" || ".join(parts) or "''")


FLOAT = r"regexp_replace(bq_float_string({x}), '^(-?\d+)$', '\1.0')"
PLAIN = ("INT64", "BOOL", "STRING")
SHOWN = {"STRING": "{x}", "FLOAT64": FLOAT}
LITERALS = {
    "STRING": """CASE WHEN regexp_matches({x}, '["\\\\[:cntrl:]]') THEN bq_error('The local warehouse does not support FORMAT'
        || ' %T of a text with quotes, backslashes or control characters') ELSE '"' || {x} || '"' END""",
    "FLOAT64": FLOAT,
    **{t: f"'{t} \"' || bq_string({{x}}) || '\"'" for t in ("DATE", "DATETIME", "TIMESTAMP", "TIME")},
}
UNSHOWN = {"t": {"STRUCT", "BYTES", "JSON"}, "T": {"STRUCT", "BYTES", "JSON", "NUMERIC", "BIGNUMERIC", "INTERVAL"}}
EXPECTED = {"s": {"STRING"}, **{letter: {"INT64"} for letter in "dioxXu"}}


def _formatted(spec: re.Match[str], value: exp.Expr) -> str:
    x, letter, name = value.sql("duckdb"), spec["kind"], kind(value) or ""
    if name and isinstance(value, CERTAIN) and name not in EXPECTED.get(letter, {name}):
        raise invalid(f"Invalid type for FORMAT {spec[0]!r}; Expected {'/'.join(EXPECTED[letter])}; Got {name}")
    if "'" in spec["flags"]:
        if letter not in "di" or spec["width"]:
            raise unsupported(f"the format specifier {spec[0]}")
        return f"format('{{:,}}', CAST({x} AS BIGINT))"
    head = f"%{spec['flags']}{spec['width']}{spec['precision'] or ''}"
    if letter in "dioxXu":
        return f"printf({_sql(head + ('d' if letter in 'iu' else letter))}, CAST({x} AS BIGINT))"
    if letter in "fFeEgG":
        written = f"printf({_sql(head + letter)}, CAST({x} AS DOUBLE))"
        scale = int((spec["precision"] or ".6")[1:])
        if letter in "fF" and scale <= NUMERIC_SCALE and not spec["flags"] and not spec["width"]:
            # A NUMERIC is written exactly, which a DOUBLE could not be.
            exact = f"CAST(TRY_CAST({x} AS DECIMAL(38, {scale})) AS VARCHAR)"
            return f"CASE WHEN typeof({x}) LIKE 'DECIMAL%' THEN {exact} ELSE {written} END"
        return written
    if letter == "s":
        return f"printf({_sql(head + 's')}, {x if name == 'STRING' else f'bq_string({x})'})"
    if letter in "tT":
        items = element(value)
        if name in UNSHOWN[letter] or (items is not None and NAMES.get(items.this) not in PLAIN):
            raise unsupported(f"the format specifier %{letter} for a value of type {name}")
        shown = (SHOWN if letter == "t" else LITERALS).get(name, "bq_string({x})").replace("{x}", x)
        return f"printf({_sql(head + 's')}, coalesce({shown}, 'NULL'))"
    raise unsupported(f"the format specifier {spec[0]}")


# What TO_JSON writes of types for which DuckDB has a form of its own.
JSON_FORMS = {
    "TIMESTAMP": "(replace(bq_datetime_string({x}), ' ', 'T') || 'Z')",
    "DATETIME": "replace(bq_datetime_string({x}), ' ', 'T')",
    "NUMERIC": "CAST(bq_numeric_string({x}) AS JSON)",
    "BIGNUMERIC": "CAST(bq_bignumeric_string({x}) AS JSON)",
    "BYTES": "to_base64({x})",
    "FLOAT64": "CASE WHEN isfinite({x}) THEN CAST(bq_float_string({x}) AS JSON) WHEN isnan({x}) THEN to_json('NaN')"
    " WHEN {x} IS NOT NULL THEN to_json(if({x} > 0, 'Infinity', '-Infinity')) END",
}
# TO_JSON_STRING writes as text what a FLOAT64 might not hold.
JSON_STRING_FORMS = JSON_FORMS | {
    "INT64": f"CASE WHEN {{x}} BETWEEN -{1 << 53} AND {1 << 53} THEN to_json({{x}}) ELSE to_json(CAST({{x}} AS VARCHAR)) END",
    "NUMERIC": f"CASE WHEN {{x}} = trunc({{x}}) AND abs({{x}}) <= {1 << 53} THEN CAST(bq_numeric_string({{x}}) AS JSON)"
    " ELSE to_json(bq_numeric_string({x})) END",
}


def json_value(value: exp.Expr, forms: Mapping[str, str]) -> exp.Expr:
    """A value for TO_JSON and TO_JSON_STRING: numbers, times and bytes in it as GoogleSQL writes them."""
    old = value.sql("duckdb")
    new = _json_sql(old, value.type, forms)
    return value if new == old else _raw(new)


def _json_sql(x: str, kind_of: exp.DataType | None, forms: Mapping[str, str], depth: int = 0) -> str:
    if kind_of is None:
        return x
    name = NAMES.get(kind_of.this)
    if name == "ARRAY" and kind_of.expressions:
        item = f"item{depth}"
        inner = _json_sql(item, kind_of.expressions[0], forms, depth + 1)
        return x if inner == item else f"list_transform({x}, lambda {item}: {inner})"
    if name == "STRUCT":
        fields = [(quoted(f.name), f.args.get("kind")) for f in kind_of.expressions if f.name]
        parts = [(n, f"({x}).{n}", _json_sql(f"({x}).{n}", k, forms, depth)) for n, k in fields]
        packed = ", ".join(f"{n} := {new}" for n, _, new in parts)
        changed = len(fields) == len(kind_of.expressions) and any(old != new for _, old, new in parts)
        return f"CASE WHEN ({x}) IS NOT NULL THEN struct_pack({packed}) END" if changed else x
    return forms.get(name or "", "{x}").replace("{x}", x)


def with_names_once(written: str) -> str:
    """JSON text in which the first of several values of one name in an object stands, as the type JSON has it."""
    doubled = False

    def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        found = dict(reversed(pairs))
        doubled |= len(found) < len(pairs)
        return {name: found[name] for name, _ in pairs}

    value = json.loads(written, object_pairs_hook=first)
    return json.dumps(value, ensure_ascii=False) if doubled else written
