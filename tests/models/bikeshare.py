"""Daily rentals per station by exponential smoothing.

usage: python -m bikeshare.main --action training|application --config FILE

Stands for a repository that was written before it came here: it has a configuration of its own shape, reads CSV and
writes CSV, and knows no cloud, no run and no key of ours but the three paths that its configuration is filled with.
"""

import argparse
import csv
import json
import logging
from collections import defaultdict
from pathlib import Path


def rentals(path: Path, columns: dict[str, str]) -> dict[str, list[float]]:
    """The counts of each station in the order of their days."""
    counts: dict[str, list[tuple[str, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            counts[row[columns["station"]]].append((row[columns["day"]], float(row[columns["count"]])))
    return {station: [count for _, count in sorted(days)] for station, days in counts.items()}


def level(counts: list[float], weight: float) -> float:
    """The smoothed level after the last day."""
    now = counts[0]
    for count in counts[1:]:
        now += weight * (count - now)
    return now


def error(history: dict[str, list[float]], weight: float) -> float:
    """Sum of squared errors of forecasts for each next day."""
    pairs = [(counts[:at], counts[at]) for counts in history.values() for at in range(1, len(counts))]
    return sum((level(past, weight) - actual) ** 2 for past, actual in pairs)


def fit(settings: dict[str, dict[str, str]]) -> None:
    """Choose the weight with the least error, and keep it."""
    history = rentals(Path(settings["files"]["observations"]), settings["columns"])
    weight = min((at / 10 for at in range(1, 10)), key=lambda weight: error(history, weight))
    Path(settings["files"]["weights"]).write_text(json.dumps({"weight": weight}))
    logging.info("fitted weight %s on %s stations", weight, len(history))


def forecast(settings: dict[str, dict[str, str]]) -> None:
    """Write one row per station."""
    weight = json.loads(Path(settings["files"]["weights"]).read_text())["weight"]
    history = rentals(Path(settings["files"]["observations"]), settings["columns"])
    with Path(settings["files"]["forecast"]).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([settings["columns"]["station"], settings["columns"]["forecast"]])
        rows.writerows([station, level(counts, weight)] for station, counts in history.items())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser()
    parser.add_argument("--action", choices=["training", "application"], required=True)
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args()
    {"training": fit, "application": forecast}[given.action](json.loads(given.config.read_text()))
