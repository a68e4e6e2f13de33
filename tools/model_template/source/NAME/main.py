"""The share of customers with the outcome, by group: replace it by your model.

    python -m NAME.main --action training|application --config FILE.json

The config names a file (data_path) and two folders (model_path, output_path). Training leaves what it learnt,
application predictions.csv with the columns of schema.json and one row for each key. Seed every random number: the
same input must give the same predictions.
"""

import argparse
import csv
import json
from pathlib import Path


def train(config: dict[str, str]) -> None:
    """Learn the share of each group, drawn towards a half where rows are few."""
    counts: dict[str, list[int]] = {}
    for row in read(config):
        counts.setdefault(row["group"], []).append(int(row["outcome"]))
    shares = {group: (sum(outcomes) + 1) / (len(outcomes) + 2) for group, outcomes in sorted(counts.items())}
    Path(config["output_path"], "shares.json").write_text(json.dumps(shares))


def apply(config: dict[str, str]) -> None:
    """Predict the share of the customer's group; a half for a group that training has not seen."""
    shares = json.loads(Path(config["model_path"], "shares.json").read_text())
    with Path(config["output_path"], "predictions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["customer_id", "probability"])
        rows.writerows([row["customer_id"], shares.get(row["group"], 0.5)] for row in read(config))


def read(config: dict[str, str]) -> list[dict[str, str]]:
    """The rows of the input."""
    with Path(config["data_path"]).open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--action", choices=["training", "application"], required=True)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args()
    {"training": train, "application": apply}[given.action](json.loads(given.config.read_text()))
