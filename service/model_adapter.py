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
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import pandas
except ModuleNotFoundError:
    sys.exit("The adapter needs pandas: write it into requirements.in, then `make lock`.")

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
    try:
        # Keys stay text: 007 is not 7.
        rows = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path, dtype={key: str})
    except ImportError as error:
        sys.exit(f"{error}\nFor Parquet, write pyarrow into requirements.in, then `make lock`; or set `format: csv`.")
    if key not in rows:
        sys.exit(f"The input has no column '{key}', the entity_key of model.yaml; it has {list(rows)}.")
    return rows.set_index(key)


def _train(estimator: str, config: dict[str, Any], rows: pandas.DataFrame) -> None:
    target = config.get("target")
    if target not in rows:
        wrong = f"The input has no column '{target}'" if target else "No column is named to be learnt"
        sys.exit(f"{wrong}: name the target in training.json; the input has {list(rows)}.")
    try:
        made = _class(estimator)(**config.get("parameters", {}))
    except (TypeError, ValueError) as error:
        sys.exit(f"{error}\nThe parameters in training.json do not fit '{estimator}'.")
    given = rows.drop(columns=[target])
    _asked(lambda: made.fit(given, rows[target]), f"fit of '{estimator}'", given)
    with Path(config["output_path"], KEPT).open("wb") as file:
        pickle.dump(made, file)


def _class(estimator: str) -> Callable[..., Any]:
    module, _, name = estimator.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        to_do = "Correct `package` in model.yaml, or write its package into requirements.in, then `make lock`."
        sys.exit(f"There is no '{estimator}': {error}\n{to_do}")
    return found


def _asked(call: Callable[[], Any], what: str, rows: pandas.DataFrame) -> Any:
    """What a method answers; when it raises, the last word is about the rows that it was given."""
    try:
        return call()
    except Exception as error:
        traceback.print_exc()
        text = f"{what} ends with {type(error).__name__}: {error}"
        others = [name for name in rows if not pandas.api.types.is_numeric_dtype(rows[name])]
        empty = [name for name in rows if rows[name].isna().any()]
        sys.exit(f"{text}\nOf the columns it was given, no numbers are {others}, and values are missing in {empty}.")


def _apply(config: dict[str, Any], rows: pandas.DataFrame) -> None:
    with Path(config["model_path"], KEPT).open("rb") as file:
        made = pickle.load(file)  # noqa: S301 - see KEPT
    method = config.get("method", "predict")
    if not callable(getattr(made, method, None)):
        sys.exit(f"'{type(made).__name__}' has no '{method}': name predict or predict_proba in application.json.")
    said = _asked(lambda: getattr(made, method)(rows), f"{method} of '{type(made).__name__}'", rows)
    # predict_proba says one column for each class; the last is that of the positive one.
    said = said.to_numpy() if hasattr(said, "to_numpy") else said
    values = said[:, -1] if getattr(said, "ndim", 1) == 2 else said
    count = len(values) if hasattr(values, "__len__") else 1
    if count != len(rows):
        sys.exit(f"{method} of '{type(made).__name__}' answers {count} values for {len(rows)} rows.")
    predictions = pandas.DataFrame({config["key"]: rows.index, config["column"]: values})
    predictions.to_csv(Path(config["output_path"], "predictions.csv"), index=False)


if __name__ == "__main__":
    main()
