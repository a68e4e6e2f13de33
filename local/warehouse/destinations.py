"""Where rows are written by a load, a copy or a query with a destination: dispositions, schema updates, partitions.

Works inside the caller's transaction: an error leaves the table as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from local.warehouse import partitions, tables
from local.warehouse.catalog import Catalog, Ref, Table
from local.warehouse.database import quoted
from local.warehouse.schema import Field, find, mode_of
from local.wire import CloudError

SETTINGS = ("timePartitioning", "rangePartitioning", "clustering")


ALLOWED = {
    "createDisposition": ("CREATE_IF_NEEDED", "CREATE_NEVER"),
    "writeDisposition": ("WRITE_APPEND", "WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"),
    "schemaUpdateOptions": ("ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"),
}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A table to write, and what may be done to it. The names are those of the job's configuration."""

    ref: Ref
    create: str = "CREATE_IF_NEEDED"
    write: str = "WRITE_APPEND"
    updates: frozenset[str] = frozenset()  # ALLOW_FIELD_ADDITION, ALLOW_FIELD_RELAXATION
    settings: dict[str, Any] = field(default_factory=dict)  # of a new table

    @classmethod
    def of(cls, configuration: dict[str, Any], project: str, *, write: str) -> "Destination":
        """From a job's configuration.

        Args:
            write: the writeDisposition when none is given.
        """
        settings = {k: configuration[k] for k in SETTINGS if configuration.get(k)}
        properties = configuration.get("destinationTableProperties") or {}
        settings |= {k: v for k, v in properties.items() if v and k in ("description", "friendlyName", "labels")}
        if configuration.get("destinationEncryptionConfiguration"):
            raise CloudError(501, "notImplemented", "The local warehouse does not support encryption with own keys")
        for key, values in ALLOWED.items():
            given = configuration.get(key) or []
            for value in [given] if isinstance(given, str) else given:
                if value not in values:
                    fault = f"Invalid value for {key}: {value!r} is none of {', '.join(values)}"
                    raise CloudError(400, "invalid", fault)
        return cls(
            ref=Ref.of(configuration.get("destinationTable") or {}, project),
            create=configuration.get("createDisposition") or "CREATE_IF_NEEDED",
            write=configuration.get("writeDisposition") or write,
            updates=frozenset(configuration.get("schemaUpdateOptions") or ()),
            settings=settings,
        )

    def existing(self, catalog: Catalog) -> Table | None:
        """The table as it is now.

        Raises:
            CloudError: 404 when it may not be created, 400 when it cannot be written.
        """
        found = catalog.find_table(self.ref)
        catalog.access.may(self._action(found), self.ref)
        if found is None:
            catalog.dataset(self.ref.project, self.ref.dataset)
            if self.create == "CREATE_NEVER":
                raise CloudError(404, "notFound", f"Not found: Table {self.ref}")
            return None
        if found.view is not None:
            raise CloudError(400, "invalid", f"{self.ref} is a view and cannot be written")
        return found

    def _action(self, found: Table | None) -> str:
        """What is done to the table, by the name that its permissions have."""
        if found is None and self.create != "CREATE_NEVER":
            return "create"
        whole = self.write == "WRITE_TRUNCATE" and self.ref.partition is None
        return "replace" if whole or self.updates else "append"

    def prepared(self, catalog: Catalog, fields: list[Field]) -> Table:
        """The table, made or emptied or its schema extended so that rows with these fields can be appended."""
        found = self.existing(catalog)
        if found is None:
            dataset = catalog.dataset(self.ref.project, self.ref.dataset)
            resource = {"schema": {"fields": fields}, **self.settings}
            partitions.check_spec(resource, fields)
            new = tables.new_table(catalog, self.ref, dataset, resource)
            partitions.rows_of(new)  # a decorator must fit
            return new
        condition = partitions.rows_of(found) if found.fields else "TRUE"
        if self.write == "WRITE_EMPTY" and _count(catalog, found, condition):
            raise CloudError(409, "duplicate", f"Already Exists: Table {_shown(found)}")
        self._check_settings(found)
        if (self.write == "WRITE_TRUNCATE" and found.ref.partition is None) or not found.fields:
            return self._replaced(catalog, found, fields)
        extended = self._extended(catalog, found, fields)
        if self.write in ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"):
            catalog.cursor.execute(f"DELETE FROM {extended.physical} WHERE {condition}")
        return extended

    def _check_settings(self, found: Table) -> None:
        for kind in ("timePartitioning", "rangePartitioning"):
            wanted, has = self.settings.get(kind), found.resource.get(kind) or {}
            if wanted and any(
                wanted.get(k, "DAY" if k == "type" else None) != has.get(k) for k in ("type", "field", "range")
            ):
                text = (
                    f"Incompatible table partitioning specification. Expected that of table {self.ref}: {has or 'none'}"
                )
                raise CloudError(400, "invalid", f"{text}, got {wanted}")

    def _replaced(self, catalog: Catalog, found: Table, fields: list[Field]) -> Table:
        resource = {**found.resource, **self.settings, "schema": {"fields": fields}}
        partitions.check_spec(resource, fields)
        emptied = tables.with_rows(catalog, Table(found.ref, None, resource))
        return catalog.put_table(emptied)

    def _extended(self, catalog: Catalog, found: Table, fields: list[Field]) -> Table:
        merged = merge(found.fields, fields, self.updates, str(found.ref))
        if merged == found.fields:
            return found
        new = Table(found.ref, found.physical, {**found.resource, "schema": {"fields": merged}})
        return catalog.put_table(tables.reshaped(catalog, new, found.fields))

    def append(self, catalog: Catalog, table: Table, columns: Sequence[str], sql: str) -> int:
        """Insert the rows of a DuckDB query into the prepared table; answers how many.

        Raises:
            CloudError: 400 when a row belongs to another partition than the decorator's.
        """
        condition = partitions.rows_of(table)
        before = _count(catalog, table, condition) if table.ref.partition else 0
        columns, sql = partitions.placed(table, columns, sql)
        names = ", ".join(quoted(c) for c in columns)
        row = catalog.cursor.execute(f"INSERT INTO {table.physical} ({names}) {sql}").fetchone()
        count = int(row[0]) if row else 0
        if table.ref.partition and _count(catalog, table, condition) != before + count:
            fault = "Some rows belong to different partitions rather than destination partition"
            raise CloudError(400, "invalid", f"{fault} {table.ref.partition}")
        catalog.touch(table)
        return count


def merge(old: list[Field], new: list[Field], updates: frozenset[str], where: str) -> list[Field]:
    """The schema of a table after rows with other fields are appended to it.

    Raises:
        CloudError: 400 for a change that was not allowed.
    """
    prefix = f"Provided Schema does not match Table {where}."
    result = []
    for before in old:
        after = find(new, before["name"])
        if after is None:
            if mode_of(before) == "REQUIRED":
                raise CloudError(400, "invalid", f"{prefix} Required field {before['name']} is missing")
            result.append(before)
            continue
        result.append(_merged_field(before, after, updates, prefix, where))
    for added in new:
        if find(old, added["name"]) is None:
            if "ALLOW_FIELD_ADDITION" not in updates:
                raise CloudError(400, "invalid", f"{prefix} Cannot add fields (field: {added['name']})")
            result.append(added | ({"mode": "NULLABLE"} if mode_of(added) == "REQUIRED" else {}))
    return result


def _merged_field(before: Field, after: Field, updates: frozenset[str], prefix: str, where: str) -> Field:
    name, old_mode, new_mode = before["name"], mode_of(before), mode_of(after)
    if before["type"] != after["type"]:
        change = f"Field {name} has changed type from {before['type']} to {after['type']}"
        raise CloudError(400, "invalid", f"{prefix} {change}")
    result = dict(before)
    if old_mode != new_mode and (old_mode, new_mode) != ("NULLABLE", "REQUIRED"):
        if (old_mode, new_mode) != ("REQUIRED", "NULLABLE") or "ALLOW_FIELD_RELAXATION" not in updates:
            change = f"Field {name} has changed mode from {old_mode} to {new_mode}"
            raise CloudError(400, "invalid", f"{prefix} {change}")
        result["mode"] = "NULLABLE"
    if "fields" in before:
        result["fields"] = merge(before["fields"], after["fields"], updates, where)
    return result


def _count(catalog: Catalog, table: Table, condition: str) -> int:
    if table.physical is None:
        return 0
    row = catalog.cursor.execute(f"SELECT count(*) FROM {table.physical} WHERE {condition}").fetchone()
    return int(row[0]) if row else 0


def _shown(table: Table) -> str:
    return f"{table.ref}${table.ref.partition}" if table.ref.partition else str(table.ref)
