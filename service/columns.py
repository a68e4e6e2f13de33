"""The columns of a model's predictions, as its schema.json declares them.

Does not own the columns that the service adds to every row: `table.py` does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.documents import located, quoted, raise_all, read_json, schema_faults
from service.errors import BadUsage

RESERVED = frozenset({"run_date", "model_version", "run_id", "predicted_at"})  # the service adds these
NUMBERS = frozenset({"INT64", "FLOAT64", "NUMERIC"})
VALUE_TYPES: dict[str, type] = {"STRING": str, "INT64": int}  # those for which `values` makes sense


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; `unit` is in words, `minimum`, `maximum` and `values` bind the gate."""

    name: str
    type: str  # STRING, INT64, FLOAT64, NUMERIC, BOOL, DATE or TIMESTAMP
    mode: str  # REQUIRED or NULLABLE
    description: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str | int, ...] | None = None


def read_columns(path: Path, entity_key: str) -> tuple[Column, ...]:
    """Read and check a schema.json.

    Raises:
        BadUsage: every fault of the file, with its place.
    """
    document = read_json(path)
    schema = json.loads(Path(__file__).with_name("output.schema.json").read_text())
    raise_all(schema_faults(document, schema, path))
    entries: list[dict[str, Any]] = document["columns"]
    raise_all(_name_faults(entries, path) + _bound_faults(entries, path) + _key_faults(entries, entity_key, path))
    return tuple(Column(**{**e, "values": tuple(e["values"]) if "values" in e else None}) for e in entries)


def _name_faults(entries: list[dict[str, Any]], path: Path) -> list[BadUsage]:
    faults = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        # BigQuery takes names that differ only in case for the same.
        name, where = entry["name"].lower(), located(path, ("columns", index, "name"))
        if name in RESERVED:
            text = f"'{entry['name']}' is a column that the service adds to every row."
            faults.append(BadUsage(text, "Remove it, or choose another name.", where=where))
        if name in seen:
            faults.append(BadUsage(f"A column '{entry['name']}' stands above.", "Choose another name.", where=where))
        seen.add(name)
    return faults


def _bound_faults(entries: list[dict[str, Any]], path: Path) -> list[BadUsage]:
    faults = []
    for index, entry in enumerate(entries):
        kind = entry["type"]
        for bound in ("minimum", "maximum"):
            if bound in entry and kind not in NUMBERS:
                where = located(path, ("columns", index, bound))
                text = f"A column of the type '{kind}' has no {bound}."
                faults.append(BadUsage(text, f"Remove it, or choose one of {', '.join(sorted(NUMBERS))}.", where=where))
        if entry.get("minimum", float("-inf")) > entry.get("maximum", float("inf")):
            text = f"The minimum {quoted(entry['minimum'])} is more than the maximum {quoted(entry['maximum'])}."
            faults.append(BadUsage(text, "Exchange them.", where=located(path, ("columns", index, "minimum"))))
        if "values" in entry and not all(type(v) is VALUE_TYPES.get(kind) for v in entry["values"]):
            text = f"{quoted(entry['values'])} are not all values of the type '{kind}'."
            right = "List texts for STRING or whole numbers for INT64; other types have no 'values'."
            faults.append(BadUsage(text, right, where=located(path, ("columns", index, "values"))))
    return faults


def _key_faults(entries: list[dict[str, Any]], entity_key: str, path: Path) -> list[BadUsage]:
    index = next((i for i, entry in enumerate(entries) if entry["name"] == entity_key), None)
    if index is None:
        text = f"The entity key '{entity_key}' is not one of the columns."
        right = "Add the column, or correct entity_key in model.yaml."
        return [BadUsage(text, right, where=located(path, ("columns",)))]
    entry, faults = entries[index], []
    if entry["mode"] != "REQUIRED":
        text = f"The entity key '{entity_key}' is '{entry['mode']}'."
        faults.append(BadUsage(text, "Write REQUIRED.", where=located(path, ("columns", index, "mode"))))
    if entry["type"] == "FLOAT64":
        # https://cloud.google.com/bigquery/docs/clustered-tables: the table is clustered by the key
        text = f"The entity key '{entity_key}' is 'FLOAT64', by which BigQuery cannot cluster a table."
        faults.append(BadUsage(text, "Use STRING or INT64.", where=located(path, ("columns", index, "type"))))
    return faults
