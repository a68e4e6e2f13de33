"""What `make demo` runs, seen from outside: rows, receipts, log entries, task counts, and what a second run changes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from local import processes
from local.airflow_client import AirflowClient
from local.rehearse import Rehearsal
from local.server import read_state
from tests.conftest import ROOT

pytestmark = pytest.mark.end_to_end

CUSTOMERS_BEFORE_OCTOBER = 2357  # the sample holds customers whose first purchase is in the first quarter of 1997
DAG_TASKS = {"start", "wait", "check", "finish"}
APPLICATION = "local_customer_value_application"


class Demo:
    """A finished demo whose parts still run."""

    def __init__(self, folder: Path, printed: str) -> None:
        self.printed = printed
        self.env = read_state(folder)["env"]
        self.airflow = AirflowClient(json.loads((folder / "logs" / "airflow.ready").read_text())["url"])
        project, nobody = self.env["GOOGLE_CLOUD_PROJECT"], AnonymousCredentials()
        endpoints = ({"api_endpoint": self.env[name]} for name in ("BIGQUERY_ENDPOINT", "STORAGE_ENDPOINT"))
        self.warehouse = bigquery.Client(project, credentials=nobody, client_options=next(endpoints))
        self.storage = storage.Client(project, credentials=nobody, client_options=next(endpoints))

    def rows(self, run_date: str) -> list[dict[str, Any]]:
        sql = f"SELECT * FROM predictions.customer_value WHERE run_date = '{run_date}' ORDER BY customer_id"
        return [dict(row) for row in self.warehouse.query_and_wait(sql)]

    def receipts(self) -> list[dict[str, Any]]:
        bucket = self.storage.bucket("local-project-local-customer-value-runs")
        blobs = bucket.list_blobs(prefix="receipts/application/")
        return [json.loads(blob.download_as_text()) for blob in blobs]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "folder"
    command = [sys.executable, "-m", "local.demo", "--folder", str(folder), "--keep"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        yield Demo(folder, done.stdout)
    finally:
        stop = done.stdout.rpartition("\nstop ")[2].strip() or f"python -m local.demo --stop --folder {folder}"
        subprocess.run(["bash", "-euc", f"source {sys.prefix}/bin/activate\n{stop}"], cwd=ROOT, check=True)
        assert processes.survivors(folder) == [], "nothing may outlive a stopped demo"


@pytest.mark.parametrize("run_date", ["1997-10-01", "1997-10-02"])
def test_every_customer_has_exactly_one_prediction_for_each_run_date(demo: Demo, run_date: str) -> None:
    rows = demo.rows(run_date)
    assert len(rows) == len({row["customer_id"] for row in rows}) == CUSTOMERS_BEFORE_OCTOBER
    assert {row["run_date"] for row in rows} == {date.fromisoformat(run_date)}
    assert all(0 <= row["probability_alive"] <= 1 and row["expected_purchases"] >= 0 for row in rows)
    assert len({(row["model_version"], row["run_id"]) for row in rows}) == 1


def test_each_dag_run_has_all_its_tasks_and_they_succeeded(demo: Demo) -> None:
    for dag_id, count in (("local_customer_value_training", 1), (APPLICATION, 2)):
        runs = demo.airflow.runs(dag_id)
        assert [run["state"] for run in runs[:count]] == ["success"] * count
        for run in runs[:count]:
            states = {task["task_id"]: task["state"] for task in demo.airflow.tasks(dag_id, run["dag_run_id"])}
            assert states == dict.fromkeys(DAG_TASKS, "success")


def test_the_receipt_and_the_runs_table_agree_with_the_partition(demo: Demo) -> None:
    receipt = next(r for r in demo.receipts() if r["run_date"] == "1997-10-01" and r["status"] == "succeeded")
    assert receipt["rows"] == CUSTOMERS_BEFORE_OCTOBER
    assert {row["run_id"] for row in demo.rows("1997-10-01")} == {receipt["run_id"]}
    sql = f"SELECT * FROM predictions.customer_value_runs WHERE execution = '{receipt['execution']}'"
    listed = [dict(row) for row in demo.warehouse.query_and_wait(sql)]
    assert [row["output_fingerprint"] for row in listed] == [receipt["output_fingerprint"]]


def test_the_last_log_entry_of_a_run_says_well_done_with_its_run_id(demo: Demo) -> None:
    run_id = demo.rows("1997-10-02")[0]["run_id"]
    command = [sys.executable, "-m", "local", "logs", "--folder", demo.env["LOCAL_CLOUD_FOLDER"]]
    filter_ = f'jsonPayload.message="Well done." AND labels.run_id="{run_id}"'
    shown = subprocess.run([*command, "--filter", filter_], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.count("Well done.") == 1


def test_the_demo_shows_ten_predictions_parameters_runs_and_deciles(demo: Demo) -> None:
    version = demo.rows("1997-10-02")[0]["model_version"]
    assert demo.printed.count(version) >= 11, "ten predictions and the model itself name the version"
    for word in ("alpha", "log_likelihood", "finish", "decile", "expected", "actual"):
        assert word in demo.printed


def test_a_second_application_gives_the_same_partition_and_a_new_receipt(demo: Demo) -> None:
    before, receipts = demo.rows("1997-10-01"), len(demo.receipts())
    rehearsal = Rehearsal(Path(demo.env["LOCAL_CLOUD_FOLDER"]))
    rehearsal.airflow_url = demo.airflow.url
    rehearsal.run_dag(APPLICATION, "1997-10-01", lambda _: None)
    changed_each_run = ("run_id", "predicted_at")
    assert [{k: v for k, v in row.items() if k not in changed_each_run} for row in demo.rows("1997-10-01")] == [
        {k: v for k, v in row.items() if k not in changed_each_run} for row in before
    ]
    assert len(demo.receipts()) == receipts + 1


def test_what_the_demo_prints_to_look_around_works_as_printed(demo: Demo) -> None:
    printed = demo.printed.partition("look around")[2].partition("stop  ")[0]
    lines = [line.strip() for line in printed.splitlines()]
    assert [line.split()[0] for line in lines] == ["source", "eval", *["python"] * 4, "pulumi"]
    done = subprocess.run(["bash", "-euc", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "local-customer-value-application-" in done.stdout, "executions are listed"
    assert "customer_value-training-1997-10-01-" in done.stdout, "rows are shown"
    assert '"airflow": "http://127.0.0.1:' in done.stdout, "a row leads to the page of its DAG run"
    assert "unchanged" in done.stdout, "pulumi sees what is deployed"


def test_a_model_is_found_by_its_stack_and_another_is_refused_with_the_names_there_are(demo: Demo) -> None:
    command = [sys.executable, "-m", "tools.job_environment", "--folder", demo.env["LOCAL_CLOUD_FOLDER"]]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "export RUNS_BUCKET=local-project-local-customer-value-runs" in found
    [python] = [line.partition("=")[2] for line in found.splitlines() if line.startswith("export MODEL_PYTHON=")]
    subprocess.run([python, "-c", "import scipy"], check=True)
    entered = os.environ | demo.env
    done = subprocess.run(command[:3], cwd=ROOT, env=entered, capture_output=True, text=True, check=True)
    assert done.stdout == found, "a shell that has the environment of `python -m local env` needs no --folder"
    other = subprocess.run([*command, "--model", "churn"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (other.returncode, other.stdout) == (2, "")
    assert "no model 'churn'. Name one of them with --model: customer_value." in other.stderr


def test_nothing_tried_to_leave_the_machine(demo: Demo) -> None:
    log = Path(demo.env["LOCAL_CLOUD_FOLDER"]) / "egress.log"
    assert not log.exists() or log.read_text() == ""


def test_the_tracked_stack_file_is_as_it_was(demo: Demo) -> None:
    command = ["git", "status", "--porcelain", "--", "Pulumi.local.yaml", "Pulumi.yaml"]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert changed == "", "a rehearsal must not write to tracked files"


@pytest.mark.soak
def test_a_backfill_of_thirty_days_verifies_each_and_promotes_nothing(demo: Demo) -> None:
    bucket = demo.storage.bucket("local-project-local-customer-value-models")
    before = bucket.get_blob("live.json").generation
    command = [sys.executable, "-m", "tools.backfill", "--folder", demo.env["LOCAL_CLOUD_FOLDER"]]
    days = ["--model", "customer_value", "--from", "1997-10-03", "--to", "1997-11-01"]
    done = subprocess.run([*command, *days], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"verified  4 tasks, {CUSTOMERS_BEFORE_OCTOBER} rows") == 30
    assert "30 days verified; what is live is as it was" in done.stdout
    assert len(demo.rows("1997-11-01")) == CUSTOMERS_BEFORE_OCTOBER, "the last day is included"
    assert demo.rows("1997-11-02") == []
    assert bucket.get_blob("live.json").generation == before
