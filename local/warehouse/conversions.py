"""Text and JSON turned into typed values: DuckDB expressions that answer NULL where a value does not fit, and tell so.

Used by loads of CSV and JSON and by streaming inserts, so that one bad row can be told from the others.
"""

from collections.abc import Mapping, Sequence

from local.warehouse.database import quoted, text
from local.warehouse.schema import Field, duck_type, mode_of, sql_type

NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"
DECIMAL = r"[+-]?(\d+(\.\d{0,38})?|\.\d{1,38})"
# Text of a type to its value, NULL when it is none. Times may be numbers: seconds since 1970.
FROM_TEXT = {
    "STRING": "{x}",
    "BYTES": "TRY(from_base64({x}))",
    "INTEGER": "bq_safe_int({x})",
    "FLOAT": "TRY_CAST({x} AS DOUBLE)",
    "NUMERIC": "TRY_CAST({x} AS DECIMAL(38, 9))",
    "BIGNUMERIC": f"CASE WHEN regexp_full_match({{x}}, '{DECIMAL}') THEN bq_bignumeric({{x}}) END",
    "BOOLEAN": "bq_loaded_bool({x})",
    "DATE": "TRY_CAST({x} AS DATE)",
    "TIME": "TRY_CAST({x} AS TIME)",
    "DATETIME": "TRY_CAST({x} AS TIMESTAMP)",
    "TIMESTAMP": f"CASE WHEN regexp_full_match({{x}}, '{NUMBER}')"
    " THEN CAST(make_timestamp(CAST(round(TRY_CAST({x} AS DOUBLE) * 1e6) AS BIGINT)) AS TIMESTAMPTZ)"
    " ELSE TRY_CAST({x} AS TIMESTAMPTZ) END",
    "JSON": "CASE WHEN json_valid({x}) AND bq_names_once(CAST({x} AS JSON)) THEN CAST({x} AS JSON) END",
    "INTERVAL": "TRY_CAST({x} AS INTERVAL)",
}


def from_text(field: Field, x: str) -> str:
    """The value of one element of a field, from a text expression."""
    return FROM_TEXT[field["type"]].replace("{x}", x)


def text_columns(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """For each field its value, and the fault of a row (NULL when there is none), from columns of text of the same names."""
    return [
        (from_text(f, quoted(f["name"])), _fault(f, quoted(f["name"]), from_text(f, quoted(f["name"])))) for f in fields
    ]


def _fault(field: Field, given: str, value: str) -> str:
    name = field["name"]
    rest = text(f"' as {sql_type(field)} for field {name}")
    parse = f"'Could not parse ''' || CAST({given} AS VARCHAR) || {rest}"
    told = f"WHEN {given} IS NOT NULL AND {value} IS NULL THEN {parse}"
    if mode_of(field) == "REQUIRED":
        told += f" WHEN {given} IS NULL THEN {text(f'Required field {name} cannot be null')}"
    return f"CASE {told} END"


def json_columns(
    fields: Sequence[Field], line: str, *, ignore_unknown: bool, defaults: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """For each field its value, and the fault of a row, from an expression of type JSON that holds an object.

    Args:
        defaults: by name of field, what stands for a member that is not there.

    A last pair, without a value, tells of fields that the schema does not have.
    """
    pairs = []
    for position, field in enumerate(fields, 1):
        member = f'"members$"[{position}]'
        value, fine = _json_value(field, member, 0, ignore_unknown)
        default = (defaults or {}).get(field["name"])
        if default:
            value = f"CASE WHEN {member} IS NULL THEN {default} ELSE {value} END"
            fine = f"({member} IS NULL OR {fine})"
        required = f" AND {_present(member)}" if mode_of(field) == "REQUIRED" and not default else ""
        name = field["name"]
        missing = text(f"Required field {name} cannot be null") if required else "NULL"
        rest = text(f" to {sql_type(field)}. Field: {name}")
        wrong = f"'Could not convert value ' || left(CAST({member} AS VARCHAR), 100) || {rest}"
        pairs.append(
            (value, f"CASE WHEN {fine}{required} THEN NULL WHEN NOT {_present(member)} THEN {missing} ELSE {wrong} END")
        )
    if not ignore_unknown:
        strange = _strange(fields, line)
        pairs.append(("", f"CASE WHEN len({strange}) > 0 THEN 'No such field: ' || {strange}[1] || '.' END"))
    return pairs


def _path(field: Field) -> str:
    return text('$."' + field["name"].replace('"', '\\"') + '"')


def _member(x: str, field: Field) -> str:
    return f"json_extract({x}, {_path(field)})"


def with_members(fields: Sequence[Field], line: str, source: str) -> str:
    """The source with a column `members$`, which `json_columns` reads: all members of an object, found in one pass."""
    paths = ", ".join(_path(f) for f in fields)
    return f'(SELECT *, json_extract({line}, [{paths}]) AS "members$" FROM {source})'


def _present(x: str) -> str:
    return f"({x} IS NOT NULL AND json_type({x}) <> 'NULL')"


def _strange(fields: Sequence[Field], x: str) -> str:
    known = ", ".join(text(f["name"]) for f in fields)
    return f"list_filter(json_keys({x}), lambda k: k NOT IN ({known}))"


def _json_value(field: Field, x: str, depth: int, ignore_unknown: bool) -> tuple[str, str]:
    """The value, and the condition under which it is right (absent and null are)."""
    if mode_of(field) == "REPEATED":
        name = f"e{depth}"
        value, fine = _json_value(field | {"mode": "NULLABLE"}, name, depth + 1, ignore_unknown)
        items = f"CAST({x} AS JSON[])"
        listed = f"CASE WHEN json_type({x}) = 'ARRAY' THEN list_transform({items}, lambda {name}: {value}) ELSE [] END"
        wrong = f"len(list_filter({items}, lambda {name}: NOT ({fine} AND {_present(name)})))"
        return (
            f"CAST({listed} AS {duck_type(field)})",
            f"(NOT {_present(x)} OR (json_type({x}) = 'ARRAY' AND {wrong} = 0))",
        )
    if field["type"] == "RECORD":
        return _json_record(field, x, depth, ignore_unknown)
    if field["type"] == "JSON":
        return f"CASE WHEN {_present(x)} THEN {x} END", f"(NOT {_present(x)} OR bq_names_once({x}))"
    written = f"json_extract_string({x}, '$')"
    value = f"CASE WHEN {_present(x)} THEN {from_text(field, written)} END"
    scalar = f"json_type({x}) NOT IN ('OBJECT', 'ARRAY')"
    return value, f"(NOT {_present(x)} OR ({scalar} AND {from_text(field, written)} IS NOT NULL))"


def _json_record(field: Field, x: str, depth: int, ignore_unknown: bool) -> tuple[str, str]:
    members = [(f, *_json_value(f, _member(x, f), depth, ignore_unknown)) for f in field["fields"]]
    packed = ", ".join(f"{quoted(f['name'])} := {value}" for f, value, _ in members)
    fine = [f"json_type({x}) = 'OBJECT'", *(ok for _, _, ok in members)]
    fine += [_present(_member(x, f)) for f, _, _ in members if mode_of(f) == "REQUIRED"]
    if not ignore_unknown:
        fine.append(f"len({_strange(field['fields'], x)}) = 0")
    value = f"CASE WHEN json_type({x}) = 'OBJECT' THEN struct_pack({packed}) END"
    return f"CAST({value} AS {duck_type(field)})", f"(NOT {_present(x)} OR ({' AND '.join(fine)}))"


def staged(pairs: Sequence[tuple[str, str]], fields: Sequence[Field], source: str, *more: str) -> str:
    """A query of the values of a source, with the first fault of each row in the column `fault$`, and more columns."""
    values = [f"{value} AS {quoted(f['name'])}" for f, (value, _) in zip(fields, pairs, strict=False)]
    faults = ", ".join(fault for _, fault in pairs)
    return f'SELECT {", ".join([*values, *more])}, coalesce({faults or "NULL"}, NULL) AS "fault$" FROM {source}'
