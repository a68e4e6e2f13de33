"""INFORMATION_SCHEMA: views over the catalogue, made as temporary tables when a query names one."""

from collections.abc import Callable, Iterator
from typing import Any

from local.warehouse.catalog import PARTITION_TIME, Catalog
from local.warehouse.database import bound, new_name, quoted
from local.warehouse.partitions import Partitioning
from local.warehouse.schema import Field, mode_of, shown_type
from local.warehouse.sizes import Sizes
from local.warehouse.statements import unsupported
from local.warehouse.table_ddl import create_statement

Row = tuple[Any, ...]
S, I, T = "VARCHAR", "BIGINT", "TIMESTAMPTZ"  # noqa: E741 (short, for the tables below)
KINDS = {"TABLE": "BASE TABLE", "VIEW": "VIEW"}


def _tables(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    for t in catalog.tables(project, dataset):
        kind = KINDS[t.resource["type"]]
        insertable = "YES" if t.view is None else "NO"
        made = int(t.resource["creationTime"])
        yield project, dataset, t.ref.table, kind, insertable, "NO", "NO", made, create_statement(t)


def _columns(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    for t in catalog.tables(project, dataset):
        partitioning = Partitioning.of(t)
        clustered = [c.lower() for c in t.resource.get("clustering", {}).get("fields", [])]
        for position, f in enumerate(t.fields, 1):
            name = f["name"]
            partitions = "YES" if partitioning and partitioning.column.lower() == name.lower() else "NO"
            cluster = clustered.index(name.lower()) + 1 if name.lower() in clustered else None
            nullable = "NO" if mode_of(f) == "REQUIRED" else "YES"
            head = (project, dataset, t.ref.table, name, position, nullable, shown_type(f))
            yield *head, "NEVER", "NO", "NO", partitions, cluster, "NULL", "NULL"
        if t.ingested:
            hidden = (project, dataset, t.ref.table, PARTITION_TIME, None, "YES", "TIMESTAMP")
            yield *hidden, "NEVER", "YES", "YES", "YES", None, "NULL", "NULL"


def _field_paths(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    def paths(prefix: str, fields: list[Field]) -> Iterator[tuple[str, Field]]:
        for f in fields:
            yield prefix + f["name"], f
            yield from paths(f"{prefix}{f['name']}.", f.get("fields", []))

    for t in catalog.tables(project, dataset):
        for path, f in paths("", t.fields):
            yield project, dataset, t.ref.table, path.split(".")[0], path, shown_type(f), f.get("description"), "NULL"


def _partitions(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    sizes = Sizes()
    for t in catalog.tables(project, dataset):
        partitioning = Partitioning.of(t)
        modified = int(t.resource["lastModifiedTime"])
        if t.physical is None:
            continue
        if partitioning is None:
            rows, size = sizes.of(catalog.cursor, t)
            yield project, dataset, t.ref.table, None, rows, size, modified, "ACTIVE"
            continue
        ids = catalog.cursor.execute(f"SELECT DISTINCT {partitioning.id_sql} FROM {t.physical} ORDER BY 1").fetchall()
        for (partition,) in ids:
            rows, size = sizes.of(catalog.cursor, t, f"{partitioning.id_sql} = '{partition}'")
            yield project, dataset, t.ref.table, partition, rows, size, modified, "ACTIVE"


def _views(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    for t in catalog.tables(project, dataset):
        if t.view is not None:
            yield project, dataset, t.ref.table, t.view, None, "YES"


def _none(_catalog: Catalog, _project: str, _dataset: str) -> Iterator[Row]:
    """No rows: this warehouse has no such things, and tools that list everything ask for them."""
    return iter(())


def _schemata(catalog: Catalog, project: str, _dataset: str) -> Iterator[Row]:
    for d in catalog.datasets(project):
        name = d["datasetReference"]["datasetId"]
        if not name.startswith("_"):
            yield project, name, None, int(d["creationTime"]), int(d["lastModifiedTime"]), d["location"]


def _table_options(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    names = {
        "description": "STRING",
        "friendlyName": "STRING",
        "requirePartitionFilter": "BOOL",
        "labels": "ARRAY<STRUCT<STRING, STRING>>",
    }
    options = {"friendlyName": "friendly_name", "requirePartitionFilter": "require_partition_filter"}
    for t in catalog.tables(project, dataset):
        for key, kind in names.items():
            value = t.resource.get(key)
            if not value:
                continue
            pairs = ", ".join(f'STRUCT("{k}", "{v}")' for k, v in value.items()) if isinstance(value, dict) else ""
            written = f"[{pairs}]" if isinstance(value, dict) else str(value).lower() if value is True else f'"{value}"'
            yield project, dataset, t.ref.table, options.get(key, key), kind, written


def _meta_tables(catalog: Catalog, project: str, dataset: str) -> Iterator[Row]:
    sizes = Sizes()
    for t in catalog.tables(project, dataset):
        rows, size = sizes.of(catalog.cursor, t)
        times = (int(t.resource["creationTime"]), int(t.resource["lastModifiedTime"]))
        yield project, dataset, t.ref.table, *times, rows, size, 2 if t.view is not None else 1


_TABLE = [("table_catalog", S), ("table_schema", S), ("table_name", S)]
# View: its columns as documented (those that this warehouse knows), and its rows. Times are in milliseconds here.
VIEWS: dict[str, tuple[list[tuple[str, str]], Callable[[Catalog, str, str], Iterator[Row]]]] = {
    "TABLES": ([*_TABLE, ("table_type", S), ("is_insertable_into", S), ("is_typed", S), ("is_change_history_enabled", S),
                ("creation_time", T), ("ddl", S)], _tables),
    "COLUMNS": ([*_TABLE, ("column_name", S), ("ordinal_position", I), ("is_nullable", S), ("data_type", S),
                 ("is_generated", S), ("is_hidden", S), ("is_system_defined", S), ("is_partitioning_column", S),
                 ("clustering_ordinal_position", I), ("collation_name", S), ("column_default", S)], _columns),
    "COLUMN_FIELD_PATHS": ([*_TABLE, ("column_name", S), ("field_path", S), ("data_type", S), ("description", S),
                            ("collation_name", S)], _field_paths),
    "PARTITIONS": ([*_TABLE, ("partition_id", S), ("total_rows", I), ("total_logical_bytes", I), ("last_modified_time", T),
                    ("storage_tier", S)], _partitions),
    "TABLE_OPTIONS": ([*_TABLE, ("option_name", S), ("option_type", S), ("option_value", S)], _table_options),
    "__TABLES__": ([("project_id", S), ("dataset_id", S), ("table_id", S), ("creation_time", I), ("last_modified_time", I),
                    ("row_count", I), ("size_bytes", I), ("type", I)], _meta_tables),
    "VIEWS": ([*_TABLE, ("view_definition", S), ("check_option", S), ("use_standard_sql", S)], _views),
    "MATERIALIZED_VIEWS": ([*_TABLE, ("last_refresh_time", T), ("refresh_watermark", T)], _none),
    "SCHEMATA": ([("catalog_name", S), ("schema_name", S), ("schema_owner", S), ("creation_time", T),
                  ("last_modified_time", T), ("location", S)], _schemata),
}  # fmt: skip


def _text(path: str) -> str:
    return f"json_extract_string(resource, '$.{path}')"


def _time(path: str) -> str:
    return f"make_timestamp(CAST({_text(path)} AS BIGINT) * 1000)::TIMESTAMPTZ"


def _table_of(json: str) -> str:
    parts = {"project_id": "projectId", "dataset_id": "datasetId", "table_id": "tableId"}
    return ", ".join(f"{name} := json_extract_string({json}, '$.{key}')" for name, key in parts.items())


_STATS, _KINDS = "statistics.query", ("query", "load", "copy")
_TARGET = (
    "coalesce(" + ", ".join(f"json_extract(resource, '$.configuration.{k}.destinationTable')" for k in _KINDS) + ")"
)
_LABELS = "json_extract(resource, '$.configuration.labels')"
# The columns of JOBS (those that this warehouse knows), each from the resource of a job.
JOBS = {
    "creation_time": _time("statistics.creationTime"),
    "project_id": "project",
    "user_email": _text("user_email"),
    "job_id": "id",
    "job_type": _text("configuration.jobType"),
    "statement_type": _text(f"{_STATS}.statementType"),
    "priority": f"coalesce({_text('configuration.query.priority')}, 'INTERACTIVE')",
    "start_time": _time("statistics.startTime"),
    "end_time": _time("statistics.endTime"),
    "query": _text("configuration.query.query"),
    "state": "state",
    "total_bytes_processed": f"CAST({_text('statistics.totalBytesProcessed')} AS BIGINT)",
    "total_bytes_billed": f"CAST({_text(f'{_STATS}.totalBytesBilled')} AS BIGINT)",
    "total_slot_ms": f"CAST({_text('statistics.totalSlotMs')} AS BIGINT)",
    "cache_hit": f"CAST({_text(f'{_STATS}.cacheHit')} AS BOOLEAN)",
    "error_result": f"""CASE WHEN {_text("status.errorResult.reason")} IS NOT NULL THEN struct_pack(
        reason := {_text("status.errorResult.reason")}, location := {_text("status.errorResult.location")},
        debug_info := CAST(NULL AS VARCHAR), message := {_text("status.errorResult.message")}) END""",
    "destination_table": f"CASE WHEN {_TARGET} IS NOT NULL THEN struct_pack({_table_of(_TARGET)}) END",
    "referenced_tables": f"""list_transform(json_extract(resource, '$.{_STATS}.referencedTables[*]'),
        lambda t: struct_pack({_table_of("t")}))""",
    "labels": f"""list_transform(coalesce(json_keys({_LABELS}), []), lambda k: struct_pack(
        key := k, value := json_extract_string({_LABELS}, '$."' || k || '"')))""",
    "parent_job_id": "parent",
}


def _jobs(catalog: Catalog, project: str, region: str) -> str:
    """The name of a temporary table with the jobs of a project; of all locations where none is given."""
    name = new_name()
    columns = ", ".join(f"{expression} AS {quoted(column)}" for column, expression in JOBS.items())
    place = region.lower().removeprefix("region-")
    where = bound("project = ?", project) + (bound(" AND lower(location) = ?", place) if place else "")
    catalog.cursor.execute(f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM jobs WHERE {where} ORDER BY created")
    return name


def materialised(catalog: Catalog, parts: list[str], location: str | None) -> str:
    """The name of a temporary table with the rows of a view.

    Args:
        parts: project, dataset (for views of a dataset), name of the view.
        location: where the dataset must lie, if that is known.
    """
    project, dataset, view = parts[0], parts[1] if len(parts) > 2 else "", parts[-1]
    if view in ("JOBS", "JOBS_BY_PROJECT") and (not dataset or dataset.lower().startswith("region-")):
        return _jobs(catalog, project, dataset)
    if view not in VIEWS or dataset.lower().startswith("region-") or (not dataset and view != "SCHEMATA"):
        raise unsupported(f"INFORMATION_SCHEMA.{view}" + (f" of {dataset}" if dataset else " of a project"))
    columns, rows = VIEWS[view]
    catalog.access.may_in_dataset("list tables" if dataset else "list datasets", project, dataset)
    if dataset:
        catalog.dataset(project, dataset, location=location)
    name = new_name()
    definitions = ", ".join(f"{quoted(c)} {kind}" for c, kind in columns)
    catalog.cursor.execute(f"CREATE TEMP TABLE {name} ({definitions})")
    marks = ", ".join("make_timestamp(? * 1000)::TIMESTAMPTZ" if kind == T else "?" for _, kind in columns)
    found = [bound(f"({marks})", *row) for row in rows(catalog, project, dataset)]
    if found:
        catalog.cursor.execute(f"INSERT INTO {name} VALUES {', '.join(found)}")
    return name
