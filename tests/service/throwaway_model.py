"""A small model that keeps the contract, or breaks it as its configuration says. Imports nothing of ours."""

import argparse
import csv
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--action", required=True)
parser.add_argument("--config", required=True)
args = parser.parse_args()
config = json.loads(Path(args.config).read_text())
misdeed = config.get("misdeed")
output = Path(config["output_path"])

if misdeed == "exit":
    print("reading the data")
    sys.exit("no convergence in 100 steps")
if misdeed == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if misdeed == "hang":
    (output / "hangs").write_text(str(os.getpid()))
    print(f"pid {os.getpid()}")
    time.sleep(600)
if misdeed == "environment":
    print(json.dumps(dict(os.environ)))

with Path(config["data_path"]).open(newline="") as file:
    rows = list(csv.DictReader(file))
key = next(iter(rows[0]))

if args.action == "training":
    mean = sum(float(row["amount"]) for row in rows) / len(rows) * config.get("times", 1)
    if misdeed == "noise":
        mean += random.random()  # noqa: S311 - two trainings differ
    if misdeed != "no file":
        (output / "deep").mkdir()
        (output / "deep" / "mean.json").write_text(json.dumps(mean))
        (output / "metrics.json").write_text(json.dumps({"rows": len(rows), "mean": mean}))
    sys.exit()

if args.action == "evaluation":
    learnt = json.loads((Path(config["model_path"]) / "deep" / "mean.json").read_text())
    error = sum(abs(float(row["amount"]) - learnt) for row in rows) / len(rows)
    (output / "metrics.json").write_text(json.dumps({"error": error}))
    sys.exit()

mean = json.loads((Path(config["model_path"]) / "deep" / "mean.json").read_text())
if misdeed == "noise":
    mean += random.random()  # noqa: S311 - two attempts differ
print(f"predicting {mean} for all", file=sys.stderr)
made = [{key: name, "level": mean} for name in sorted({row[key] for row in rows})]
if misdeed == "leave out":
    made = made[2:]
if misdeed == "repeat":
    made.append(made[0])
if misdeed == "nan":
    made[3]["level"] = "NaN"
if misdeed == "null":
    made[3]["level"] = ""
if misdeed == "wrong type":
    made[3]["level"] = "high"
if misdeed == "far off":
    made = [{**row, "level": 1000 + at} for at, row in enumerate(made)]
if misdeed == "too many":
    made.append({key: "stranger", "level": mean})
if misdeed == "unknown column":
    made = [{**row, "mood": 1} for row in made]
if misdeed != "no file":
    with (output / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(made[0]))
        if misdeed != "empty file":
            writer.writeheader()
            writer.writerows([] if misdeed == "no rows" else made)
        if misdeed == "half a line":
            file.write('"0')
