"""A class of scikit-learn on its bundled data, with one line in model.yaml and no code."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from local import environments
from service import spec
from service.errors import BadData, BadUsage
from tools import check_model

pytestmark = pytest.mark.soak  # builds the environment of scikit-learn: two minutes

MODEL = Path(__file__).parent / "tumours"
# Run by the model's interpreter: only it has scikit-learn. The last hundred samples are kept from the training.
SAMPLES = """
import sys
from sklearn.datasets import load_breast_cancer
frame = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
frame.insert(0, "sample_id", [f"{n:05d}" for n in range(len(frame))])
frame[:-100].to_csv(sys.argv[1] + "/training.csv", index=False)
frame[-100:].drop(columns=["benign"]).to_csv(sys.argv[1] + "/application.csv", index=False)
frame[-100:][["sample_id", "benign"]].to_csv(sys.argv[1] + "/truth.csv", index=False)
"""


@pytest.fixture(scope="module")
def python() -> str:
    return str(environments.ensure(MODEL / "requirements.txt"))


@pytest.fixture
def folder(tmp_path: Path, python: str) -> Path:
    folder = shutil.copytree(MODEL, tmp_path / "tumours")
    (folder / "samples").mkdir()
    subprocess.run([python, "-c", SAMPLES, str(folder / "samples")], check=True)
    return folder


def rows(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {row["sample_id"]: float(list(row.values())[1]) for row in csv.DictReader(file)}


def test_a_class_keeps_the_contract_and_predicts_what_it_has_not_seen(folder: Path, python: str) -> None:
    assert "'tumours' keeps the contract: 100 predictions" in check_model.check(folder)
    trial = check_model.Trial(spec.load(folder), python, folder, check_model.RUN_DATE)
    predictions = rows(trial.run("application", "made", trial.run("training", "version")) / "predictions.csv")
    truth = rows(folder / "samples" / "truth.csv")
    assert predictions.keys() == truth.keys()
    right = [(predictions[key] > 0.5) == bool(truth[key]) for key in truth]
    assert sum(right) >= 90, "19 of 20 samples are told apart; a guess would be right for two of three"


def test_what_does_not_fit_the_class_is_told(folder: Path) -> None:
    (folder / "training.json").write_text('{"target": "malign", "parameters": {"random_state": 0}}')
    with pytest.raises(BadData, match=r"no column 'malign': name the target in training\.json"):
        check_model.check(folder)
    schema = json.loads((folder / "schema.json").read_text())
    schema["columns"].append({"name": "more", "type": "STRING", "mode": "NULLABLE", "description": "More."})
    (folder / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(BadUsage, match=r"one column beside the key, but schema\.json has 3"):
        check_model.check(folder)
