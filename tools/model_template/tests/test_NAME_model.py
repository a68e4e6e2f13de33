"""The model's own tests; `make check-model` holds it against the whole contract."""

import csv
import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent


def run(action: str, config: dict[str, str], file: Path) -> None:
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "NAME.main", "--action", action, "--config", str(file)]
    subprocess.run(command, cwd=FOLDER / "source", check=True)


def test_every_customer_has_a_probability(tmp_path: Path) -> None:
    paths = {"output_path": str(tmp_path), "model_path": str(tmp_path)}
    for action in ("training", "application"):
        run(action, paths | {"data_path": str(FOLDER / "samples" / f"{action}.csv")}, tmp_path / "config.json")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        predictions = {row["customer_id"]: float(row["probability"]) for row in csv.DictReader(file)}
    with (FOLDER / "samples" / "application.csv").open(newline="") as file:
        assert predictions.keys() == {row["customer_id"] for row in csv.DictReader(file)}
    assert all(0 < probability < 1 for probability in predictions.values())
