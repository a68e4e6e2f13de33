"""bigquery.tabledata.*: rows read page by page, and rows streamed in."""

import json
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import duckdb

from local.warehouse import conversions, errors, partitions, rows
from local.warehouse.catalog import Catalog, Ref, Resource, Table, etag
from local.warehouse.database import Database, quoted, text
from local.warehouse.defaults import default_sql
from local.warehouse.paging import number, start_of
from local.warehouse.schema import Field, find, mode_of
from local.wire import Answer, Call, CloudError, Method

REMEMBERED_SECONDS = 60  # https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#dataconsistency
REMEMBERED_IDS = 100_000
# The column in the words that conversions.py has for a fault.
FAULTY = re.compile(r"Field: (.+)$|^Required field (.+) cannot be null$|^No such field: (.+)\.$")


class TableData:
    """The methods on rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        base = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}"
        return [
            Method("bigquery.tabledata.list", "GET", base + "/data", self.listed),
            Method("bigquery.tabledata.insertAll", "POST", base + "/insertAll", self.insert, refuses="templateSuffix"),
        ]

    def listed(self, call: Call) -> Answer:
        """A page of rows of a table, or of a partition of it."""
        start, size = start_of(call.query), min(number(call.query, "maxResults", rows.MAX_PAGE), rows.MAX_PAGE)
        int64 = call.query.get("formatOptions.useInt64Timestamp", "").lower() == "true"
        with self._database.reading() as cursor:
            table = Catalog(cursor).table(_ref(call))
            if table.view is not None:
                raise CloudError(400, "invalid", f"Cannot list a table of type VIEW: {table.ref}")
            summary = table.ref.partition == partitions.SUMMARY
            source = partitions.summary_sql(table) if summary else table.physical
            fields = _selected(
                table, partitions.SUMMARY_FIELDS if summary else table.fields, call.query.get("selectedFields")
            )
            condition = "TRUE" if summary else partitions.rows_of(table)
            found: list[str] = []
            total = 0
            if source:
                found, total = rows.page(
                    cursor, source, fields, start=start, size=size, condition=condition, int64_timestamps=int64
                )
        head: Resource = {"kind": "bigquery#tableDataList", "etag": etag(table.resource), "totalRows": str(total)}
        if size and found and start + len(found) < total:
            head["pageToken"] = str(start + len(found))
        return rows.answer(head, found)

    def insert(self, call: Call) -> Answer:
        """Stream rows in: all of them, or with skipInvalidRows those that fit."""
        body = call.json()
        if body.get("templateSuffix"):
            raise CloudError(
                501, "notImplemented", "The local warehouse does not support 'templateSuffix' of insertAll"
            )
        given = body.get("rows") or []
        if not given:
            raise CloudError(400, "invalid", "No rows present in the request.")
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            table = catalog.table(_ref(call))
            if table.view is not None or table.physical is None:
                raise CloudError(400, "invalid", f"Cannot insert into {table.ref}: it is no table with columns")
            faults = self._insert(catalog, table, given, body)
        answer: Resource = {"kind": "bigquery#tableDataInsertAllResponse"}
        return Answer(body=answer | ({"insertErrors": faults} if faults else {}))

    def _insert(self, catalog: Catalog, table: Table, given: Sequence[Resource], body: Resource) -> list[Resource]:
        lines = [_line(table, row) for row in given]
        defaults = {f["name"]: default_sql(f) for f in table.fields if f.get("defaultValueExpression")}
        ignore = bool(body.get("ignoreUnknownValues"))
        pairs = conversions.json_columns(table.fields, "j", ignore_unknown=ignore, defaults=defaults)
        values = ", ".join(f"({i}, CAST({text(line)} AS JSON))" for i, (line, _) in enumerate(lines))
        source = conversions.with_members(table.fields, "j", f"(VALUES {values}) AS lines(i, j)")
        staged = conversions.staged(pairs, table.fields, source, 'i AS "row$"')
        stage = f"insert_{uuid.uuid4().hex}"
        try:
            catalog.cursor.execute(f"CREATE TEMP TABLE {stage} AS {staged}")
            faults = dict(
                catalog.cursor.execute(f'SELECT "row$", "fault$" FROM {stage} WHERE "fault$" IS NOT NULL').fetchall()
            )
            faults |= {i: fault for i, (_, fault) in enumerate(lines) if fault}
            faults |= self._outside(catalog, table, stage)
            if not faults or body.get("skipInvalidRows"):
                fresh = [
                    i for i, row in enumerate(given) if i not in faults and self._is_new(table, row.get("insertId"))
                ]
                self._append(catalog, table, stage, fresh)
            catalog.cursor.execute(f"DROP TABLE {stage}")
        except duckdb.Error as error:
            raise errors.of_query(error) from error
        stopped = set() if not faults or body.get("skipInvalidRows") else set(range(len(given))) - set(faults)
        reported = [_fault(i, "invalid", told) for i, told in faults.items()] + [
            _fault(i, "stopped", "") for i in stopped
        ]
        return sorted(reported, key=lambda f: int(f["index"]))

    @staticmethod
    def _outside(catalog: Catalog, table: Table, stage: str) -> dict[int, str]:
        """Rows that do not belong to the partition that the table's name has."""
        if table.ref.partition is None or table.ingested:
            return {}
        condition = partitions.rows_of(table)
        found = catalog.cursor.execute(f'SELECT "row$" FROM {stage} WHERE NOT coalesce({condition}, FALSE)').fetchall()
        return {row: f"The row does not belong to partition {table.ref.partition}" for (row,) in found}

    @staticmethod
    def _append(catalog: Catalog, table: Table, stage: str, fresh: Sequence[int]) -> None:
        if not fresh:
            return
        given = [f["name"] for f in table.fields]
        columns, wanted = ", ".join(quoted(name) for name in given), ", ".join(str(i) for i in fresh)
        sql = f'SELECT {columns} FROM {stage} WHERE "row$" IN ({wanted}) ORDER BY "row$"'
        names, sql = partitions.placed(table, given, sql)
        catalog.cursor.execute(f"INSERT INTO {table.physical} ({', '.join(quoted(n) for n in names)}) {sql}")
        catalog.touch(table)

    def _is_new(self, table: Table, insert_id: str | None) -> bool:
        """Whether a row with this id was not inserted within the last minute; the API promises no more than that."""
        if not insert_id:
            return True
        key, now = (table.physical or "", insert_id), time.monotonic()
        with self._lock:
            while self._seen and (
                len(self._seen) > REMEMBERED_IDS or next(iter(self._seen.values())) < now - REMEMBERED_SECONDS
            ):
                self._seen.popitem(last=False)
            if key in self._seen:
                return False
            self._seen[key] = now
        return True


def _ref(call: Call) -> Ref:
    return Ref.of({"datasetId": call.params["dataset"], "tableId": call.params["table"]}, call.params["project"])


def _fault(index: int, reason: str, message: str) -> Resource:
    column = FAULTY.search(message)
    location = next(name for name in column.groups() if name) if column else ""
    return {"index": index, "errors": [{"reason": reason, "location": location, "debugInfo": "", "message": message}]}


def _unpacked(field: Field, value: Any) -> Any:
    """A value for insertAll, where a column of type JSON gets text.

    Raises:
        ValueError: that is no JSON.
    """
    if mode_of(field) == "REPEATED" and isinstance(value, list):
        return [_unpacked(field | {"mode": "NULLABLE"}, item) for item in value]
    if field["type"] == "RECORD" and isinstance(value, dict):
        return {k: _unpacked(f, v) if (f := find(field["fields"], k)) else v for k, v in value.items()}
    return json.loads(value) if field["type"] == "JSON" and isinstance(value, str) else value


def _line(table: Table, row: Resource) -> tuple[str, str]:
    """A row as JSON, its names as the table writes them; and what is wrong with its columns of type JSON."""
    members, fault = {}, ""
    for name, value in (row.get("json") or {}).items():
        field = find(table.fields, name)
        try:
            members[field["name"] if field else name] = _unpacked(field, value) if field else value
        except ValueError as error:
            fault = fault or f"Invalid JSON: {error}. Field: {name}"
    return json.dumps(members), fault


def _selected(table: Table, fields: list[Field], names: str | None) -> list[Field]:
    """The fields that `selectedFields` names, in the order of the table."""
    if not names:
        return fields
    wanted: dict[str, list[str]] = {}
    for given in names.split(","):
        name, _, inner = given.strip().partition(".")
        field = find(fields, name)
        if field is None or (inner and field["type"] != "RECORD"):
            raise CloudError(400, "invalid", f"No such field: {given.strip()} in {table.ref}")
        wanted.setdefault(field["name"], []).append(inner)
    return [
        f if "" in wanted[f["name"]] else f | {"fields": _selected(table, f["fields"], ",".join(wanted[f["name"]]))}
        for f in fields
        if f["name"] in wanted
    ]
