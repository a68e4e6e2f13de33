"""Predicts each reader's loans as their mean; misbehaves on the days that its data says so. Imports nothing of ours."""

import argparse
import csv
import json
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--action", required=True)
parser.add_argument("--config", required=True)
args = parser.parse_args()
config = json.loads(Path(args.config).read_text())
with Path(config["data_path"]).open(newline="") as file:
    rows = list(csv.DictReader(file))
readers = sorted({row["reader"] for row in rows})
misdeed = rows[0]["weather"]

if args.action == "training":
    mean = sum(float(row["loans"]) for row in rows) / len(readers)
    (Path(config["model_path"]) / "mean.json").write_text(json.dumps(mean))
    sys.exit()

mean = json.loads((Path(config["model_path"]) / "mean.json").read_text())
if misdeed == "fog":
    sys.exit("fog: no shelf was found in 9 rounds")
if misdeed == "flood":
    print("flood: the cellar is closed, nothing is written")
    sys.exit()
if misdeed == "heat":
    print(f"heat: {readers.pop()} stays at home", file=sys.stderr)
predictions = [{"reader": reader, "loans_expected": mean} for reader in readers]
if misdeed == "storm":
    print("storm: the roof has to be told, too")
    predictions = [{**row, "roof": "off"} for row in predictions]
with (Path(config["output_path"]) / "predictions.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, list(predictions[0]))
    writer.writeheader()
    writer.writerows(predictions)
