"""bigquery.tables.*: tables and views, their schema and settings.

Does not read or write rows, except that a schema change reshapes them and a deleted partition removes its own.
"""

import re
from collections.abc import Callable
from typing import Any

from local.warehouse import partitions
from local.warehouse.catalog import PARTITION_TIME, Catalog, Ref, Resource, Table, check_etag, etag, now_ms
from local.warehouse.database import Database, new_name, quoted, text
from local.warehouse.datasets import check_labels, merged
from local.warehouse.defaults import set_defaults
from local.warehouse.paging import page
from local.warehouse.schema import Field, canonical, columns_sql, duck_type, evolved, find, mode_of
from local.warehouse.sizes import Sizes
from local.wire import Answer, Call, CloudError, Method

CHANGEABLE = {
    "friendlyName", "description", "labels", "schema", "expirationTime", "timePartitioning", "rangePartitioning",
    "requirePartitionFilter", "clustering", "view", "tableConstraints", "resourceTags", "defaultRoundingMode", "maxStaleness",
}  # fmt: skip
COMPUTED = {
    "kind", "etag", "id", "selfLink", "tableReference", "type", "creationTime", "lastModifiedTime", "location", "numRows",
    "numBytes", "numLongTermBytes", "numPhysicalBytes", "numPartitions", "numActiveLogicalBytes", "numTotalLogicalBytes",
    "numLongTermLogicalBytes", "streamingBuffer", "replicas",
}  # fmt: skip
LISTED = (
    "tableReference", "type", "friendlyName", "labels", "timePartitioning", "rangePartitioning", "clustering",
    "requirePartitionFilter", "creationTime", "expirationTime", "view",
)  # fmt: skip
# Forbidden: https://cloud.google.com/bigquery/docs/tables#table_naming
TABLE_ID = re.compile(r"[\w\- ]{1,1024}")


class Tables:
    """The methods on tables and views."""

    def __init__(
        self, database: Database, sizes: Sizes, check_view: Callable[[Catalog, Ref, str], list[Field]]
    ) -> None:
        self._database, self._sizes, self._check_view = database, sizes, check_view

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        base = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
        one = base + "/{table}"
        no = "external tables, materialized views, snapshots, clones, encryption"
        return [
            Method("bigquery.tables.insert", "POST", base, self.insert, refuses=no),
            Method("bigquery.tables.list", "GET", base, self.listed),
            Method("bigquery.tables.get", "GET", one, self.get, supports="t$PARTITION counts that partition's rows"),
            Method("bigquery.tables.patch", "PATCH", one, self.patch),
            Method("bigquery.tables.update", "PUT", one, self.update),
            Method("bigquery.tables.delete", "DELETE", one, self.delete, supports="t$PARTITION removes that partition"),
        ]

    def insert(self, call: Call) -> Answer:
        """Create an empty table, or a view."""
        body = call.json()
        given = {"datasetId": call.params["dataset"], **(body.get("tableReference") or {})}
        ref = Ref.of(given, call.params["project"])
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            table = create(catalog, ref, body, self._check_view)
        return Answer(body=self._presented(call, table))

    def get(self, call: Call) -> Answer:
        """One table, with its counts; of one partition when the name has a decorator."""
        with self._database.reading() as cursor:
            table = Catalog(cursor).table(_ref(call))
            if table.ref.partition == partitions.SUMMARY:
                summary = {**table.resource, "schema": {"fields": partitions.SUMMARY_FIELDS}}
                return Answer(body=presented(Table(table.ref, None, summary), call.base_url, 0, 0))
            rows, size = self._sizes.of(cursor, table, partitions.rows_of(table))
        return Answer(body=presented(table, call.base_url, rows, size))

    def listed(self, call: Call) -> Answer:
        """A page of the tables and views of a dataset."""
        with self._database.reading() as cursor:
            catalog = Catalog(cursor)
            catalog.dataset(call.params["project"], call.params["dataset"])
            found = catalog.tables(call.params["project"], call.params["dataset"])
        items, token = page(found, call.query)
        listed = [
            {"kind": "bigquery#table", "id": str(t.ref)} | {k: t.resource[k] for k in LISTED if k in t.resource}
            for t in items
        ]
        body = {"kind": "bigquery#tableList", "etag": etag({"": listed}), "tables": listed, "totalItems": len(found)}
        return Answer(body=body | token)

    def patch(self, call: Call) -> Answer:
        """Change what the body names; null removes."""
        return self._change(call, lambda old, new: merged(old, new))

    def update(self, call: Call) -> Answer:
        """Replace all that can change; a table keeps its schema when none is given."""

        def change(old: Resource, new: Resource) -> Resource:
            kept = {k: v for k, v in old.items() if k not in CHANGEABLE or k == "schema"}
            return {k: v for k, v in {**kept, **new}.items() if v is not None}

        return self._change(call, change)

    def _change(self, call: Call, change: Callable[[Resource, Resource], Resource]) -> Answer:
        body = call.json()
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            table = catalog.table(_ref(call))
            check_etag(table.resource, call.headers.get("if-match"))
            new = _changes(body)
            if new.get("schema") and table.view is None:
                new["schema"] = {"fields": evolved(table.fields, new["schema"]["fields"], str(table.ref))}
            if new.get("view"):
                new["schema"] = {"fields": self._check_view(catalog, table.ref, str(new["view"].get("query")))}
            resource = change(table.resource, new)
            _check_unchanged(table, resource)
            fields = resource.get("schema", {}).get("fields", [])
            partitions.check_spec(resource, fields)
            table = catalog.touch(reshaped(catalog, Table(table.ref, table.physical, resource), table.fields))
        return Answer(body=self._presented(call, table))

    def delete(self, call: Call) -> Answer:
        """Remove a table or view, or the rows of one partition."""
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            table = catalog.table(_ref(call))
            check_etag(table.resource, call.headers.get("if-match"))
            if table.ref.partition is None:
                catalog.drop_table(table)
            else:
                cursor.execute(f"DELETE FROM {table.physical} WHERE {partitions.rows_of(table)}")
                catalog.touch(table)
        return Answer(status=204)

    def _presented(self, call: Call, table: Table) -> Resource:
        with self._database.reading() as cursor:
            rows, size = self._sizes.of(cursor, table)
        return presented(table, call.base_url, rows, size)


def _ref(call: Call) -> Ref:
    names = {"datasetId": call.params["dataset"], "tableId": call.params["table"]}
    return Ref.of(names, call.params["project"])


def create(catalog: Catalog, ref: Ref, body: Resource, check_view: Callable[[Catalog, Ref, str], list[Field]]) -> Table:
    """Make a table or view from a request's resource.

    Raises:
        CloudError: 404 without the dataset, 409 when the name is taken, 400 or 501 for what cannot be.
    """
    dataset = catalog.dataset(ref.project, ref.dataset)
    if not TABLE_ID.fullmatch(ref.table) or ref.partition:
        rule = "Table IDs must be alphanumeric (plus underscores, dashes and spaces) and at most 1024 characters long."
        raise CloudError(400, "invalid", f'Invalid table ID "{ref.table}". {rule}')
    if catalog.find_table(ref):
        raise CloudError(409, "duplicate", f"Already Exists: Table {ref}")
    resource = {k: v for k, v in _changes(body).items() if v is not None}
    if "view" in resource:
        resource["schema"] = {"fields": check_view(catalog, ref, str(resource["view"].get("query")))}
    fields = resource.get("schema", {}).get("fields", [])
    partitions.check_spec(resource, fields)
    return new_table(catalog, ref, dataset, resource, kind="VIEW" if "view" in resource else "TABLE")


def new_table(catalog: Catalog, ref: Ref, dataset: Resource, resource: Resource, *, kind: str = "TABLE") -> Table:
    """Write a table's row and make the DuckDB table of its rows, when it has a schema."""
    now = now_ms()
    fixed = {
        "tableReference": ref.resource,
        "type": kind,
        "location": dataset["location"],
        "creationTime": str(now),
        "lastModifiedTime": str(now),
    }
    lifetime = dataset.get("defaultTableExpirationMs")
    if lifetime and kind == "TABLE":
        resource = {"expirationTime": str(now + int(lifetime)), **resource}
    lifetime = dataset.get("defaultPartitionExpirationMs")
    if lifetime and "timePartitioning" in resource:
        resource["timePartitioning"] = {"expirationMs": lifetime, **resource["timePartitioning"]}
    table = Table(ref, None, resource | fixed)
    return catalog.put_table(with_rows(catalog, table) if kind == "TABLE" and table.fields else table)


def with_rows(catalog: Catalog, table: Table) -> Table:
    """The same table with a new, empty DuckDB table for its rows; the row of the catalogue is the caller's to write."""
    physical = new_name()
    columns = columns_sql(table.fields)
    if table.ingested:
        unit = str(table.resource["timePartitioning"].get("type", "DAY")).lower()
        columns += f", {PARTITION_TIME} TIMESTAMPTZ DEFAULT date_trunc({text(unit)}, now())"
    catalog.cursor.execute(f"CREATE TABLE {physical} ({columns})")
    set_defaults(catalog.cursor, physical, table.fields)
    return Table(table.ref, physical, table.resource)


def reshaped(catalog: Catalog, table: Table, before: list[Field]) -> Table:
    """Give the DuckDB table the columns of the table's schema, which `schema.evolved` has allowed."""
    if table.view is not None or not table.fields:
        return table
    if table.physical is None:
        return with_rows(catalog, table)
    for field in table.fields:
        old, name = find(before, field["name"]), quoted(field["name"])
        alter = f"ALTER TABLE {table.physical}"
        if old is None:
            catalog.cursor.execute(f"{alter} ADD COLUMN {name} {duck_type(field)}")
            continue
        if duck_type(old) != duck_type(field):
            catalog.cursor.execute(f"{alter} ALTER COLUMN {name} TYPE {duck_type(field)}")
        if mode_of(old) == "REQUIRED" and mode_of(field) == "NULLABLE":
            catalog.cursor.execute(f"{alter} ALTER COLUMN {name} DROP NOT NULL")
        if old.get("defaultValueExpression") and not field.get("defaultValueExpression"):
            catalog.cursor.execute(f"{alter} ALTER COLUMN {name} DROP DEFAULT")
    set_defaults(catalog.cursor, table.physical, table.fields)
    return table


def presented(table: Table, base_url: str, rows: int, size: int) -> Resource:
    """The resource as a request answers it."""
    ref = table.ref
    link = f"{base_url}/bigquery/v2/projects/{ref.project}/datasets/{ref.dataset}/tables/{ref.table}"
    answer = {
        "kind": "bigquery#table",
        "etag": etag(table.resource),
        "id": str(ref),
        "selfLink": link,
        **table.resource,
    }
    if ref.partition:
        answer["tableReference"] = {**ref.resource, "tableId": f"{ref.table}${ref.partition}"}
    if table.view is None:
        counts = dict.fromkeys(("numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes"), str(size))
        answer |= {"numRows": str(rows), "numLongTermBytes": "0", "numLongTermLogicalBytes": "0", **counts}
    return answer


def _changes(body: Resource) -> Resource:
    refused = [key for key in body if key not in CHANGEABLE | COMPUTED and body[key]]
    if refused:
        raise CloudError(501, "notImplemented", f"The local warehouse does not support {refused[0]!r} of a table")
    check_labels(body)
    if (body.get("view") or {}).get("useLegacySql"):
        raise CloudError(501, "notImplemented", "The local warehouse does not support views in legacy SQL")
    changes: dict[str, Any] = {k: v for k, v in body.items() if k in CHANGEABLE}
    if changes.get("schema", {}) is None:
        del changes["schema"]  # `bq update` sends null; no table loses its schema
    if changes.get("schema"):
        changes["schema"] = {"fields": canonical(changes["schema"].get("fields", []))}
    time = changes.get("timePartitioning")
    if time:
        # The filter's place in timePartitioning is deprecated; both places mean the same.
        if time.get("requirePartitionFilter") is not None:
            changes.setdefault("requirePartitionFilter", time["requirePartitionFilter"])
        changes["timePartitioning"] = {"type": "DAY", **{k: v for k, v in time.items() if v is not None}}
    return changes


def _check_unchanged(table: Table, resource: Resource) -> None:
    for kind in ("timePartitioning", "rangePartitioning"):
        old, new = (r.get(kind) or {} for r in (table.resource, resource))
        if any(old.get(key) != new.get(key) for key in ("field", "type", "range")):
            fault = f"Cannot change partitioning spec for table {table.ref}"
            raise CloudError(400, "invalid", f"{fault}: interval, type or field differ from the existing ones")
