"""Trains and applies the example model on a deployed local cloud, as its DAGs do, but without Airflow around the tasks.

Run in a clone, whose DAG files and tasks are used. Exit 0 means that both actions ended with a verified receipt.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from urllib.request import urlopen

RUN_DATE = "1997-10-01"
LONGEST_SECONDS = 300


def main() -> int:
    """Both actions, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", required=True, help="the DAGs bucket of the stack")
    bucket = parser.parse_args().bucket
    sys.path.insert(0, str(Path.cwd() / "dags"))
    import prediction_tasks

    for action in ("training", "application"):
        dag = _document(bucket, f"local_customer_value_{action}")
        run = prediction_tasks.Run(dag["model"], dag["action"], RUN_DATE, f"manual__{action}")
        execution = prediction_tasks.start(dag["job"], dag["image_digest"], dag["args"], run)
        deadline = time.monotonic() + LONGEST_SECONDS
        while not prediction_tasks.has_succeeded(execution, dag["runs_bucket"], run):
            assert time.monotonic() < deadline, f"{execution} did not end"
            time.sleep(0.3)
        print(prediction_tasks.check(execution, dag["runs_bucket"], dag["table"], run))
    return 0


def _document(bucket: str, dag_id: str) -> dict[str, str]:
    """The deployed JSON of a DAG, which the owner may read."""
    name = f"dags%2Flocal%2F{dag_id}.dag.json"
    with urlopen(f"{os.environ['OWNER_ENDPOINT']}/storage/v1/b/{bucket}/o/{name}?alt=media") as answer:  # noqa: S310
        document: dict[str, str] = json.load(answer)
        return document


if __name__ == "__main__":
    sys.exit(main())
