"""Partitions of a table: the id of a row's partition, and the rows that a decorator such as `$20240501` names.

Rows of all partitions lie in one DuckDB table; a partition is a condition on the partitioning column.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.warehouse.catalog import PARTITION_TIME, Table
from local.warehouse.database import quoted, text
from local.warehouse.schema import Field, find
from local.wire import CloudError

NULL_ID = "__NULL__"
# Unit: length of its ids, strptime format of the id.
UNITS = {"HOUR": (10, "%Y%m%d%H"), "DAY": (8, "%Y%m%d"), "MONTH": (6, "%Y%m"), "YEAR": (4, "%Y")}
COLUMN_TYPES = ("DATE", "DATETIME", "TIMESTAMP")


@dataclass(frozen=True)
class Partitioning:
    """How a table is partitioned: by a column and a unit of time, or by ranges of an integer column."""

    column: str
    column_type: str
    unit: str  # a key of UNITS, or RANGE
    start: int = 0
    end: int = 0
    interval: int = 1
    required: bool = False  # queries must filter on the column

    @classmethod
    def of(cls, table: Table) -> "Partitioning | None":
        """The partitioning of a table, None when it has none."""
        time: dict[str, Any] = table.resource.get("timePartitioning") or {}
        ranges: dict[str, Any] = table.resource.get("rangePartitioning") or {}
        if not time and not ranges:
            return None
        column = (time or ranges).get("field") or PARTITION_TIME
        field = find(table.fields, column) or {"type": "TIMESTAMP" if table.ingested else "DATE"}
        required = bool(table.resource.get("requirePartitionFilter"))
        if time:
            return cls(column, field["type"], time.get("type", "DAY"), required=required)
        bounds = {k: int(v) for k, v in ranges["range"].items()}
        return cls(column, "INTEGER", "RANGE", bounds["start"], bounds["end"], bounds["interval"], required)

    @property
    def id_sql(self) -> str:
        """The partition id of a row, as a DuckDB expression."""
        column = quoted(self.column)
        if self.unit == "RANGE":
            bucket = f"({column} - {self.start}) // {self.interval} * {self.interval} + {self.start}"
            inside = f"CASE WHEN {column} BETWEEN {self.start} AND {self.end - 1} THEN CAST({bucket} AS VARCHAR) END"
            return f"CASE WHEN {column} IS NULL THEN '{NULL_ID}' ELSE coalesce({inside}, '__UNPARTITIONED__') END"
        return f"coalesce(strftime({column}, {text(UNITS[self.unit][1])}), '{NULL_ID}')"

    def condition(self, partition: str) -> str:
        """Which rows belong to a partition, as a DuckDB condition on the column itself, so that zone maps help.

        Raises:
            CloudError: 400 when the id is not one of this table's.
        """
        column = quoted(self.column)
        if partition == NULL_ID:
            return f"{column} IS NULL"
        if self.unit == "RANGE":
            return self._range_condition(partition)
        first, last = self.bounds(partition)
        return f"({column} >= {first} AND {column} < {last})"

    def bounds(self, partition: str) -> tuple[str, str]:
        """When a partition of time begins and ends, as DuckDB literals.

        Raises:
            CloudError: 400 when the id is not one of this table's.
        """
        length, pattern = UNITS[self.unit]
        try:
            if len(partition) != length:
                raise ValueError(partition)
            start = dt.datetime.strptime(partition, pattern)
        except ValueError as error:
            raise self._invalid(partition) from error
        kind = {"DATE": "DATE", "DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}[self.column_type]
        first, last = (f"{kind} '{t:%Y-%m-%d %H:%M:%S}'" for t in (start, _after(start, self.unit)))
        return first, last

    def _range_condition(self, partition: str) -> str:
        if not re.fullmatch(r"-?\d+", partition) or (int(partition) - self.start) % self.interval:
            raise self._invalid(partition)
        column, low = quoted(self.column), int(partition)
        return f"({column} >= {low} AND {column} < {min(low + self.interval, self.end)})"

    def _invalid(self, partition: str) -> CloudError:
        told = f"Invalid partition decorator '${partition}': expected the id of a {self.unit} partition"
        return CloudError(400, "invalid", f"{told} of column '{self.column}'")


def _after(start: dt.datetime, unit: str) -> dt.datetime:
    if unit == "MONTH":
        return (start.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    if unit == "YEAR":
        return start.replace(year=start.year + 1)
    return start + (dt.timedelta(hours=1) if unit == "HOUR" else dt.timedelta(days=1))


SUMMARY = "__PARTITIONS_SUMMARY__"  # t$__PARTITIONS_SUMMARY__ is a list of t's partitions, which clients still use
SUMMARY_FIELDS: list[Field] = [
    {"name": name, "type": kind, "mode": "NULLABLE"}
    for name, kind in (
        ("project_id", "STRING"), ("dataset_id", "STRING"), ("table_id", "STRING"), ("partition_id", "STRING"),
        ("creation_time", "INTEGER"), ("last_modified_time", "INTEGER"),
    )
]  # fmt: skip


def summary_sql(table: Table) -> str:
    """The rows of the list of a table's partitions, as a DuckDB query in parentheses.

    Raises:
        CloudError: 400 when the table is not partitioned.
    """
    partitioning = Partitioning.of(table)
    if partitioning is None:
        raise CloudError(400, "invalid", f"Cannot list the partitions of {table.ref}: it is not partitioned")
    ref, times = table.ref, (table.resource["creationTime"], table.resource["lastModifiedTime"])
    values = [text(ref.project), text(ref.dataset), text(ref.table), "id", *times]
    columns = ", ".join(f"{v} AS {f['name']}" for v, f in zip(values, SUMMARY_FIELDS, strict=True))
    return f"(SELECT {columns} FROM (SELECT DISTINCT {partitioning.id_sql} AS id FROM {table.physical} ORDER BY 1))"


def rows_of(table: Table) -> str:
    """The condition of the partition that the table's reference names, TRUE without one.

    Raises:
        CloudError: 400 when the table is not partitioned, or not so.
    """
    if table.ref.partition is None:
        return "TRUE"
    partitioning = Partitioning.of(table)
    if partitioning is None:
        fault = f"Cannot use a partition decorator (${table.ref.partition}) on table {table.ref}: it is not partitioned"
        raise CloudError(400, "invalid", fault)
    return partitioning.condition(table.ref.partition)


def placed(table: Table, columns: Sequence[str], sql: str) -> tuple[Sequence[str], str]:
    """Columns and rows to insert, with the time of the partition that a decorator names where rows do not tell it."""
    partitioning = Partitioning.of(table)
    if partitioning is None or not table.ingested or table.ref.partition is None:
        return columns, sql
    return [*columns, PARTITION_TIME], f"SELECT *, {partitioning.bounds(table.ref.partition)[0]} FROM ({sql})"


def check_spec(resource: dict[str, object], fields: list[Field]) -> None:
    """Refuse a partitioning or clustering that the schema does not allow.

    Raises:
        CloudError: 400.
    """
    spec = resource.get("timePartitioning") or resource.get("rangePartitioning")
    if isinstance(spec, dict):
        _check_partitioning(resource, spec, fields)
    clustering = resource.get("clustering")
    columns = clustering.get("fields", []) if isinstance(clustering, dict) else []
    if len(columns) > 4:  # https://cloud.google.com/bigquery/docs/clustered-tables
        raise CloudError(400, "invalid", f"Too many clustering fields: {len(columns)}; at most 4 are allowed")
    for name in columns:
        if find(fields, name) is None:
            fault = "The field specified for clustering cannot be found in the schema"
            raise CloudError(400, "invalid", f"{fault}: '{name}'. Invalid field.")


def _check_partitioning(resource: dict[str, object], spec: dict[str, str], fields: list[Field]) -> None:
    column, unit = spec.get("field"), spec.get("type", "DAY")
    if not column and "timePartitioning" in resource:
        if unit not in UNITS:
            raise CloudError(400, "invalid", f"Invalid partitioning type {unit!r}")
        return  # by the time when rows come
    if not column:
        raise CloudError(400, "required", "Required parameter is missing: rangePartitioning.field")
    found = find(fields, column)
    if found is None:
        fault = "The field specified for partitioning cannot be found in the schema"
        raise CloudError(400, "invalid", f"{fault}: '{column}'")
    allowed: tuple[str, ...] = ("INTEGER",) if "rangePartitioning" in resource else COLUMN_TYPES
    if found["type"] not in allowed or found.get("mode") == "REPEATED":
        told = f"The field specified for partitioning '{column}' has type {found['type']}"
        raise CloudError(400, "invalid", f"{told}; expected one of {', '.join(allowed)}, not repeated")
    if "timePartitioning" in resource and (unit not in UNITS or (unit == "HOUR" and found["type"] == "DATE")):
        raise CloudError(
            400, "invalid", f"Invalid partitioning type {unit!r} for field '{column}' of type {found['type']}"
        )
