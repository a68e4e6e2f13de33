"""Makes the contract's command line of any class with `fit` and `predict`; runs in the model's own environment.

    python model_adapter.py module:Class --action training|application --config FILE.json

Training calls `Class(**parameters).fit(rows, target)` and keeps the object; application writes the entity's key and
what the method `predict` says. It needs pandas in the model's requirements.txt, and imports nothing of ours and
nothing of Google's. Does not own the contract: `model_process.py` fills data_path, model_path, output_path, key and
column into the config; the model's own keys are target, parameters and, for application, method.
"""

import argparse
import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pandas

KEPT = "model.pickle"  # read back only from a version whose SHA-256 the service has verified


def main() -> None:
    """Run one action; end with exit 1 and one line when the config does not fit the data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("estimator", metavar="MODULE:CLASS")
    parser.add_argument("--action", choices=("training", "application"), required=True)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args()
    config = json.loads(given.config.read_text())
    rows = _rows(config)
    if given.action == "training":
        _train(given.estimator, config, rows)
    else:
        _apply(config, rows)


def _rows(config: dict[str, Any]) -> pandas.DataFrame:
    path, key = Path(config["data_path"]), config["key"]
    # Keys stay text: 007 is not 7.
    rows = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path, dtype={key: str})
    if key not in rows:
        sys.exit(f"The input has no column '{key}', the entity_key of model.yaml; it has {list(rows)}.")
    return rows.set_index(key)


def _train(estimator: str, config: dict[str, Any], rows: pandas.DataFrame) -> None:
    module, _, name = estimator.partition(":")
    target = config.get("target")
    if target not in rows:
        sys.exit(f"The input has no column '{target}': name the target in training.json; it has {list(rows)}.")
    made = getattr(importlib.import_module(module), name)(**config.get("parameters", {}))
    made.fit(rows.drop(columns=[target]), rows[target])
    with Path(config["output_path"], KEPT).open("wb") as file:
        pickle.dump(made, file)


def _apply(config: dict[str, Any], rows: pandas.DataFrame) -> None:
    with Path(config["model_path"], KEPT).open("rb") as file:
        made = pickle.load(file)  # noqa: S301 - see KEPT
    said = getattr(made, config.get("method", "predict"))(rows)
    # predict_proba says one column for each class; the last is that of the positive one.
    values = said[:, -1] if getattr(said, "ndim", 1) == 2 else said
    predictions = pandas.DataFrame({config["key"]: rows.index, config["column"]: values})
    predictions.to_csv(Path(config["output_path"], "predictions.csv"), index=False)


if __name__ == "__main__":
    main()
