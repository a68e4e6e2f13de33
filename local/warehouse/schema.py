"""Schemas: BigQuery's fields and DuckDB's types, each from the other, and which changes of a schema are allowed.

A field is a dict as in the REST reference: name, type, mode, description, fields.
"""

import re
from typing import Any, cast

from duckdb.sqltypes import DuckDBPyType

from local.warehouse.database import quoted
from local.wire import CloudError

Field = dict[str, Any]

# BigQuery's name in the API: DuckDB's type. BIGNUM holds a BIGNUMERIC times 10**38: DuckDB has no decimal that wide.
DUCK_TYPES = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "BIGNUM",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "JSON": "JSON",
    "INTERVAL": "INTERVAL",
}
SYNONYMS = {
    "INT64": "INTEGER", "INT": "INTEGER", "SMALLINT": "INTEGER", "BIGINT": "INTEGER", "TINYINT": "INTEGER",
    "BYTEINT": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}  # fmt: skip
SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
# DuckDB's own results that BigQuery has one type for.
WIDENED = {
    "tinyint": "INTEGER", "smallint": "INTEGER", "integer": "INTEGER", "bigint": "INTEGER", "hugeint": "INTEGER",
    "utinyint": "INTEGER", "usmallint": "INTEGER", "uinteger": "INTEGER", "ubigint": "INTEGER", "uhugeint": "INTEGER",
    "float": "FLOAT", "double": "FLOAT", "decimal": "NUMERIC", "bignum": "BIGNUMERIC", "boolean": "BOOLEAN",
    "varchar": "STRING", "blob": "BYTES", "date": "DATE", "time": "TIME", "timestamp": "DATETIME",
    "timestamp_ns": "DATETIME", "timestamp_ms": "DATETIME", "timestamp_s": "DATETIME", "enum": "STRING",
    "timestamp with time zone": "TIMESTAMP", "interval": "INTERVAL", "uuid": "STRING", '"null"': "INTEGER",
}  # fmt: skip
MODES = ("NULLABLE", "REQUIRED", "REPEATED")
FORBIDDEN_IN_NAMES = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~]|[\x00-\x08\x0a-\x1f]")
MAX_NAME = 300  # https://cloud.google.com/bigquery/docs/schemas#column_names
# Cased as they are compared: https://cloud.google.com/bigquery/docs/schemas#column_names
RESERVED = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")
UNSUPPORTED = ("policyTags", "dataPolicies", "rangeElementType", "foreignTypeDefinition", "collation", "roundingMode")


def canonical(fields: list[Field]) -> list[Field]:
    """A schema with the API's own type names.

    Raises:
        CloudError: 400 for a schema that BigQuery refuses, 501 for a type that this warehouse lacks.
    """
    seen: set[str] = set()
    done = []
    for field in fields:
        name = str(field.get("name", ""))
        if not name or len(name) > MAX_NAME or FORBIDDEN_IN_NAMES.search(name):
            rule = f"Fields must contain the allowed characters, and be at most {MAX_NAME} characters long."
            raise CloudError(400, "invalid", f'Invalid field name "{name}". {rule}')
        if name.upper().startswith(RESERVED):
            raise CloudError(400, "invalid", f'Invalid field name "{name}". It starts as names of pseudo columns do.')
        if name.lower() in seen:
            raise CloudError(400, "invalid", f"Field {name} already exists in schema")
        seen.add(name.lower())
        done.append(_canonical_field(field))
    return done


def _canonical_field(field: Field) -> Field:
    given = str(field.get("type", "")).upper()
    kind, mode = SYNONYMS.get(given, given), str(field.get("mode") or "NULLABLE").upper()
    name = field["name"]
    for part in UNSUPPORTED:
        if field.get(part) not in (None, "", {"names": []}):
            raise CloudError(501, "notImplemented", f"The local warehouse does not support {part!r} of field {name!r}")
    if kind not in DUCK_TYPES and kind != "RECORD":
        known = given in ("GEOGRAPHY", "RANGE", "FOREIGN", "GEOMETRY")
        if known:
            raise CloudError(501, "notImplemented", f"The local warehouse has no type {given} (field {name!r})")
        raise CloudError(400, "invalid", f"Invalid value for type: {given} is not a valid value (field {name!r})")
    if mode not in MODES:
        raise CloudError(400, "invalid", f"Invalid value for mode: {mode} is not a valid value (field {name!r})")
    done = {k: v for k, v in field.items() if v is not None and k not in UNSUPPORTED} | {"type": kind}
    if "mode" in field:
        done["mode"] = mode
    if kind == "RECORD":
        if not field.get("fields"):
            raise CloudError(400, "invalid", f"Field {name} is type RECORD but has no schema")
        done["fields"] = canonical(field["fields"])
        if any("defaultValueExpression" in f for f in done["fields"]):
            raise CloudError(
                501, "notImplemented", f"The local warehouse has no default values inside a RECORD ({name!r})"
            )
    return done


def mode_of(field: Field) -> str:
    """The mode, which the API may leave out."""
    return str(field.get("mode") or "NULLABLE")


def duck_type(field: Field, *, element: bool = False) -> str:
    """DuckDB's type of a field; of one element of it, when it is repeated and `element` is set."""
    if field["type"] == "RECORD":
        inner = ", ".join(f"{quoted(f['name'])} {duck_type(f)}" for f in field["fields"])
        kind = f"STRUCT({inner})"
    elif field["type"] in ("NUMERIC",) and field.get("precision"):
        kind = f"DECIMAL({field['precision']}, {field.get('scale', 0)})"
    else:
        kind = DUCK_TYPES[field["type"]]
    return kind + "[]" if mode_of(field) == "REPEATED" and not element else kind


def columns_sql(fields: list[Field]) -> str:
    """The column definitions of CREATE TABLE."""
    return ", ".join(f"{quoted(f['name'])} {duck_type(f)}{_constraint(f)}" for f in fields)


def _constraint(field: Field) -> str:
    constraint = " NOT NULL" if mode_of(field) == "REQUIRED" else ""
    if field.get("maxLength"):
        length = "octet_length" if field["type"] == "BYTES" else "length"
        constraint += f" CHECK ({length}({quoted(field['name'])}) <= {int(field['maxLength'])})"
    return constraint


def sql_type(field: Field, *, element: bool = False, sized: bool = False) -> str:
    """The type as GoogleSQL writes it: `ARRAY<STRUCT<a INT64>>`.

    Args:
        sized: whether with lengths and digits, `STRING(5)`.
    """
    if mode_of(field) == "REPEATED" and not element:
        return f"ARRAY<{sql_type(field, element=True, sized=sized)}>"
    if field["type"] == "RECORD":
        inner = ", ".join(f"`{f['name']}` {sql_type(f, sized=sized)}" for f in field["fields"])
        return f"STRUCT<{inner}>"
    sizes = [str(field[key]) for key in ("maxLength", "precision", "scale") if sized and field.get(key)]
    return str(SQL_NAMES.get(field["type"], field["type"])) + (f"({', '.join(sizes)})" if sizes else "")


def shown_type(field: Field) -> str:
    """The type as INFORMATION_SCHEMA shows it: names of fields in backticks only where they need them."""
    return re.sub(r"`([A-Za-z_]\w*)`", r"\1", sql_type(field, sized=True))


def field_of(name: str, kind: DuckDBPyType) -> Field:
    """The field that BigQuery would report for a column of a DuckDB result."""
    if kind.id in ("list", "array"):
        element = field_of(name, cast(DuckDBPyType, kind.children[0][1]))  # a list has one child, its type
        if element.get("mode") == "REPEATED":
            raise CloudError(400, "invalidQuery", f"Cannot create field {name}: ARRAY of ARRAY is not supported")
        return element | {"mode": "REPEATED"}
    if kind.id == "struct":
        children = [(n, cast(DuckDBPyType, t)) for n, t in kind.children]  # of a struct: names and types
        inner = [field_of(n or f"_field_{i}", t) for i, (n, t) in enumerate(children, 1)]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": inner}
    if str(kind) == "JSON":
        return {"name": name, "type": "JSON", "mode": "NULLABLE"}
    if kind.id not in WIDENED:
        raise CloudError(400, "invalidQuery", f"Column {name!r} has type {kind}, which BigQuery does not have")
    return {"name": name, "type": WIDENED[kind.id], "mode": "NULLABLE"}


def find(fields: list[Field], name: str) -> Field | None:
    """The field of that name; column names are case-insensitive."""
    return next((f for f in fields if f["name"].lower() == name.lower()), None)


def evolved(old: list[Field], new: list[Field], where: str) -> list[Field]:
    """`new` in the order of `old`, fields that are new last.

    Raises:
        CloudError: 400 unless every change is an added nullable or repeated field, or REQUIRED made NULLABLE.
    """
    return _evolved(old, new, f"Provided Schema does not match Table {where}.")


def _evolved(old: list[Field], new: list[Field], prefix: str) -> list[Field]:
    result = []
    for before in old:
        after = find(new, before["name"])
        if after is None:
            raise CloudError(400, "invalid", f"{prefix} Field {before['name']} is missing in new schema")
        if after["type"] != before["type"]:
            change = f"has changed type from {before['type']} to {after['type']}"
            raise CloudError(400, "invalid", f"{prefix} Field {before['name']} {change}")
        if mode_of(after) != mode_of(before) and (mode_of(before), mode_of(after)) != ("REQUIRED", "NULLABLE"):
            change = f"has changed mode from {mode_of(before)} to {mode_of(after)}"
            raise CloudError(400, "invalid", f"{prefix} Field {before['name']} {change}")
        inner = {"fields": _evolved(before["fields"], after["fields"], prefix)} if "fields" in before else {}
        result.append(after | {"name": before["name"]} | inner)
    for field in new:
        if find(old, field["name"]) is None:
            if mode_of(field) == "REQUIRED":
                why = "Cannot add required fields to an existing schema."
                raise CloudError(400, "invalid", f"{prefix} {why} (field: {field['name']})")
            result.append(field)
    return result
