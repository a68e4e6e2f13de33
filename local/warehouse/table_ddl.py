"""The CREATE statement that would make a table or view anew, as INFORMATION_SCHEMA.TABLES shows it."""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from local.warehouse.catalog import Table
from local.warehouse.declarations import DAY_MS
from local.warehouse.partitions import Partitioning
from local.warehouse.schema import Field, mode_of, shown_type

# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#table_option_list
OPTIONS = {
    "expirationTime": "expiration_timestamp", "partition_expiration_days": "partition_expiration_days",
    "requirePartitionFilter": "require_partition_filter", "friendlyName": "friendly_name", "description": "description",
    "labels": "labels",
}  # fmt: skip


def create_statement(table: Table) -> str:
    """The statement, ended by a semicolon."""
    name = f"`{table.ref.dotted}`"
    if table.view is not None:
        return f"CREATE VIEW {name}{_options(table)}\nAS {table.view};"
    columns = ",\n".join(f"  {_column(f)}" for f in table.fields)
    return f"CREATE TABLE {name}\n(\n{columns}\n){_layout(table)}{_options(table)};"


def _column(field: Field) -> str:
    told = [f"{_name(field)} {shown_type(field)}"]
    if mode_of(field) == "REQUIRED":
        told.append("NOT NULL")
    if field.get("defaultValueExpression"):
        told.append(f"DEFAULT {field['defaultValueExpression']}")
    if field.get("description"):
        told.append(f"OPTIONS(description={_literal(field['description'])})")
    return " ".join(told)


def _name(field: Field) -> str:
    return str(field["name"]) if field["name"].isidentifier() and field["name"].isascii() else f"`{field['name']}`"


def _layout(table: Table) -> str:
    clustered = table.resource.get("clustering", {}).get("fields", [])
    by = _partition_by(table)
    return (f"\nPARTITION BY {by}" if by else "") + (f"\nCLUSTER BY {', '.join(clustered)}" if clustered else "")


def _partition_by(table: Table) -> str:
    partitioning = Partitioning.of(table)
    if partitioning is None:
        return ""
    column, unit = partitioning.column, partitioning.unit
    if unit == "RANGE":
        bounds = f"{partitioning.start}, {partitioning.end}, {partitioning.interval}"
        return f"RANGE_BUCKET({column}, GENERATE_ARRAY({bounds}))"
    if unit == "DAY":
        return (
            "_PARTITIONDATE" if table.ingested else column if partitioning.column_type == "DATE" else f"DATE({column})"
        )
    return f"{partitioning.column_type}_TRUNC({column}, {unit})"


def _options(table: Table) -> str:
    found: dict[str, Any] = dict(table.resource)
    lifetime = (table.resource.get("timePartitioning") or {}).get("expirationMs")
    if lifetime:
        found["partition_expiration_days"] = int(lifetime) / DAY_MS
    if found.get("expirationTime"):
        found["expirationTime"] = dt.datetime.fromtimestamp(int(found["expirationTime"]) / 1000, dt.UTC)
    told = [f"  {name}={_literal(found[key])}" for key, name in OPTIONS.items() if found.get(key)]
    return "\nOPTIONS(\n" + ",\n".join(told) + "\n)" if told else ""


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return f"[{', '.join(_pairs(value.items()))}]"
    if isinstance(value, dt.datetime):
        return f'TIMESTAMP "{value:%Y-%m-%dT%H:%M:%S.%f}Z"'
    # JSON's escapes are GoogleSQL's.
    return json.dumps(value, ensure_ascii=False)


def _pairs(items: Iterable[tuple[str, str]]) -> list[str]:
    return [f"({_literal(key)}, {_literal(value)})" for key, value in items]
