"""The contract: a command line that reads a config and leaves files, or one line that says why not."""

import csv
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "source"
PURCHASES = "customer_id,purchased_on\n" + "".join(
    f"{customer:03d},2024-{month:02d}-{1 + customer % 28:02d}\n"
    for customer in range(60)
    for month in range(1, 2 + customer % 7)
)


def run(action: str, folder: Path, config: dict[str, Any] | str) -> "subprocess.CompletedProcess[str]":
    """Run the model as the service does: its source folder is the working directory."""
    path = folder / f"{action}.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    command = [sys.executable, "-m", "customer_value.main", "--action", action, "--config", str(path)]
    return subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)


def training(folder: Path, purchases: str = PURCHASES, **changes: object) -> dict[str, Any]:
    """A training's config, the way the service fills it in."""
    (folder / "purchases.csv").write_text(purchases)
    paths = {"data_path": str(folder / "purchases.csv"), "output_path": str(folder / "version")}
    return {**paths, "run_date": "2024-08-01", **changes}


def application(folder: Path, **changes: object) -> dict[str, Any]:
    """An application's config."""
    own = {"model_path": str(folder / "version"), "output_path": str(folder / "output"), "horizon_days": 90}
    return training(folder) | own | changes


def predictions(folder: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    with (folder / "output" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a training has filled, once."""
    folder = tmp_path_factory.mktemp("trained")
    result = run("training", folder, training(folder))
    assert result.returncode == 0, result.stderr
    return folder / "version"


@pytest.fixture
def trained(version: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with that version."""
    shutil.copytree(version, tmp_path / "version")
    return tmp_path


def test_training_leaves_parameters_and_metrics(trained: Path) -> None:
    metrics = json.loads((trained / "version" / "metrics.json").read_text())
    kept = json.loads((trained / "version" / "parameters.json").read_text())
    assert (metrics["customers"], metrics["log_likelihood"] < 0) == (60, True)
    assert all(value > 0 for value in kept["parameters"].values())


def test_application_leaves_one_row_for_each_customer_within_the_bounds_of_the_schema(trained: Path) -> None:
    result = run("application", trained, application(trained))
    assert (result.returncode, result.stderr) == (0, "")
    rows = predictions(trained)
    columns = json.loads((SOURCE.parent / "schema.json").read_text())["columns"]
    assert list(rows[0]) == [column["name"] for column in columns]
    assert [row["customer_id"] for row in rows] == [f"{i:03d}" for i in range(60)]
    for column in columns[1:]:
        values = [float(row[column["name"]]) for row in rows]
        assert min(values) >= column["minimum"]
        assert max(values) <= column.get("maximum", max(values))


def test_a_longer_horizon_expects_more(trained: Path) -> None:
    totals = []
    for days in (1, 90, 365):
        assert run("application", trained, application(trained, horizon_days=days)).returncode == 0
        totals.append(sum(float(row["expected_purchases"]) for row in predictions(trained)))
    assert 0 < totals[0] < totals[1] < totals[2]


def test_the_same_config_gives_the_same_bytes(trained: Path) -> None:
    kept = (trained / "version" / "parameters.json").read_bytes()
    assert run("training", trained, training(trained)).returncode == 0
    assert (trained / "version" / "parameters.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data_path": "absent.csv"}, "absent.csv: cannot be read"),
        ({"data_path": None}, "data_path 'None' is not text"),
        ({"run_date": "today"}, "run_date 'today' is not a date"),
        ({"run_date": "${run_date}"}, "run_date '${run_date}' is not a date"),
        ({"horizon_days": 0}, "horizon_days '0' is not a number of days above 0"),
        ({"horizon_days": "90"}, "horizon_days '90'"),
        ({"model_path": "nowhere"}, "parameters.json: cannot be read"),
    ],
)
def test_a_bad_value_ends_with_one_line(trained: Path, changes: dict[str, Any], expected: str) -> None:
    result = run("application", trained, application(trained, **changes))
    assert result.returncode == 1
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1, "one line, no traceback"
    assert not (trained / "output").exists()


@pytest.mark.parametrize("key", ["data_path", "model_path", "output_path", "run_date", "horizon_days"])
def test_a_missing_key_is_named(trained: Path, key: str) -> None:
    config = application(trained)
    del config[key]
    result = run("application", trained, config)
    assert (result.returncode, result.stderr.endswith(f"the key {key} is missing\n")) == (1, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "does not hold r, alpha, a, b per 7 days"),
        ('{"unit_days": 7, "parameters": {"r": 1, "alpha": 1, "a": -1, "b": 1}}', "parameter a '-1' is not a positive"),
        ('{"unit_days": 1, "parameters": {"r": 1, "alpha": 1, "a": 1, "b": 1}}', "per 7 days; train again"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
    ],
)
def test_parameters_that_no_training_wrote_are_refused(trained: Path, text: str, expected: str) -> None:
    (trained / "version" / "parameters.json").write_text(text)
    result = run("application", trained, application(trained))
    assert result.returncode == 1
    assert expected in result.stderr


def test_a_training_that_fails_leaves_no_parameters(tmp_path: Path) -> None:
    config = training(tmp_path, "customer_id,purchased_on\na,2024-01-01\nb,2024-02-30\n")
    result = run("training", tmp_path, config)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "purchases.csv line 3, column purchased_on: '2024-02-30' is not a date" in result.stderr
    assert not (tmp_path / "version").exists()


@pytest.mark.skipif(not importlib.util.find_spec("lifetimes"), reason="the transactions are a file of that package")
def test_the_published_results_are_found_again(tmp_path: Path) -> None:
    """Fader, Hardie and Lee 2005, table 2 and section 6.2: CDNOW, transactions up to and including 1997-09-30."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec
    assert spec.origin
    lines = (Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt").read_text().split("\n")
    bought = [(line.split()[1], line.split()[2]) for line in lines if line.strip()]
    rows = [f"{customer},{day[:4]}-{day[4:6]}-{day[6:]}\n" for customer, day in bought if day <= "19970930"]
    config = training(tmp_path, "customer_id,purchased_on\n" + "".join(rows), run_date="1997-10-01")
    assert run("training", tmp_path, config).returncode == 0
    metrics = json.loads((tmp_path / "version" / "metrics.json").read_text())
    assert metrics["customers"] == 2357
    found = {key: round(metrics[key], 3) for key in ("r", "alpha", "a", "b")}
    assert found == {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    assert round(metrics["log_likelihood"], 1) == -9582.4

    config |= {"model_path": str(tmp_path / "version"), "output_path": str(tmp_path / "output"), "horizon_days": 39 * 7}
    assert run("application", tmp_path, config).returncode == 0
    rows_found = predictions(tmp_path)
    assert len(rows_found) == 2357
    assert round(sum(float(row["expected_purchases"]) for row in rows_found)) == 1653
    assert len({pair for pair in bought if pair[1] > "19970930"}) == 1882, "what the customers then did"
