"""The sample rows on which `make check-model` tries a model, in the form that the model reads.

Does not own what is tried (check_model.py).
"""

import shutil
from pathlib import Path

import duckdb

from service import data_files
from service.data_files import DataFiles
from service.errors import BadData, BadUsage
from service.spec import ModelSpec

KINDS = ("BIGINT", "DOUBLE", "DATE", "TIMESTAMP")  # tried in this order; what is none of them is text


def of_action(model: ModelSpec, action: str) -> DataFiles:
    """The sample rows of an action.

    Raises:
        BadUsage: there is no file.
        BadData: it holds no rows.
    """
    path = model.folder / (model.actions[action].input.file or f"samples/{action}.csv")
    if not path.is_file():
        text = f"There are no sample rows '{path}' to try the {action} on."
        raise BadUsage(text, "Put a few rows there, with a header and the columns of its input.")
    rows = DataFiles((path,), path.suffix.lstrip("."))
    with data_files.connect(path.parent) as connection:
        try:
            (counted,) = connection.execute(data_files.select("count(*)", rows.relation())).fetchone() or (0,)
        except data_files.UNREADABLE as error:
            fault = data_files.unreadable(rows, error)
            raise BadData(fault.what, fault.to_do, where=str(path)) from error
    if not counted:
        raise BadData(f"The sample '{path}' holds no rows to try the {action} on.", "Put a few below its header.")
    return rows


def columns(rows: DataFiles, folder: Path) -> list[str]:
    """The names of the columns."""
    with data_files.connect(folder) as connection:
        return list(data_files.columns(connection, rows))


def as_read(model: ModelSpec, action: str, rows: DataFiles, folder: Path) -> DataFiles:
    """The rows in the format that the model reads for an action, as a file in a folder: the sample is not the model's.

    A CSV file has no types, but the Parquet that BigQuery exports has: numbers and dates are told by their look. The
    entity's key stays what it is where schema.json says STRING, for 007 is not 7.
    """
    wanted = model.actions[action].input.format
    path = folder / f"data.{wanted}"
    if wanted == rows.format:
        shutil.copyfile(rows.paths[0], path)
        return DataFiles((path,), wanted)
    (key,) = (column for column in model.columns if column.name == model.entity_key)
    with data_files.connect(folder) as connection:
        listed = "*"
        if rows.format == "csv":
            names = data_files.columns(connection, rows)
            text = key.name if key.type == "STRING" else None
            listed = ", ".join(_typed(connection, rows, name, keep=name == text) for name in names)
        data_files.copy(connection, data_files.select(listed, rows.relation()), path, wanted)
    return DataFiles((path,), wanted)


def _typed(connection: duckdb.DuckDBPyConnection, rows: DataFiles, column: str, *, keep: bool) -> str:
    name = data_files.name(column)
    for kind in () if keep else KINDS:
        wrong = data_files.select(
            "1", rows.relation(), where=f"{name} IS NOT NULL AND TRY_CAST({name} AS {kind}) IS NULL"
        )
        if connection.execute(f"{wrong} LIMIT 1").fetchone() is None:
            return f"CAST({name} AS {kind}) AS {name}"
    return name
