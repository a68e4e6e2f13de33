"""Whether a model that several tasks share predicts the same for a share of the rows as for all of them.

With `application: {tasks: N}` each task runs the model on the rows of its keys alone. A model that looks at other rows,
such as one that ranks or takes means at application, then predicts something else, or nothing. Uses the split and the
gate of the service. Does not own the rest of the contract (check_model.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from service import data_files, gate, inputs, predictions
from service.columns import Column
from service.data_files import DataFiles
from service.errors import BadData
from service.run import Run
from service.spec import ModelSpec
from tools import sample_rows

SHARES = 4  # at most: each is a start of the model, and what looks at other rows is found by a few
TOLERANCE = 1e-9  # relative; sums over fewer rows may end in other last digits


class Trial(Protocol):
    """A model on its sample rows (check_model.py)."""

    @property
    def model(self) -> ModelSpec:
        """Its description."""

    @property
    def folder(self) -> Path:
        """Where its files go."""

    def made(self, action: str, folder: Path) -> Run:
        """A run without a cloud."""

    def run(self, action: str, name: str, version: Path | None = None, *, rows: DataFiles | None = None) -> Path:
        """Run the model; answers the folder that it filled."""


def check(trial: Trial, rows: DataFiles, version: Path, whole: Path) -> int:
    """Run the model on each share of the rows and hold the predictions against those for all rows.

    Args:
        version: what training left.
        whole: the folder with the predictions for all rows.

    Returns:
        Into how many shares the rows were split; 1 when the model is not to be shared.

    Raises:
        BadData: keys are lost or made up, or a key gets another prediction.
    """
    tasks = min(trial.model.actions["application"].tasks, SHARES)
    if tasks == 1:
        return 1
    made, folder = [], trial.folder / "shares"
    folder.mkdir()
    # The types before the split: a share is a file of its own, in which text stays text.
    for task, share, count in _shares(trial, sample_rows.as_read(trial.model, "application", rows, folder), tasks):
        alone = f"Given the rows of one task ({count} of them) alone"
        try:
            made.append(predictions.find(trial.run("application", f"of-share-{task}", version, rows=share)))
        except BadData as error:
            raise BadData(f"{alone}: {error.what}", _to_do(trial.model)) from error
        _gate(trial, made[-1], share, alone)
    _same(trial, made, predictions.find(whole))
    return tasks


def _shares(trial: Trial, rows: DataFiles, tasks: int) -> Iterator[tuple[int, DataFiles, int]]:
    """Each share that holds rows, as the tasks would take it, with its number of rows."""
    run = trial.made("application", trial.folder / "shares")
    for task in range(tasks):
        with data_files.connect(run.folder) as connection:
            share = inputs.share_of(run, connection, rows, task, tasks)
            counted = connection.execute(data_files.select("count(*)", share.relation())).fetchone()
        if counted and counted[0]:
            yield task, share, counted[0]


def _gate(trial: Trial, files: DataFiles, due: DataFiles, alone: str) -> None:
    model = trial.model
    with data_files.connect(trial.folder) as connection:
        findings = gate.examine(connection, files, due, model.columns, model.entity_key)
    if findings:
        lines = "\n".join(f"- {finding.message}" for finding in findings)
        raise BadData(f"{alone}, '{model.name}' predicts something else:\n{lines}\n", _to_do(model))


def _same(trial: Trial, shares: list[DataFiles], whole: DataFiles) -> None:
    model, key = trial.model, data_files.name(trial.model.entity_key)
    together = " UNION ALL BY NAME ".join(f"FROM {files.relation()}" for files in shares)
    with data_files.connect(trial.folder) as connection:
        for column in model.columns:
            if column.name == model.entity_key:
                continue
            first, second = (_value(column, side) for side in ("whole", "share"))
            found = connection.execute(
                f"SELECT count(*) OVER (), whole.{key}, {first}, {second} FROM {whole.relation()} AS whole "  # noqa: S608
                f"JOIN ({together}) AS share ON whole.{key}::VARCHAR = share.{key}::VARCHAR "
                f"WHERE {_differs(column, first, second)} ORDER BY 2 LIMIT 1"
            ).fetchone()
            if found:
                many, one, of_all, of_share = found
                text = f"'{model.name}' predicts something else for {many} keys when it is given the rows of one task"
                text += f" alone: {column.name!r} of {one!r} is {of_share!r} instead of {of_all!r}."
                raise BadData(text, _to_do(model))


def _value(column: Column, side: str) -> str:
    kind = "DOUBLE" if column.type == "FLOAT64" else "VARCHAR"
    return f"CAST({side}.{data_files.name(column.name)} AS {kind})"


def _differs(column: Column, first: str, second: str) -> str:
    distinct = f"{first} IS DISTINCT FROM {second}"
    if column.type != "FLOAT64":
        return distinct
    near = f"abs({first} - {second}) <= {TOLERANCE} * greatest(abs({first}), abs({second}))"
    return f"{distinct} AND coalesce(NOT ({near}), true)"


def _to_do(model: ModelSpec) -> str:
    tasks = model.actions["application"].tasks
    text = f"model.yaml shares the application among {tasks} tasks, so what is predicted for a key must not depend on"
    return f"{text} other keys' rows: learn means, ranks and scales in training, or take `tasks` out."
