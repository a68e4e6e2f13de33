"""Load jobs: files into a table or a partition of it, all rows or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from local.warehouse import errors
from local.warehouse.catalog import Catalog, Table
from local.warehouse.database import new_name, quoted
from local.warehouse.destinations import Destination
from local.warehouse.paging import number
from local.warehouse.schema import Field, canonical, find, mode_of
from local.warehouse.sizes import Sizes
from local.warehouse.sources import FORMATS, Source, reading_error
from local.wire import CloudError

KNOWN = {
    "sourceUris", "schema", "destinationTable", "sourceFormat", "createDisposition", "writeDisposition", "skipLeadingRows",
    "fieldDelimiter", "quote", "allowQuotedNewlines", "allowJaggedRows", "nullMarker", "encoding", "maxBadRecords",
    "ignoreUnknownValues", "autodetect", "schemaUpdateOptions", "timePartitioning", "rangePartitioning", "clustering",
    "parquetOptions", "destinationTableProperties", "decimalTargetTypes", "useAvroLogicalTypes", "projectionFields",
    "columnNameCharacterMap", "jsonExtension", "createSession", "schemaInline", "schemaInlineFormat",
    "destinationEncryptionConfiguration", "preserveAsciiControlCharacters", "nullMarkers",
}  # fmt: skip
SHOWN_FAULTS = 5
# Row ids of a table that is not committed yet do not begin with 0.
FAULTS = 'SELECT rowid - (SELECT min(rowid) FROM {stage}), "fault$" FROM {stage} WHERE "fault$" IS NOT NULL'
REJECTED = "SELECT line - 1, any_value(error_message) FROM bq_rejects GROUP BY file_id, line"


@dataclass(frozen=True)
class Loaded:
    """What a load did, for its statistics."""

    rows: int
    size: int
    bad: list[str]


def check(configuration: dict[str, Any]) -> None:
    """Refuse what no load here can do, before there is a job.

    Raises:
        CloudError: 400 or 501.
    """
    strange = [k for k, v in configuration.items() if k not in KNOWN and v not in (None, "", [], {}, False)]
    if strange:
        raise CloudError(501, "notImplemented", f"The local warehouse does not support {strange[0]!r} of a load job")
    format = str(configuration.get("sourceFormat") or "CSV")
    if format not in FORMATS:
        raise CloudError(
            501, "notImplemented", f"The local warehouse does not load {format}; it loads {', '.join(FORMATS)}"
        )
    for key in ("skipLeadingRows", "maxBadRecords"):
        number(configuration, key, 0)
    if configuration.get("nullMarker") and configuration.get("nullMarkers"):
        raise CloudError(400, "invalid", "Only one of nullMarker and nullMarkers can be set")
    decimals = configuration.get("decimalTargetTypes")
    if format == "PARQUET" and decimals and decimals != ["NUMERIC"]:
        text = "The local warehouse does not support 'decimalTargetTypes' of a load job other than ['NUMERIC']"
        raise CloudError(501, "notImplemented", text)
    encoding = str(configuration.get("encoding") or "UTF-8").upper()
    if encoding not in ("UTF-8", "UTF8", "ISO-8859-1"):
        raise CloudError(501, "notImplemented", f"The local warehouse does not load files in {encoding}")


def run(catalog: Catalog, sizes: Sizes, configuration: dict[str, Any], files: Sequence[Path], project: str) -> Loaded:
    """Load files within the caller's transaction.

    Raises:
        CloudError: the table is as it was then, once the transaction is rolled back.
    """
    destination = Destination.of(configuration, project, write="WRITE_APPEND")
    source = Source(catalog.cursor, files, configuration)
    try:
        fields = _fields(destination.existing(catalog), destination, source, configuration)
        table = destination.prepared(catalog, fields)
        if source.format == "PARQUET":
            bad: list[str] = []
            rows = destination.append(catalog, table, [f["name"] for f in fields], source.query(_modes(fields, table)))
        else:
            rows, bad = _staged(catalog, destination, table, source, fields)
    except duckdb.Error as error:
        raise errors.of_data(error, FORMATS[source.format]) from error
    size = sizes.of(catalog.cursor, catalog.table(table.ref))[1]
    return Loaded(rows, size, bad)


def _fields(
    existing: Table | None, destination: Destination, source: Source, configuration: dict[str, Any]
) -> list[Field]:
    """The schema of the rows: the job's, the files' own, or the table's."""
    given = (configuration.get("schema") or {}).get("fields")
    if given:
        return canonical(given)
    truncates = destination.write == "WRITE_TRUNCATE" and destination.ref.partition is None
    table_fields = existing.fields if existing else []
    own = source.own_fields()
    if own is None:
        if not table_fields:
            raise CloudError(400, "invalid", "No schema specified on job or table.")
        return table_fields
    if source.format == "CSV" and table_fields and not truncates:
        return table_fields  # columns of a CSV file are matched by position
    if truncates or not table_fields:
        return own
    return [_as_table(f, table_fields) for f in own]


def _as_table(field: Field, table_fields: list[Field]) -> Field:
    """A file's own field, read as the table has it; source.query checks that the types allow it."""
    known = find(table_fields, field["name"])
    return known if known else field


def _modes(fields: list[Field], table: Table) -> list[Field]:
    """The fields with REQUIRED where the table says so."""
    return [f | {"mode": mode_of(find(table.fields, f["name"]) or f)} for f in fields]


def _staged(
    catalog: Catalog, destination: Destination, table: Table, source: Source, fields: list[Field]
) -> tuple[int, list[str]]:
    stage = new_name()
    catalog.cursor.execute(f"CREATE TEMP TABLE {stage} AS {source.query(_modes(fields, table))}")
    allowed = int(source.configuration.get("maxBadRecords") or 0)
    faults = catalog.cursor.execute(FAULTS.format(stage=stage)).fetchall()
    if source.rejects:
        faults = sorted(faults + catalog.cursor.execute(REJECTED).fetchall())
        catalog.cursor.execute("DROP TABLE bq_rejects; DROP TABLE bq_scans")
    told = [f"Row {row + 1}: {fault}" for row, fault in faults]
    if len(faults) > allowed:
        kind = FORMATS[source.format]
        summary = (
            f"{kind} processing encountered too many errors, giving up. Rows: {faults[0][0] + 1}; errors: {len(faults)}"
        )
        error = reading_error(
            f"{summary}; max bad: {allowed}. Please look into the errors[] collection for more details."
        )
        error.errors += [
            {"reason": "invalid", "message": f"Error while reading data, error message: {t}"}
            for t in told[:SHOWN_FAULTS]
        ]
        raise error
    columns = ", ".join(quoted(f["name"]) for f in fields)
    rows = destination.append(
        catalog, table, [f["name"] for f in fields], f'SELECT {columns} FROM {stage} WHERE "fault$" IS NULL'
    )
    catalog.cursor.execute(f"DROP TABLE {stage}")
    return rows, told
