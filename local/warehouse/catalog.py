"""Which datasets and tables exist, and what is known of each; rows of the catalogue within one transaction.

Does not check what a request may ask for (datasets.py, tables.py) and touches no user's row.
"""

import copy
import hashlib
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from local.warehouse.access import Access
from local.warehouse.database import bound, quoted, text
from local.warehouse.schema import Field
from local.wire import CloudError

Resource = dict[str, Any]
PARTITION_TIME = "_PARTITIONTIME"  # the hidden column of tables partitioned by the time when rows came


def now_ms() -> int:
    """Now, as the API writes times."""
    return time.time_ns() // 1_000_000


def etag(resource: Resource) -> str:
    """A tag that differs whenever the resource does."""
    return hashlib.md5(json.dumps(resource, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def check_etag(resource: Resource, if_match: str | None) -> None:
    """Refuse a change of a resource that is no longer what the caller read.

    Raises:
        CloudError: 412.
    """
    if if_match and if_match.strip('"') not in ("*", etag(resource)):
        raise CloudError(
            412, "conditionNotMet", "Precondition Failed: the resource has changed since its etag was read"
        )


@dataclass(frozen=True)
class Ref:
    """The name of a table, with the partition that a decorator names: `project:dataset.table$20240501`."""

    project: str
    dataset: str
    table: str
    partition: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, resource: Resource, project: str | None = None) -> "Ref":
        """From a tableReference of the API."""
        missing = [k for k in ("datasetId", "tableId") if not resource.get(k)]
        if missing:
            raise CloudError(400, "required", f"Required parameter is missing: {missing[0]} of {resource!r}")
        table, _, partition = str(resource["tableId"]).partition("$")
        if "@" in table:
            raise CloudError(501, "notImplemented", f"The local warehouse has no time travel ({table!r})")
        return cls(str(resource.get("projectId") or project), str(resource["datasetId"]), table, partition or None)

    @property
    def resource(self) -> Resource:
        """As the API writes it."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}

    @property
    def dotted(self) -> str:
        """As GoogleSQL writes it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"


@dataclass(frozen=True)
class Table:
    """A table or view: its name, its resource, and the DuckDB table of its rows (None: a view, or no schema yet)."""

    ref: Ref
    physical: str | None
    resource: Resource

    @cached_property
    def fields(self) -> list[Field]:
        """Its schema."""
        return list(self.resource.get("schema", {}).get("fields", []))

    @property
    def location(self) -> str:
        """Where it lies, as its dataset said when it was made."""
        return str(self.resource["location"])

    @property
    def ingested(self) -> bool:
        """Whether it is partitioned by the time when rows came, and not by a column of theirs."""
        return "timePartitioning" in self.resource and not self.resource["timePartitioning"].get("field")

    @property
    def stored_columns(self) -> list[str]:
        """The names of the columns that hold its rows, with the hidden one."""
        return [f["name"] for f in self.fields] + ([PARTITION_TIME] if self.ingested else [])

    @property
    def view(self) -> str | None:
        """The query, when it is a view."""
        query = self.resource.get("view", {}).get("query")
        return str(query) if query else None


class Catalog:
    """The catalogue as one transaction sees it, and changes made within it.

    Args:
        access: of the account whose job this is; by default nobody is asked.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, access: Access | None = None) -> None:
        self.cursor, self.access = cursor, access or Access()

    def find_dataset(self, project: str, dataset: str) -> Resource | None:
        """The stored resource, or None."""
        row = self.cursor.execute(
            bound("SELECT resource FROM datasets WHERE project = ? AND dataset = ?", project, dataset)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def dataset(self, project: str, dataset: str, *, location: str | None = None) -> Resource:
        """The stored resource.

        Raises:
            CloudError: 404, also when `location` is given and the dataset is elsewhere.
        """
        found = self.find_dataset(project, dataset)
        if found is None or (location and found["location"] != location):
            where = f" was not found in location {location}" if location else ""
            raise CloudError(404, "notFound", f"Not found: Dataset {project}:{dataset}{where}")
        return found

    def datasets(self, project: str) -> list[Resource]:
        """All of a project, by id."""
        rows = self.cursor.execute(
            bound("SELECT resource FROM datasets WHERE project = ? ORDER BY dataset", project)
        ).fetchall()
        return [json.loads(r) for (r,) in rows]

    def put_dataset(self, resource: Resource) -> None:
        """Write or replace one."""
        ref = resource["datasetReference"]
        self._delete_dataset(ref["projectId"], ref["datasetId"])
        self.cursor.execute(
            bound("INSERT INTO datasets VALUES (?, ?, ?)", ref["projectId"], ref["datasetId"], json.dumps(resource))
        )

    def drop_dataset(self, project: str, dataset: str) -> None:
        """Remove a dataset with every table in it."""
        for table in self.tables(project, dataset):
            self.drop_table(table)
        self._delete_dataset(project, dataset)

    def _delete_dataset(self, project: str, dataset: str) -> None:
        self.cursor.execute(bound("DELETE FROM datasets WHERE project = ? AND dataset = ?", project, dataset))

    def find_table(self, ref: Ref) -> Table | None:
        """The table, or None; one whose expirationTime has passed is gone."""
        row = self.cursor.execute(
            bound(
                "SELECT physical, resource FROM tables WHERE project = ? AND dataset = ? AND name = ?",
                ref.project,
                ref.dataset,
                ref.table,
            )
        ).fetchone()
        found = Table(ref, row[0], json.loads(row[1])) if row else None
        return None if found is None or _expired(found) else found

    def table(self, ref: Ref, *, location: str | None = None) -> Table:
        """The table.

        Raises:
            CloudError: 404 for the dataset or the table, also when `location` is given and it is elsewhere.
        """
        found = self.find_table(ref)
        if found and (not location or found.location == location):
            return found
        self.dataset(ref.project, ref.dataset, location=location)
        where = f" was not found in location {location}" if location else ""
        raise CloudError(404, "notFound", f"Not found: Table {ref}{where}")

    def tables(self, project: str, dataset: str) -> list[Table]:
        """All of a dataset, by name."""
        rows = self.cursor.execute(
            bound(
                "SELECT name, physical, resource FROM tables WHERE project = ? AND dataset = ? ORDER BY name",
                project,
                dataset,
            )
        ).fetchall()
        found = [Table(Ref(project, dataset, name), physical, json.loads(r)) for name, physical, r in rows]
        return [t for t in found if not _expired(t)]

    def put_table(self, table: Table) -> Table:
        """Write or replace one row; an expired table of that name is dropped with its rows."""
        ref = table.ref
        row = self.cursor.execute(
            bound(
                "SELECT physical FROM tables WHERE project = ? AND dataset = ? AND name = ?",
                ref.project,
                ref.dataset,
                ref.table,
            )
        ).fetchone()
        if row:
            self._delete_table(ref)
            if row[0] and row[0] != table.physical:
                self.cursor.execute(f"DROP TABLE {row[0]}")
        self.cursor.execute(
            bound(
                "INSERT INTO tables VALUES (?, ?, ?, ?, ?)",
                ref.project,
                ref.dataset,
                ref.table,
                table.physical,
                json.dumps(table.resource),
            )
        )
        return table

    def touch(self, table: Table, **changes: Any) -> Table:
        """Record that a table changed, at a time later than any before; `None` removes a property."""
        resource = copy.deepcopy(table.resource) | changes
        resource = {k: v for k, v in resource.items() if v is not None}
        later = int(table.resource.get("lastModifiedTime", 0)) + 1
        resource["lastModifiedTime"] = str(max(now_ms(), later))
        touched = self.put_table(Table(table.ref, table.physical, resource))
        self._expire_partitions(touched)
        return touched

    def _expire_partitions(self, table: Table) -> None:
        """Remove the rows of partitions that have outlived `timePartitioning.expirationMs`."""
        partitioning = table.resource.get("timePartitioning") or {}
        lifetime = int(partitioning.get("expirationMs") or 0)
        if lifetime and table.physical:
            column = quoted(partitioning.get("field") or PARTITION_TIME)
            begins = f"date_trunc({text(partitioning['type'].lower())}, CAST({column} AS TIMESTAMPTZ))"
            # As a number: an interval or a time so far away as a lifetime may reach is out of DuckDB's range.
            ends = f"CAST(epoch_ms({begins} + INTERVAL 1 {partitioning['type']}) AS HUGEINT) + {lifetime}"
            self.cursor.execute(f"DELETE FROM {table.physical} WHERE {ends} <= {now_ms()}")

    def forget(self, table: Table) -> None:
        """Remove a table's row; its rows stay for whoever takes them."""
        self._delete_table(table.ref)

    def drop_table(self, table: Table) -> None:
        """Remove a table and its rows."""
        self._delete_table(table.ref)
        if table.physical:
            self.cursor.execute(f"DROP TABLE {table.physical}")

    def sweep(self) -> None:
        """Remove tables and partitions whose time has passed."""
        expiration = "CAST(json_extract_string(resource, '$.expirationTime') AS BIGINT)"
        rows = self.cursor.execute(
            bound(f"SELECT project, dataset, name, physical, resource FROM tables WHERE {expiration} <= ?", now_ms())
        ).fetchall()
        for project, dataset, name, physical, resource in rows:
            self.drop_table(Table(Ref(project, dataset, name), physical, json.loads(resource)))
        expiring = "json_extract_string(resource, '$.timePartitioning.expirationMs') IS NOT NULL"
        rows = self.cursor.execute(
            f"SELECT project, dataset, name, physical, resource FROM tables WHERE {expiring}"
        ).fetchall()
        for project, dataset, name, physical, resource in rows:
            self._expire_partitions(Table(Ref(project, dataset, name), physical, json.loads(resource)))

    def _delete_table(self, ref: Ref) -> None:
        self.cursor.execute(
            bound(
                "DELETE FROM tables WHERE project = ? AND dataset = ? AND name = ?", ref.project, ref.dataset, ref.table
            )
        )


def _expired(table: Table) -> bool:
    expiration = table.resource.get("expirationTime")
    return expiration is not None and int(expiration) <= now_ms()
