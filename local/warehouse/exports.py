"""Rows written to objects: EXPORT DATA statements and extract jobs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
from sqlglot import exp

from local.warehouse import errors
from local.warehouse.catalog import Catalog
from local.warehouse.database import quoted, text
from local.warehouse.queries import Outcome, check_cost, compile_select
from local.warehouse.references import Session
from local.warehouse.schema import Field, mode_of
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, unsupported
from local.wire import CloudError

FIRST = "000000000000"  # what stands for the wildcard in the name of the first file
CONTENT_TYPES = {"CSV": "text/csv", "JSON": "application/json", "PARQUET": "application/octet-stream"}
COMPRESSIONS = {
    "CSV": {"NONE": "none", "GZIP": "gzip"},
    "JSON": {"NONE": "none", "GZIP": "gzip"},
    "PARQUET": {"NONE": "uncompressed", "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd"},
}
# Text of a value in CSV and JSON files, where it is not DuckDB's own.
WRITTEN = {
    "TIMESTAMP": "strftime(CAST({x} AS TIMESTAMP), '%Y-%m-%d %H:%M:%S') || bq_fraction(CAST({x} AS TIMESTAMP)) || ' UTC'",
    "DATETIME": "strftime({x}, '%Y-%m-%dT%H:%M:%S') || bq_fraction({x})",
    "BYTES": "to_base64({x})",
    "NUMERIC": "bq_numeric_string({x})",
    "BIGNUMERIC": "bq_bignumeric_string({x})",
    "INTERVAL": "bq_interval_string({x})",
}
OPTIONS = {"uri", "format", "overwrite", "header", "field_delimiter", "compression"}


class Files(Protocol):
    """The part of the storage that files are read from and written to."""

    def glob(self, uri: str) -> Sequence[Any]:
        """Objects whose names match, sorted; each has `bucket`, `name`, `path` and `size`."""

    def put_file(self, bucket: str, name: str, path: Path, *, content_type: str) -> object:
        """Take a file as an object."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: int
    rows: int


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and object name of a gs:// address.

    Raises:
        CloudError: 400.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not name:
        raise CloudError(400, "invalid", f"Invalid Cloud Storage URI {uri!r}; expected gs://bucket/name")
    return bucket, name


class Exports:
    """Writes rows to objects.

    Args:
        storage: takes the files.
        scratch: where they are written first; on the same disk, so that taking one is a rename.
    """

    def __init__(self, storage: Files, scratch: Path) -> None:
        self._storage, self._scratch = storage, scratch

    def statement(self, session: Session, tree: exp.Export, sizes: Sizes, configuration: dict[str, Any]) -> Outcome:
        """Run EXPORT DATA."""
        if tree.args.get("connection"):
            raise unsupported("EXPORT DATA WITH CONNECTION")
        options = _options(tree)
        uri, format = str(options.get("uri") or ""), str(options.get("format") or "").upper()
        if uri.count("*") != 1:
            raise invalid(f"Option 'uri' value must be a wildcard URI with one '*': {uri!r}")
        if format not in CONTENT_TYPES:
            raise unsupported(f"EXPORT DATA with format {format!r}")
        if self._storage.glob(uri) and not options.get("overwrite"):
            raise invalid(f"Invalid value: destination files already exist at {uri!r}; set overwrite=true")
        compiled = compile_select(session, tree.this, sizes)
        check_cost(compiled, configuration)
        done = self.write(
            session.catalog,
            compiled.sql,
            compiled.fields,
            uri,
            format,
            header=bool(options.get("header", False)),
            delimiter=str(options.get("field_delimiter") or ","),
            compression=str(options.get("compression") or ("SNAPPY" if format == "PARQUET" else "NONE")),
        )
        statistics = {k: v for k, v in compiled.statistics.items() if k != "schema"}
        counted = {"fileCount": str(done.files), "rowCount": str(done.rows)}
        return Outcome({"statementType": "EXPORT_DATA", "exportDataStatistics": counted, **statistics})

    def write(
        self,
        catalog: Catalog,
        sql: str,
        fields: Sequence[Field],
        uri: str,
        format: str,
        *,
        header: bool,
        delimiter: str,
        compression: str,
    ) -> Exported:
        """Write the rows of a DuckDB query to one object.

        Raises:
            CloudError: 400 for what the format cannot hold, 404 when there is no such bucket.
        """
        bucket, name = split_uri(uri)
        method = COMPRESSIONS[format].get(compression.upper())
        if method is None:
            raise CloudError(400, "invalid", f"Compression {compression} is not supported for {format}")
        target = name.replace("*", FIRST)
        action = "overwrite object" if self._storage.glob(f"gs://{bucket}/{target}") else "write object"
        catalog.access.file(action, bucket, target, uri, "writing data")
        columns = ", ".join(f"{_written(f, format)} AS {quoted(f['name'])}" for f in fields)
        kind = [f"FORMAT {format}", f"COMPRESSION {text(method)}"]
        if format == "CSV":
            kind += [f"HEADER {str(header).lower()}", f"DELIMITER {text({'tab': chr(9)}.get(delimiter, delimiter))}"]
        path = self._scratch / f"export-{uuid.uuid4().hex}"
        try:
            row = catalog.cursor.execute(
                f"COPY (SELECT {columns} FROM ({sql})) TO {text(str(path))} ({', '.join(kind)})"
            ).fetchone()
        except duckdb.Error as error:
            path.unlink(missing_ok=True)
            raise errors.of_query(error) from error
        self._storage.put_file(bucket, target, path, content_type=CONTENT_TYPES[format])
        return Exported(1, int(row[0]) if row else 0)


def _options(tree: exp.Export) -> dict[str, Any]:
    given = tree.args.get("options")
    found: dict[str, Any] = {}
    for item in given.expressions if given else []:
        if isinstance(item, exp.FileFormatProperty):
            name, value = "format", item.this
        else:
            name = str(item.this.name if isinstance(item.this, exp.Expr) else item.this).lower()
            value = item.args["value"]
        if name not in OPTIONS:
            raise unsupported(f"the option {name} of EXPORT DATA")
        if not isinstance(value, exp.Literal | exp.Boolean):
            raise invalid(f"Option '{name}' of EXPORT DATA must be a literal")
        found[name] = bool(value.this) if isinstance(value, exp.Boolean) else str(value.this)
    return found


def _written(field: Field, format: str) -> str:
    name, kind = quoted(field["name"]), field["type"]
    if format == "PARQUET":
        if kind in ("BIGNUMERIC", "INTERVAL"):
            raise unsupported(f"{kind} in a Parquet file (column {field['name']!r})")
        return f"CAST({name} AS VARCHAR)" if kind == "JSON" else name
    if format == "CSV" and (kind == "RECORD" or mode_of(field) == "REPEATED"):
        fault = f"Operation cannot be performed on a nested schema. Field: {field['name']}"
        raise CloudError(400, "invalid", fault)
    if mode_of(field) == "REPEATED":
        return _text(field, name)
    return _text(field, name) if format == "JSON" or kind in WRITTEN else name


def _text(field: Field, x: str, depth: int = 0) -> str:
    if mode_of(field) == "REPEATED":
        item = f"e{depth}"
        return f"list_transform({x}, lambda {item}: {_text(field | {'mode': 'NULLABLE'}, item, depth + 1)})"
    if field["type"] == "RECORD":
        inner = [(quoted(f["name"]), f) for f in field["fields"]]
        packed = ", ".join(f"{name} := " + _text(f, f"{x}.{name}", depth) for name, f in inner)
        return f"CASE WHEN {x} IS NOT NULL THEN struct_pack({packed}) END"
    if field["type"] == "INTEGER":
        return f"CAST({x} AS VARCHAR)"  # BigQuery writes INT64 as text in JSON files
    return WRITTEN.get(field["type"], "{x}").replace("{x}", x)
