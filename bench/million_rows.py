"""A model that predicts for each key of its input, in Parquet, as fast as DuckDB writes. Imports nothing of ours."""

import argparse
import json
from pathlib import Path

import duckdb

parser = argparse.ArgumentParser()
parser.add_argument("--action", required=True)
parser.add_argument("--config", required=True)
args = parser.parse_args()
config = json.loads(Path(args.config).read_text())
output = Path(config["output_path"])

if args.action == "training":
    (output / "factor.json").write_text("0.5")
else:
    duckdb.execute(f"""
        COPY (
            SELECT account, hash(account) / 18446744073709551615 AS probability, hash(account) % 9973 / 7 AS amount,
                (hash(account) % 12)::BIGINT AS segment
            FROM read_parquet('{config["data_path"]}')
        ) TO '{output / "predictions.parquet"}' (FORMAT parquet)
    """)  # noqa: S608 (both are names that the service chose)
print("the model ends", flush=True)
