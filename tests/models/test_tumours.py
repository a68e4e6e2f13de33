"""A class of scikit-learn on its bundled data, with one line in model.yaml and no code."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
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


def rewritten(file: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(text)


def of_class(package: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "model.yaml"
        path.write_text(path.read_text().replace("sklearn.ensemble:RandomForestClassifier", package))

    return change


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "other target": (
        rewritten("training.json", '{"target": "malign"}'),
        r"no column 'malign': name the target",
    ),
    "no target": (
        rewritten("training.json", "{}"),
        "No column is named to be learnt: name the target",
    ),
    "parameter": (
        rewritten("training.json", '{"target": "benign", "parameters": {"seed": 1}}'),
        r"unexpected keyword argument 'seed'\nThe parameters in training\.json do not fit 'sklearn",
    ),
    "class": (
        of_class("sklearn.ensemble:RandomForest"),
        r"There is no 'sklearn\.ensemble:RandomForest': .*\nCorr",
    ),
    "module": (of_class("sklearn.forests:Oak"), r"No module named 'sklearn\.forests'[\s\S]*requirements\.in"),
    "method": (
        rewritten("application.json", '{"method": "foretell"}'),
        "has no 'foretell': name predict or",
    ),
    "text": (
        rewritten("samples/training.csv", "sample_id,age,benign\na,1,0\nb,old,1\n"),
        r"fit of 'sklearn.*ends with ValueError: .*\nOf the columns it was given, no numbers are \['age'\]",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_does_not_fit_the_class_is_told(folder: Path, mistake: str) -> None:
    change, expected = MISTAKES[mistake]
    change(folder)
    with pytest.raises(BadData, match=expected):
        check_model.check(folder)


def test_a_class_predicts_one_column(folder: Path) -> None:
    schema = json.loads((folder / "schema.json").read_text())
    schema["columns"].append({"name": "more", "type": "STRING", "mode": "NULLABLE", "description": "More."})
    (folder / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(BadUsage, match=r"one column beside the key, but schema\.json has 3"):
        check_model.check(folder)
