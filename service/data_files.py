"""CSV and Parquet files, read and written by DuckDB within a memory limit: no row passes through Python objects.

Does not own what the columns mean. Text of a CSV file stays text here; who needs types casts it.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from service import upstream
from service.errors import BadData, ServiceError

# The service has half a GiB of its own beside the model; DuckDB spills to disk above this.
MEMORY_LIMIT = "256MB"
THREADS = 2

# A dictionary is worth its making only where values are few.
PARQUET = "FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1000"

# What DuckDB raises when a file is at fault; anything else is a fault of ours or of the machine.
UNREADABLE = (duckdb.InvalidInputException, duckdb.IOException, duckdb.BinderException, duckdb.ConversionException)
# Where its messages show what a file holds.
VALUES = re.compile(r"""(?<=Original Line: ).*|(?<=string )("[^"]*"|'[^']*')""")


@dataclass(frozen=True)
class DataFiles:
    """One table in one or more files of one format (csv with a header line, or parquet)."""

    paths: tuple[Path, ...]
    format: str

    def relation(self) -> str:
        """The SQL that reads the files, in their order.

        Raises:
            BadData: a CSV file has no header that names its columns.
        """
        listed = ", ".join(literal(str(path)) for path in self.paths)
        if self.format == "parquet":
            return f"read_parquet([{listed}])"
        # DuckDB guesses nothing: its guesses skip lines that do not fit. An unquoted empty field is NULL.
        names = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in _header(self.paths[0]))
        dialect = "delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false"
        return f"read_csv([{listed}], auto_detect = false, header = true, columns = {{{names}}}, {dialect})"


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV file."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        names = next(csv.reader(file), [])
    if not names:
        raise BadData(f"'{path.name}' has no header line.", "Write the names of the columns in its first line.")
    if len({name.lower() for name in names}) < len(names):
        raise BadData(f"'{path.name}' names a column twice: {listed(names)}.", "Name each column once.")
    return [name or f"unnamed column {at}" for at, name in enumerate(names, 1)]


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own in memory, which spills into a folder."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "threads": THREADS,
        "temp_directory": str(folder / "duckdb"),
        "autoinstall_known_extensions": False,  # never fetches anything
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def columns(connection: duckdb.DuckDBPyConnection, files: DataFiles) -> dict[str, str]:
    """The columns of the files in their order, with DuckDB's names of their types.

    Raises:
        BadData: the files cannot be read.
    """
    try:
        rows = connection.execute(f"DESCRIBE {select('*', files.relation())}").fetchall()
    except UNREADABLE as error:
        raise unreadable(files, error) from error
    return {name: kind for name, kind, *_ in rows}


def copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path, format: str) -> None:
    """Write the rows of a SELECT into one file."""
    options = "FORMAT csv, HEADER true" if format == "csv" else PARQUET
    connection.execute(f"COPY ({select}) TO {literal(str(path))} ({options})")


def unreadable(files: DataFiles, error: duckdb.Error) -> ServiceError:
    """The error for files that DuckDB refuses, in its words but for the values; a full disk is not their fault."""
    if fault := upstream.translated(error):
        return fault
    names = ", ".join(f"'{path.name}'" for path in files.paths[:3])
    said = VALUES.sub("***", str(error)).partition("\nLINE ")[0]  # what follows is the SQL that asked
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = f"{names} cannot be read as {files.format}: {' '.join(lines[:3])}"
    return BadData(text, "Write a header and comma-separated lines, or Parquet.")


def select(values: str, source: str, *, where: str = "TRUE") -> str:
    """A SELECT. All SQL over files is put together here, of names and texts that `name` and `literal` have quoted."""
    return f"SELECT {values} FROM {source} WHERE {where}"  # noqa: S608 - see above


def name(column: str) -> str:
    """A column's name as an identifier in SQL."""
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"


def listed(columns: Sequence[str]) -> str:
    """Column names as a sentence shows them."""
    return ", ".join(f"'{column}'" for column in columns)
