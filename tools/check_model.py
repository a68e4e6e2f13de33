"""Holds a model against the contract on sample rows, without a cloud or Airflow: `make check-model NAME=churn`.

The rows are `samples/training.csv` and `samples/application.csv` in the model's folder, or the file that the action's
`input` names. Uses the service's own parts: what passes here fails in production for want of data only. Does not own
the rules (`service/spec.py`, `service/gate.py`).
"""

import argparse
import ast
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from local import environments
from service import data_files, fingerprint, gate, model_process, predictions, settings, spec
from service.data_files import DataFiles
from service.errors import BadData, BadUsage, ServiceError
from service.run import Run
from service.spec import ModelSpec
from tools import check_shares, sample_rows
from tools.author_hints import hinted

PLATFORM = frozenset({"airflow", "boto3", "dags", "google", "infra", "local", "pulumi", "pulumi_gcp", "service"})
RUN_DATE = date(2024, 5, 1)
NOWHERE = dict.fromkeys(("GOOGLE_CLOUD_PROJECT", "LOCATION", "DATASET", "MODELS_BUCKET", "RUNS_BUCKET"), "none")


@dataclass(frozen=True)
class Trial:
    """One model with its interpreter, and a folder for what it makes."""

    model: ModelSpec
    python: str
    folder: Path
    run_date: date

    def made(self, action: str, folder: Path) -> Run:
        """A run of an action, without a cloud."""
        known = settings.read(
            NOWHERE | {"MODEL_PYTHON": self.python, "PATH": "/usr/bin:/bin"}, model=self.model.name, runs_model=True
        )
        return Run(
            settings=known,
            spec=self.model,
            action=self.model.actions[action],
            run_date=self.run_date,
            clients=cast("Any", None),  # no cloud takes part
            folder=folder,
        )

    def run(self, action: str, name: str, version: Path | None = None, *, rows: DataFiles | None = None) -> Path:
        """Run an action as the service does, on the sample rows or others; returns the folder that it filled."""
        folder = self.folder / name
        folder.mkdir()
        run, output = self.made(action, folder), folder / "output"
        rows = sample_rows.as_read(self.model, action, rows or sample_rows.of_action(self.model, action), folder)
        (data,) = rows.paths
        before = self._sources()
        try:
            words = model_process.run_model(run, data_path=data, model_path=version or output, output_path=output)
        except BadData as error:
            names = sample_rows.columns(rows, folder)
            raise hinted(error, config=folder / "config.json", name=run.action.config, columns=names) from error
        for path in sorted(self._sources() - before):
            text = f"The {action} wrote '{path}', beside its code; in the image nobody may write there."
            raise BadData(text, "Write to output_path only.")
        with model_process.quoting(words):
            if action == "training" and not any(path.is_file() for path in output.rglob("*")):
                raise BadData(
                    "The training left no file in its output_path.", "Make the model save what it learnt there."
                )
            model_process.metrics(output)
        return output

    def _sources(self) -> set[Path]:
        found = (path for path in (self.model.folder / self.model.source).rglob("*") if path.is_file())
        return {path for path in found if path.suffix != ".pyc"}

    def content(self, output: Path) -> str:
        """A fingerprint of predictions, whatever their order."""
        files = predictions.find(output)
        with data_files.connect(self.folder) as connection:
            kinds = data_files.columns(connection, files)
            hashed = [(name, fingerprint.kind_of_duckdb(kind)) for name, kind in kinds.items()]
            row = connection.execute(fingerprint.duckdb_sql(hashed, files.relation())).fetchone()
        return str(row)


def platform_imports(model: ModelSpec) -> Iterator[BadUsage]:
    """Each import of what is not there, or not to be there, when the model runs."""
    root = model.folder / model.source
    for path in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(), filename=str(path))
        except SyntaxError as error:
            yield BadUsage(f"This is not Python: {error.msg}.", "Correct it.", where=f"{path}, line {error.lineno}")
            continue
        own = {entry.name.removesuffix(".py") for entry in root.iterdir()}
        for name, line in _imports(tree):
            if name.split(".")[0] in PLATFORM - own:
                text = f"It imports '{name}', which belongs to the platform."
                to_do = "Read data_path and write to output_path only; the service does the rest."
                yield BadUsage(text, to_do, where=f"{path}, line {line}")


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What a module imports by its full name, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def check(folder: Path, run_date: date = RUN_DATE) -> str:
    """Hold a model against the contract.

    Returns:
        A line about what was tried.

    Raises:
        BadUsage, BadData, UpstreamFailed: it does not keep it; the text says where, why, and what to do.
    """
    began = time.monotonic()
    model = spec.load(folder)
    for fault in platform_imports(model):
        raise fault
    python = str(environments.ensure(folder / "requirements.txt"))
    with tempfile.TemporaryDirectory(prefix="check-model-") as scratch:
        trial = Trial(model, python, Path(scratch), run_date)
        version = trial.run("training", "version")
        made = trial.run("application", "made", version)
        rows = _gate(trial, made)
        if trial.content(made) != trial.content(trial.run("application", "again", version)):
            text = f"The application of '{model.name}' gives other predictions each time for the same rows."
            raise BadData(text, "Seed every random number, and do not read the clock.")
        shares = check_shares.check(trial, sample_rows.of_action(model, "application"), version, made)
        second = trial.run("training", "version-again")
        if trial.content(made) != trial.content(trial.run("application", "of-second", second)):
            text = f"The training of '{model.name}' learns something else each time from the same rows."
            raise BadData(text, "Seed every random number, such as random_state of scikit-learn.")
    told = "the same each time" if shares == 1 else f"the same each time, and in {shares} shares"
    return f"'{model.name}' keeps the contract: {rows} predictions, {told}; {time.monotonic() - began:.1f} s"


def _gate(trial: Trial, made: Path) -> int:
    model = trial.model
    files, due = predictions.find(made), sample_rows.of_action(model, "application")
    with data_files.connect(trial.folder) as connection:
        findings = gate.examine(connection, files, due, model.columns, model.entity_key)
        rows = connection.execute(data_files.select("count(*)", files.relation())).fetchone()
    if findings:
        lines = "\n".join(f"- {finding.message}" for finding in findings)
        raise BadData(
            f"The predictions of '{model.name}' are not what schema.json says:\n{lines}\n",
            "Correct the model, or schema.json.",
        )
    return int(rows[0]) if rows else 0


def main() -> int:
    """Check one model: 0, or the exit code of what is wrong, with the text on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.check_model --name churn")
    parser.add_argument("--name", required=True)
    parser.add_argument("--run-date", type=date.fromisoformat, default=RUN_DATE, help="(default: %(default)s)")
    given = parser.parse_args()
    known = sorted(path.parent.name for path in spec.MODELS.glob("*/model.yaml"))
    try:
        if given.name not in known:
            text = f"There is no model '{given.name}' in '{spec.MODELS}', but {known}."
            raise BadUsage(text, f"Correct the name, or make it: `make model NAME={given.name}`.")
        told = check(spec.MODELS / given.name, given.run_date)
    except environments.EnvironmentFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return BadUsage.exit_code
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
