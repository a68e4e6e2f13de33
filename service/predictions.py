"""The file of predictions that the model left, and the Parquet file that is made of it for the table.

Does not own whether the predictions are fit for use (`gate.py`) or their delivery (`delivery.py`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from service import data_files, fingerprint
from service.columns import Column
from service.data_files import DataFiles
from service.errors import BadData
from service.run import Run

NAMES = ("predictions.csv", "predictions.parquet")
DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}


@dataclass(frozen=True, kw_only=True)
class Content:
    """A file in the table's columns and types, and the time that each of its rows says."""

    path: Path
    predicted_at: datetime


def find(folder: Path) -> DataFiles:
    """The model's predictions in its output folder.

    Raises:
        BadData: there is no such file, or two.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    names = " or ".join(f"'{name}'" for name in NAMES)
    if not found:
        raise BadData("The model left no predictions.", f"Make it write {names} into its output_path.")
    if len(found) > 1:
        raise BadData(f"The model left both {' and '.join(map(repr, NAMES))}.", "Make it write one of them.")
    return DataFiles((found[0],), found[0].suffix.lstrip("."))


def cast(column: Column, source: str | None = None) -> str:
    """SQL for a column's value in its declared type, NULL where the value does not fit."""
    return f"TRY_CAST({source or data_files.name(column.name)} AS {DUCKDB_TYPES[column.type]})"


def hashed(run: Run) -> fingerprint.Columns:
    """The columns that make a delivery's fingerprint: the model's own."""
    return [(column.name, column.type) for column in run.spec.columns]


def parsed_time(text: str) -> datetime:
    """The time of predictions, from a receipt."""
    return datetime.fromisoformat(text)


def write(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles, predicted_at: datetime) -> Content:
    """Write the predictions in the table's columns and types."""
    values = [
        f"DATE '{run.run_date}' AS run_date",
        *(f"{cast(column)} AS {data_files.name(column.name)}" for column in run.spec.columns),
        f"{_same(str(run.facts.model_version))} AS model_version",
        f"{_same(run.id)} AS run_id",
        f"TIMESTAMP WITH TIME ZONE '{predicted_at.isoformat()}' AS predicted_at",
    ]
    path = run.folder / "delivery.parquet"
    data_files.copy(connection, data_files.select(", ".join(values), files.relation()), path, "parquet")
    return Content(path=path, predicted_at=predicted_at)


def fingerprinted(run: Run, connection: duckdb.DuckDBPyConnection, content: Content) -> tuple[int, str]:
    """How many rows a file has, and their fingerprint.

    It leaves out what every row shares (run date and id, version, time): the same predictions made twice have the same
    fingerprint.
    """
    written = DataFiles((content.path,), "parquet")
    answer = connection.execute(fingerprint.duckdb_sql(hashed(run), written.relation())).fetchone()
    rows, first, second = answer or (0, 0, 0)
    return rows, fingerprint.text(rows, first, second)


def _same(text: str) -> str:
    """SQL for a text that all rows share; of one value as an ENUM no row's copy is made, and Parquet has it as text."""
    literal = data_files.literal(text)
    return f"{literal}::ENUM({literal})"
