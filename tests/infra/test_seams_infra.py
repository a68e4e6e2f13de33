"""Where the program meets the service and the DAG factory: both sides of each seam are the real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from croniter import croniter

import service.settings
from service.spec import load_all

from .conftest import ROOT, Clone, Declared

OBJECT = "gcp:storage/bucketObject:BucketObject"


def _environment(declared: Declared, job: str) -> dict[str, str]:
    container = declared.one("gcp:cloudrunv2/job:Job", job)["template"]["template"]["containers"][0]
    return {env["name"]: env["value"] for env in container["envs"]}


@pytest.mark.parametrize("action", ["training", "application"])
def test_the_service_reads_the_environment_that_a_job_declares(local: Declared, action: str) -> None:
    declared = _environment(local, f"customer_value-{action}")
    assert declared.keys() == service.settings.REQUIRED.keys() | service.settings.ON_THE_PLATFORM.keys()
    from_the_image_and_the_platform = {"MODEL_PYTHON": "/model/bin/python", "CLOUD_RUN_EXECUTION": "job-x7k2p"}
    settings = service.settings.read(declared | from_the_image_and_the_platform, model=None, runs_model=True)
    assert settings.table == local.outputs["tables"]["customer_value"]
    assert settings.models_bucket == local.outputs["buckets"]["customer_value"]["models"]
    assert settings.runs_bucket == local.outputs["buckets"]["customer_value"]["runs"]
    assert local.outputs["images"]["customer_value"].endswith(f"@{settings.image_digest}")


def test_no_secret_of_a_model_can_hide_a_name_that_a_job_declares(local: Declared) -> None:
    from service.spec import RESERVED_ENVIRONMENT

    for name in _environment(local, "customer_value-training"):
        assert RESERVED_ENVIRONMENT.fullmatch(name), f"model.yaml could name a secret {name}"


def test_the_dag_factory_reads_every_key_that_a_deployment_writes(local: Declared, tmp_path: Path) -> None:
    ids = local.outputs["dags"]["customer_value"].values()
    written = [local.one(OBJECT, f"{dag_id}.dag.json")["source"] for dag_id in ids]
    for dag_id, text in zip(ids, written, strict=True):
        (tmp_path / f"{dag_id}.dag.json").write_text(text)
    # In a process of its own, because Airflow changes the one that imports it and wants a home.
    paths = [str(tmp_path / f"{dag_id}.dag.json") for dag_id in ids]
    show = "for path in sys.argv[1:]: print(predictions.read(pathlib.Path(path)).model_dump_json())"
    command = [sys.executable, "-c", f"import pathlib, sys, predictions\n{show}", *paths]
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONPATH": str(ROOT / "dags")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [json.loads(text) for text in written]


def test_verbs_are_those_of_the_services_command_line(local: Declared) -> None:
    for action, verb in (("training", "train"), ("application", "apply")):
        job = local.one("gcp:cloudrunv2/job:Job", f"customer_value-{action}")
        document = json.loads(local.one(OBJECT, f"local_customer_value_{action}.dag.json")["source"])
        assert job["template"]["template"]["containers"][0]["args"] == document["args"] == [verb]


def test_schedules_are_those_of_the_model(clone: Clone) -> None:
    schedule = {"cron": "30 4 * * 1", "timezone": "Europe/Berlin"}
    clone.add_model("churn_risk", lambda model: model["application"].update(schedule=schedule))
    document = json.loads(clone.run().one(OBJECT, "local_churn_risk_application.dag.json")["source"])
    assert document["schedule"] == schedule
    assert croniter.is_valid(document["schedule"]["cron"])


def test_the_example_table_has_what_the_example_model_reads(local: Declared) -> None:
    table = local.one("gcp:bigquery/table:Table", "example-shop-transactions")
    name = f"{table['datasetId']}.{table['tableId']}"
    [model] = load_all()
    assert {read for action in model.actions.values() for read in action.reads} == {name}
    columns = [column["name"] for column in json.loads(table["schema"])]
    assert columns == ["customer_id", "purchased_on", "units", "amount"]
