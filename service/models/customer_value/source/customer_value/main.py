"""The model's command line: training fits and keeps the parameters, application predicts with them.

    python -m customer_value.main --action training|application|evaluation --config FILE.json

Keys of the config: `data_path` (CSV), `output_path` (folder), `run_date` (YYYY-MM-DD), and for application
`model_path` (folder that a training filled) and `horizon_days`, for evaluation `model_path`. Who calls fills in the
paths and the run date.
Training writes parameters.json and metrics.json, application predictions.csv, one row per customer of the input,
evaluation a metrics.json about the version at `model_path`.
Exit 1 with one line on stderr says what is wrong with the config or a file. Does not own the mathematics (bgnbd.py).
"""

import argparse
import csv
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from customer_value.bgnbd import Parameters, expected_purchases, fit, log_likelihood, probability_alive
from customer_value.transactions import DAYS_PER_WEEK, InputRefused, read_histories

PARAMETERS = "parameters.json"


class Config:
    """The config file; each value is checked when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, read_object(path)

    def path_of(self, key: str) -> Path:
        """A file or folder."""
        return Path(self._text(key))

    def run_date(self) -> date:
        """The day that the run is for; purchases before it are known."""
        text = self._text("run_date")
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise InputRefused(f"{self.path}: run_date '{text}' is not a date; write YYYY-MM-DD") from None

    def horizon_days(self) -> float:
        """How far to predict."""
        value = self._value("horizon_days")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise InputRefused(f"{self.path}: horizon_days '{value}' is not a number of days above 0")
        return value

    def _text(self, key: str) -> str:
        value = self._value(key)
        if not isinstance(value, str) or not value:
            raise InputRefused(f"{self.path}: {key} '{value}' is not text")
        return value

    def _value(self, key: str) -> object:
        if key not in self.values:
            raise InputRefused(f"{self.path}: the key {key} is missing")
        return self.values[key]


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputRefused: the file is missing, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputRefused(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputRefused(f"{path}: is not a JSON object")
    return value


def train(config: Config) -> None:
    """Fit the model and write parameters.json and metrics.json."""
    run_date, output = config.run_date(), config.path_of("output_path")
    histories = read_histories(config.path_of("data_path"), run_date)
    parameters, likelihood = fit(histories)
    customers = len(histories.customer_ids)
    metrics = {
        "log_likelihood": likelihood,
        "log_likelihood_per_customer": likelihood / customers,  # comparable from month to month
        "customers": customers,
        "repeat_customers": int((histories.repeats > 0).sum()),
        "repeat_purchases": int(histories.repeats.sum()),
        **asdict(parameters),
    }
    kept = {"model": "BG/NBD", "unit_days": DAYS_PER_WEEK, "run_date": str(run_date), "parameters": asdict(parameters)}
    output.mkdir(parents=True, exist_ok=True)
    (output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    (output / PARAMETERS).write_text(json.dumps(kept, indent=2) + "\n")


def read_parameters(path: Path) -> Parameters:
    """Read what a training kept.

    Raises:
        InputRefused: the file is missing, or does not hold four positive numbers in the unit of this code.
    """
    kept = read_object(path)
    values = kept.get("parameters")
    names = list(Parameters.__dataclass_fields__)
    if kept.get("unit_days") != DAYS_PER_WEEK or not isinstance(values, dict) or sorted(values) != sorted(names):
        raise InputRefused(f"{path}: does not hold {', '.join(names)} per {DAYS_PER_WEEK} days; train again")
    for name in names:
        if type(values[name]) not in (int, float) or not 0 < values[name] < math.inf:
            raise InputRefused(f"{path}: parameter {name} '{values[name]}' is not a positive number; train again")
    return Parameters(**values)


def apply(config: Config) -> None:
    """Predict with kept parameters and write predictions.csv."""
    weeks = config.horizon_days() / DAYS_PER_WEEK
    parameters = read_parameters(config.path_of("model_path") / PARAMETERS)
    output = config.path_of("output_path")
    histories = read_histories(config.path_of("data_path"), config.run_date())
    alive = probability_alive(parameters, histories).tolist()
    expected = expected_purchases(parameters, histories, weeks).tolist()
    output.mkdir(parents=True, exist_ok=True)
    with (output / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["customer_id", "probability_alive", "expected_purchases"])
        rows.writerows(zip(histories.customer_ids, alive, expected, strict=True))


def evaluate(config: Config) -> None:
    """Say how well kept parameters explain the purchases of the input: as well as, or worse than, other parameters."""
    parameters = read_parameters(config.path_of("model_path") / PARAMETERS)
    histories = read_histories(config.path_of("data_path"), config.run_date())
    likelihood = log_likelihood(parameters, histories) / len(histories.customer_ids)
    output = config.path_of("output_path")
    output.mkdir(parents=True, exist_ok=True)
    (output / "metrics.json").write_text(json.dumps({"log_likelihood_per_customer": likelihood}, indent=2) + "\n")


ACTIONS: dict[str, Callable[[Config], None]] = {"training": train, "application": apply, "evaluation": evaluate}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one action; end with exit 1 and one line when a file is refused."""
    parser = argparse.ArgumentParser(prog="python -m customer_value.main", description="BG/NBD on dates of purchase.")
    parser.add_argument("--action", required=True, choices=ACTIONS)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE.json")
    given = parser.parse_args(arguments)
    try:
        ACTIONS[given.action](Config(given.config))
    except InputRefused as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
