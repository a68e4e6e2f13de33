"""Copy jobs: tables into a table. Extract jobs: a table into objects."""

from typing import Any

from local.warehouse import partitions
from local.warehouse.catalog import Catalog, Ref, Resource
from local.warehouse.database import quoted
from local.warehouse.destinations import Destination
from local.warehouse.exports import Exports
from local.warehouse.sizes import Sizes
from local.wire import CloudError

FORMATS = {"CSV": "CSV", "NEWLINE_DELIMITED_JSON": "JSON", "PARQUET": "PARQUET"}
LAYOUT = ("timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter", "description", "labels")


def check(configuration: dict[str, Any]) -> None:
    """Refuse snapshots, clones and restores.

    Raises:
        CloudError: 501.
    """
    operation = configuration.get("operationType") or "COPY"
    if operation not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
        raise CloudError(501, "notImplemented", f"The local warehouse does not support copy jobs of type {operation}")


def run(catalog: Catalog, sizes: Sizes, configuration: dict[str, Any], project: str) -> Resource:
    """Copy tables of one schema into a table; answers the job's statistics."""
    given = configuration.get("sourceTables") or [configuration.get("sourceTable") or {}]
    for source in given:
        catalog.access.may("copy", Ref.of(source, project))
    sources = [catalog.table(Ref.of(s, project)) for s in given]
    first = sources[0]
    for source in sources:
        if source.view is not None or source.physical is None:
            raise CloudError(400, "invalid", f"Cannot copy {source.ref}: it is no table with rows")
        if source.fields != first.fields:
            raise CloudError(400, "invalid", f"Cannot copy {source.ref} with {first.ref}: their schemas differ")
    target = Ref.of(configuration.get("destinationTable") or {}, project)
    location = catalog.dataset(target.project, target.dataset)["location"]
    if any(s.location != location for s in sources):
        raise CloudError(
            400, "invalid", f"Cannot copy across locations: {first.ref} is in {first.location}, {target} in {location}"
        )
    layout = {k: first.resource[k] for k in LAYOUT if k in first.resource}
    destination = Destination.of(configuration, project, write="WRITE_EMPTY")
    destination = Destination(
        ref=destination.ref,
        create=destination.create,
        write=destination.write,
        settings=layout if _new(catalog, target) else {},
    )
    table = destination.prepared(catalog, first.fields)
    keeps_times = table.ref.partition is None and all(t.ingested for t in (table, *sources))
    names = first.stored_columns if keeps_times else [f["name"] for f in first.fields]
    columns = ", ".join(quoted(n) for n in names)
    rows = [f"SELECT {columns} FROM {s.physical} WHERE {partitions.rows_of(s)}" for s in sources]
    count = destination.append(catalog, table, names, " UNION ALL ".join(rows))
    size = sizes.of(catalog.cursor, catalog.table(table.ref))[1]
    return {"copiedRows": str(count), "copiedLogicalBytes": str(size)}


def _new(catalog: Catalog, ref: Ref) -> bool:
    return catalog.find_table(ref) is None


def extract(catalog: Catalog, sizes: Sizes, exports: Exports, configuration: dict[str, Any], project: str) -> Resource:
    """Write a table, or a partition of it, to objects; answers the job's statistics."""
    if configuration.get("sourceModel"):
        raise CloudError(501, "notImplemented", "The local warehouse does not extract models")
    wanted = Ref.of(configuration.get("sourceTable") or {}, project)
    catalog.access.may("extract", wanted)
    table = catalog.table(wanted)
    if table.view is not None or table.physical is None:
        raise CloudError(400, "invalid", f"Cannot extract {table.ref}: it is no table with rows")
    format = str(configuration.get("destinationFormat") or "CSV")
    if format not in FORMATS:
        raise CloudError(
            501, "notImplemented", f"The local warehouse does not extract to {format}; only to {', '.join(FORMATS)}"
        )
    uris = configuration.get("destinationUris") or [configuration.get("destinationUri")]
    if len(uris) != 1 or not uris[0]:
        raise CloudError(501, "notImplemented", "The local warehouse extracts to one destination URI")
    condition = partitions.rows_of(table)
    done = exports.write(
        catalog,
        f"SELECT * FROM {table.physical} WHERE {condition}",
        table.fields,
        uris[0],
        FORMATS[format],
        header=configuration.get("printHeader") is not False,
        delimiter=str(configuration.get("fieldDelimiter") or ","),
        compression=str(configuration.get("compression") or "NONE"),
    )
    return {
        "destinationUriFileCounts": [str(done.files)],
        "inputBytes": str(sizes.of(catalog.cursor, table, condition)[1]),
    }
