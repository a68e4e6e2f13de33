"""Comparing BigQuery schemas as the provider does: by columns, not by their JSON text.

The rules are those of bigQueryTableSchemaDiffSuppress and resourceBigQueryTableSchemaIsChangeable in
https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/bigquery/resource_bigquery_table.go
"""

import json
from collections.abc import Mapping
from typing import Any

ALIASES = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
Columns = dict[str, dict[str, Any]]


def equivalent(old: str, new: str) -> bool:
    """Whether two schemas have the same columns, in any order and with any names of types."""
    return _columns(json.loads(old)) == _columns(json.loads(new))


def changeable(old: str, new: str) -> bool:
    """Whether a table can go from one schema to the other without being made anew."""
    before, after = _columns(json.loads(old)), _columns(json.loads(new))
    gone, added = before.keys() - after.keys(), after.keys() - before.keys()
    # Columns that go while others come may be a renaming, which would lose their data without a word.
    return not (gone and added) and _grows(before, after)


def dropped(old: str | None, new: str | None) -> list[str]:
    """Names of the columns that the new schema no longer has."""
    before, after = (json.loads(text) if text else [] for text in (old, new))
    names = {column["name"].lower() for column in after}
    return [column["name"] for column in before if column["name"].lower() not in names]


def _grows(before: Columns, after: Columns) -> bool:
    """Whether the columns that stay may stay as they become, and those that come may come."""
    if any(after[name]["mode"] == "REQUIRED" for name in after.keys() - before.keys()):
        return False
    return all(_compatible(before[name], after[name]) for name in before.keys() & after.keys())


def _compatible(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if before["type"] != after["type"]:
        return False
    if before["mode"] != after["mode"] and (before["mode"], after["mode"]) != ("REQUIRED", "NULLABLE"):
        return False
    old, new = before["fields"], after["fields"]
    return not old.keys() - new.keys() and _grows(old, new)


def _columns(columns: list[dict[str, Any]] | None) -> Columns:
    return {column["name"].lower(): _normal(column) for column in columns or []}


def _normal(column: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(column.get("type", "")).upper()
    rest = {key: value for key, value in column.items() if value and key not in ("name", "type", "mode", "fields")}
    return {
        "type": ALIASES.get(kind, kind),
        "mode": str(column.get("mode") or "NULLABLE").upper(),
        "fields": _columns(column.get("fields")),
        **rest,
    }
