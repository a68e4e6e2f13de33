"""Holds a model against the contract on sample rows, without a cloud or Airflow: `make check-model NAME=churn`.

The rows are `samples/training.csv` and `samples/application.csv` in the model's folder, or the file that the action's
`input` names. Uses the service's own parts: what passes here fails in production for want of data only. Does not own
the rules (`service/spec.py`, `service/gate.py`).
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

from local import environments
from service import data_files, fingerprint, gate, model_process, predictions, promotion_gate, settings, spec, versions
from service.data_files import DataFiles
from service.errors import BadData, BadUsage, ServiceError
from service.run import Run
from service.spec import ModelSpec
from tools import check_shares, check_source, check_sql, sample_rows
from tools.author_hints import about_predictions, hinted

RUN_DATE = date(2024, 5, 1)
LIMIT_SECONDS = 300  # for each start of the model: sample rows are few
STOPPED = 130  # the exit code after Ctrl-C
NOWHERE = dict.fromkeys(("GOOGLE_CLOUD_PROJECT", "LOCATION", "DATASET", "MODELS_BUCKET", "RUNS_BUCKET"), "none")


@dataclass(frozen=True)
class Trial:
    """One model with its interpreter, and a folder for what it makes."""

    model: ModelSpec
    python: str
    folder: Path
    run_date: date
    limit_seconds: float = LIMIT_SECONDS

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
        """Run an action as the service does, on the sample rows or others; returns the folder with what it left.

        What a training left is moved, as a version is: files only, and elsewhere than they were written.
        """
        folder = self.folder / name
        folder.mkdir()
        run, output = self.made(action, folder), folder / "output"
        rows = sample_rows.as_read(self.model, action, rows or sample_rows.of_action(self.model, action), folder)
        (data,) = rows.paths
        before = self._sources()
        try:
            with _within(self.limit_seconds, action):
                words = model_process.run_model(run, data_path=data, model_path=version or output, output_path=output)
        except BadData as error:
            names = sample_rows.columns(rows, folder)
            source = self.model.folder / self.model.source
            told = hinted(error, config=folder / "config.json", name=run.action.config, columns=names, source=source)
            raise told from error
        for path in sorted(self._sources() - before):
            text = f"The {action} wrote '{path}', beside its code; in the image nobody may write there."
            raise BadData(text, "Write to output_path only.")
        with model_process.quoting(words):
            metrics = model_process.metrics(output)
            if action == "training":
                self._check_metrics(metrics)
                return self._kept(output, folder)
        return output

    def evaluate(self, version: Path) -> None:
        """Run the action evaluation on the training's rows, if the model offers it, and see that it says its metric."""
        if self.model.evaluation is None:
            return
        folder = self.folder / "evaluation"
        folder.mkdir()
        run = self.made("training", folder)
        rows = sample_rows.as_read(self.model, "training", sample_rows.of_action(self.model, "training"), folder)
        with _within(self.limit_seconds, "evaluation"):
            found = promotion_gate.evaluate_one(run, rows.paths[0], version, "candidate")
        against = self.model.gates.promotion.against_live
        if against and not promotion_gate.is_number(found.get(against.metric)):
            text = f"The evaluation's metrics.json says '{found.get(against.metric)}' for '{against.metric}'"
            to_do = "Correct the model, or gates.promotion.against_live in model.yaml."
            raise BadData(f"{text}, and not a number; it has {sorted(found)}.", to_do)

    def _kept(self, output: Path, folder: Path) -> Path:
        """What a version would hold, in a folder of its own; that of the training is removed."""
        kept = folder.with_name(f"{folder.name}-kept")
        for name, path in versions.files_of(output).items():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept / name)
        shutil.rmtree(folder)
        return kept

    def _check_metrics(self, said: Mapping[str, Any]) -> None:
        """See that a training says what the promotion's gate asks for."""
        for metric in self.model.gates.promotion.metrics:
            if not promotion_gate.is_number(said.get(metric)):
                text = f"The training's metrics.json says '{said.get(metric)}' for '{metric}', and not a number"
                to_do = "Make the training write it, or remove it from gates.promotion.metrics in model.yaml."
                raise BadData(f"{text}; it has {sorted(said)}.", to_do)

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


@contextmanager
def _within(seconds: float, action: str) -> Iterator[None]:
    """End what does not end by itself."""

    def end(_: int, __: FrameType | None) -> NoReturn:
        text = f"The {action} has not ended after {seconds:g} seconds on the sample rows."
        to_do = "Look for a loop without an end; if it needs that long, `python -m tools.check_model --limit SECONDS`."
        raise BadData(text, to_do)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check(folder: Path, run_date: date = RUN_DATE, limit_seconds: float = LIMIT_SECONDS) -> str:
    """Hold a model against the contract.

    Returns:
        A line about what was tried, and one for each thing that is worth a look.

    Raises:
        BadUsage, BadData, UpstreamFailed: it does not keep it; the text says where, why, and what to do.
    """
    began = time.monotonic()
    model = spec.load(folder)
    for fault in (*check_source.platform_imports(model), *check_sql.faults(model)):
        raise fault
    python = str(environments.ensure(folder / "requirements.txt"))
    with tempfile.TemporaryDirectory(prefix="check-model-") as scratch:
        trial = Trial(model, python, Path(scratch), run_date, limit_seconds)
        version = trial.run("training", "version")
        trial.evaluate(version)
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
    line = f"'{model.name}' keeps the contract: {rows} predictions, {told}; {time.monotonic() - began:.1f} s"
    notes = (*check_source.notes(model), *check_sql.notes(model))
    return "\n".join([line, *(f"note: {note}" for note in notes)])


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
            about_predictions(findings, model.entity_key),
        )
    return int(rows[0]) if rows else 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01") from error


def main() -> int:
    """Check one model: 0, or the exit code of what is wrong, with the text on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.check_model --name churn")
    parser.add_argument("--name", required=True)
    parser.add_argument("--run-date", type=_day, default=RUN_DATE, help="(default: %(default)s)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT_SECONDS, metavar="SECONDS", help="of each start (default: %(default)s)"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind then, too
    known = sorted(path.parent.name for path in spec.MODELS.glob("*/model.yaml"))
    try:
        if given.name not in known:
            text = f"There is no model '{given.name}' in '{spec.MODELS}', but {known}."
            raise BadUsage(text, f"Correct the name, or make it: `make model NAME={given.name}`.")
        told = check(spec.MODELS / given.name, given.run_date, given.limit)
    except environments.EnvironmentFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return BadUsage.exit_code
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
