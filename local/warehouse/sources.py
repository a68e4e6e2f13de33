"""Files to load: each format as a DuckDB query with the columns of the destination, and the schema that a file has itself.

Files are read where the storage keeps them; nothing is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from local.warehouse import conversions
from local.warehouse.database import quoted, text
from local.warehouse.schema import Field, duck_type, field_of, find, mode_of, sql_type
from local.wire import CloudError

GZIP = b"\x1f\x8b"
MAX_LINE = 100 << 20  # https://cloud.google.com/bigquery/quotas#load_jobs: the largest JSON row
FORMATS = {"CSV": "CSV", "NEWLINE_DELIMITED_JSON": "JSON", "PARQUET": "Parquet"}
# Parquet's own type to the types that BigQuery reads it into, besides its own.
READ_AS = {
    "BYTES": {"STRING"}, "STRING": {"BYTES", "JSON"}, "DATETIME": {"TIMESTAMP"}, "TIMESTAMP": {"DATETIME"},
    "NUMERIC": {"BIGNUMERIC"},
}  # fmt: skip
PARQUET_NAMES = {
    "INTEGER": "INT64",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "BYTE_ARRAY",
    "BYTES": "BYTE_ARRAY",
}
CPP_NAMES = {"INTEGER": "INT64", "FLOAT": "DOUBLE", "BOOLEAN": "BOOL"}
REJECTING = (
    "ignore_errors = true",
    "store_rejects = true",
    "rejects_table = 'bq_rejects'",
    "rejects_scan = 'bq_scans'",
)


def reading_error(message: str) -> CloudError:
    """The error of a file that cannot be loaded."""
    return CloudError(400, "invalid", f"Error while reading data, error message: {message}")


def _paths(files: Sequence[Path]) -> str:
    return "[" + ", ".join(text(str(f)) for f in files) + "]"


@dataclass(frozen=True)
class Source:
    """The files of one load.

    Args:
        cursor: of the load's transaction.
        files: all of one format.
        configuration: `configuration.load` of the job.
    """

    cursor: duckdb.DuckDBPyConnection
    files: Sequence[Path]
    configuration: dict[str, Any]

    @property
    def format(self) -> str:
        """`sourceFormat`."""
        return str(self.configuration.get("sourceFormat") or "CSV")

    @property
    def rejects(self) -> bool:
        """Whether rows that cannot be read are left out, and told in the table `bq_rejects`."""
        return self.format == "CSV" and int(self.configuration.get("maxBadRecords") or 0) > 0

    def own_fields(self) -> list[Field] | None:
        """The schema that the files have themselves, or that is detected when the job asks for it."""
        if self.format == "PARQUET":
            return self._fields_of(f"read_parquet({_paths(self.files)}, union_by_name = true)")
        if not self.configuration.get("autodetect"):
            return None
        if self.format == "CSV":
            return self._detected_csv()
        return _detected(self._fields_of(f"read_json_auto({_paths(self.files)}, format = 'newline_delimited')"))

    def _fields_of(self, source: str) -> list[Field]:
        relation = self.cursor.sql(f"SELECT * FROM {source}")
        fields = [field_of(n, t) for n, t in zip(relation.columns, relation.types, strict=True)]
        for field in fields:
            if field["type"] == "INTERVAL":
                raise reading_error(f"Column '{field['name']}' has a type that BigQuery cannot load")
        return fields

    def _detected_csv(self) -> list[Field]:
        skip = int(self.configuration.get("skipLeadingRows") or 0)
        options = [_paths(self.files), f"delim = {text(self._delimiter())}"]
        options += [f"header = true, skip = {skip - 1}" if skip else f"header = {str(self.has_header()).lower()}"]
        relation = self.cursor.sql(f"SELECT * FROM read_csv({', '.join(options)})")
        fields = [field_of(n, t) for n, t in zip(relation.columns, relation.types, strict=True)]
        for position, field in enumerate(fields):
            if field["name"] == f"column{position}":
                field["name"] = f"{sql_type(field).lower()}_field_{position}"
        return _detected(fields)

    def has_header(self) -> bool:
        """Whether autodetection took the first line for names."""
        if (
            self.format != "CSV"
            or not self.configuration.get("autodetect")
            or self.configuration.get("skipLeadingRows")
        ):
            return False
        # Where all columns are text, no line differs from the others.
        tells = "HasHeader AND len(list_filter(Columns, lambda c: c.type <> 'VARCHAR')) > 0"
        source = f"sniff_csv({text(str(self.files[0]))}, delim = {text(self._delimiter())})"
        row = self.cursor.execute(f"SELECT {tells} FROM {source}").fetchone()
        return bool(row and row[0])

    def query(self, fields: Sequence[Field]) -> str:
        """A query with a column for each field that the files have, and for CSV and JSON a column `fault$`.

        Raises:
            CloudError: 400 when the files do not fit the schema.
        """
        makers = {"CSV": self._csv, "NEWLINE_DELIMITED_JSON": self._json, "PARQUET": self._parquet}
        return makers[self.format](fields)

    def _parquet(self, fields: Sequence[Field]) -> str:
        source = f"read_parquet({_paths(self.files)}, union_by_name = true)"
        own = self._fields_of(source)
        for field in own:
            if find(list(fields), field["name"]) is None and not self.configuration.get("ignoreUnknownValues"):
                fault = f"Provided Schema does not match the files. Cannot add fields (field: {field['name']})"
                raise CloudError(400, "invalid", fault)
        columns = []
        for field in fields:
            has = find(own, field["name"])
            if has is None and mode_of(field) == "REQUIRED":
                raise reading_error(f"Parquet files have no column '{field['name']}', which is REQUIRED")
            columns.append(f"{self._parquet_value(field, has)} AS {quoted(field['name'])}")
        return f"SELECT {', '.join(columns)} FROM {source}"

    def _parquet_value(self, field: Field, has: Field | None) -> str:
        empty = "[]" if mode_of(field) == "REPEATED" else "NULL"
        if has is None:
            return f"CAST({empty} AS {duck_type(field)})"
        name = quoted(has["name"])
        _check_parquet(field, has, self._list_inference())
        if field["type"] == "BIGNUMERIC" and mode_of(field) != "REPEATED":
            return f"bq_bignumeric(CAST({name} AS VARCHAR))"
        if field["type"] == "STRING" and has["type"] == "BYTES" and mode_of(field) != "REPEATED":
            return f"decode({name})"
        if field["type"] == "BYTES" and has["type"] == "STRING" and mode_of(field) != "REPEATED":
            return f"encode({name})"
        value = f"CAST({name} AS {duck_type(field)})"
        return f"coalesce({value}, [])" if mode_of(field) == "REPEATED" else value

    def _list_inference(self) -> bool:
        return bool((self.configuration.get("parquetOptions") or {}).get("enableListInference"))

    def _delimiter(self) -> str:
        given = str(self.configuration.get("fieldDelimiter") or ",")
        return {"tab": "\t", "\\t": "\t"}.get(given, given)

    def _gzipped(self) -> bool:
        def starts(path: Path) -> bool:
            with path.open("rb") as file:
                return file.read(2) == GZIP

        found = {starts(f) for f in self.files}
        if len(found) > 1:
            raise reading_error("some files are compressed and others are not; load them in separate jobs")
        return True in found

    def _csv(self, fields: Sequence[Field]) -> str:
        for field in fields:
            if field["type"] == "RECORD" or mode_of(field) == "REPEATED":
                raise CloudError(400, "invalid", f"Cannot load CSV data with a nested schema. Field: {field['name']}")
        c = self.configuration
        quote = c.get("quote", '"')
        names = ", ".join(f"{text(f['name'])}: 'VARCHAR'" for f in fields)
        encoding = {"ISO-8859-1": "latin-1", "UTF-16": "utf-16"}.get(str(c.get("encoding") or "UTF-8").upper(), "utf-8")
        nulls = c.get("nullMarkers") or [c.get("nullMarker") or ""]
        skip = 1 if self.has_header() else int(c.get("skipLeadingRows") or 0)
        options = [
            _paths(self.files), f"columns = {{{names}}}", "auto_detect = false", "header = false", f"skip = {skip}",
            f"delim = {text(self._delimiter())}", f"quote = {text(quote)}", f"escape = {text(quote)}",
            f"nullstr = [{', '.join(text(str(n)) for n in nulls)}]", "allow_quoted_nulls = false", f"encoding = {text(encoding)}",
            f"null_padding = {str(bool(c.get('allowJaggedRows'))).lower()}",
            f"strict_mode = {str(not c.get('ignoreUnknownValues')).lower()}",
            f"compression = {text('gzip' if self._gzipped() else 'none')}",
            *(REJECTING if self.rejects else ()),
        ]  # fmt: skip
        pairs = conversions.text_columns(fields)
        if not c.get("allowQuotedNewlines"):
            newline = "Newline inside a quoted value; set allowQuotedNewlines"
            pairs += [
                ("", f"CASE WHEN contains({quoted(f['name'])}, chr(10)) THEN {text(newline)} END") for f in fields
            ]
        return conversions.staged(pairs, fields, f"read_csv({', '.join(options)})")

    def _json(self, fields: Sequence[Field]) -> str:
        # Lines are read as text: a line that is not JSON is then one bad row, not the end of the load.
        options = [
            _paths(self.files), "columns = {'line': 'VARCHAR'}", "auto_detect = false", "header = false", "delim = '\x01'",
            "quote = ''", "escape = ''", f"max_line_size = {MAX_LINE}", f"buffer_size = {MAX_LINE}",
            f"compression = {text('gzip' if self._gzipped() else 'none')}",
        ]  # fmt: skip
        parsed = "CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN CAST(line AS JSON) END"
        source = f"(SELECT {parsed} AS j, line FROM read_csv({', '.join(options)}) WHERE trim(line) <> '') AS lines"
        pairs = conversions.json_columns(
            fields, "j", ignore_unknown=bool(self.configuration.get("ignoreUnknownValues"))
        )
        broken = ("", "CASE WHEN j IS NULL THEN 'JSON parsing error: ' || left(line, 100) || ' is not an object' END")
        values, faults = pairs[: len(fields)], pairs[len(fields) :]
        first = [(values[0][0], f"coalesce({broken[1]}, {values[0][1]})"), *values[1:]] if values else []
        return conversions.staged([*first, *faults], fields, conversions.with_members(fields, "j", source))


def _detected(fields: list[Field]) -> list[Field]:
    """What BigQuery detects where DuckDB detects another type: times are timestamps, nothing but nulls is text."""
    types = {"DATETIME": "TIMESTAMP", "JSON": "STRING"}
    return [
        f | {"type": types.get(f["type"], f["type"])} | ({"fields": _detected(f["fields"])} if "fields" in f else {})
        for f in fields
    ]


def _check_parquet(field: Field, has: Field, list_inference: bool) -> None:
    name, repeated = field["name"], mode_of(field) == "REPEATED"
    if mode_of(has) == "REPEATED" and not list_inference:
        told = f"Column '{name}' is a Parquet LIST, which BigQuery loads as a RECORD unless list inference is on"
        raise reading_error(f"{told}. Set parquet_options.enable_list_inference = True")
    if repeated != (mode_of(has) == "REPEATED"):
        raise reading_error(f"Parquet column '{name}' is {'not ' if repeated else ''}repeated, unlike the field")
    if field["type"] != has["type"] and field["type"] not in READ_AS.get(has["type"], ()):
        source, target = PARQUET_NAMES.get(has["type"], has["type"]), CPP_NAMES.get(field["type"], field["type"])
        raise reading_error(
            f"Parquet column '{name}' has type {source} which does not match the target cpp_type {target}."
        )
    for inner in field.get("fields", []):
        found = find(has.get("fields", []), inner["name"])
        if found:
            _check_parquet(inner, found, list_inference)
