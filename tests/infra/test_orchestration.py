"""The three ways to have DAGs run, and the files that Airflow reads."""

import json
from typing import Any

import pulumi
import pytest

from .conftest import ROOT, Clone, Declared

OBJECT = "gcp:storage/bucketObject:BucketObject"
EXISTING = {
    "orchestrator": "existing",
    "existingEnvironment": "shared-airflow",
    "existingDagsBucket": "shared-airflow-bucket",
    "existingAirflowAccount": "airflow@platform-project.example",
}


def _types(declared: Declared) -> set[str]:
    return {type.rpartition(":")[2] for type, _ in declared.resources}


def test_an_existing_environment_gets_files_and_grants_but_no_resources(clone: Clone) -> None:
    declared = clone.run(**EXISTING)
    assert not {"Environment", "AirflowIdentity", "DagsBucket", "ComposerEnvironment"} & _types(declared)
    assert {o["bucket"] for o in declared.of_type(OBJECT)} == {"shared-airflow-bucket"}
    roles = {g["role"] for g in declared.grants() if g["member"] == "serviceAccount:airflow@platform-project.example"}
    assert roles == {
        "roles/bigquery.metadataViewer",
        "roles/run.jobsExecutorWithOverrides",
        "roles/run.viewer",
        "roles/storage.objectViewer",
    }, "its project-wide role belongs to whoever made it"
    assert declared.outputs["airflow"] == {
        "environment": "shared-airflow",
        "dags_bucket": "shared-airflow-bucket",
        "uri": None,
    }


def test_without_an_orchestrator_the_jobs_remain(clone: Clone) -> None:
    declared = clone.run(orchestrator="none")
    assert not {"Environment", "BucketObject", "ModelDags", "DagFactory"} & _types(declared)
    assert len(declared.of_type("gcp:cloudrunv2/job:Job")) == 2
    assert "dags" not in declared.outputs
    assert not [g for g in declared.grants() if "airflow" in g.name]


@pytest.mark.parametrize("key", [key for key in EXISTING if key != "orchestrator"])
def test_an_existing_environment_must_be_described_whole(clone: Clone, key: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"'predictions:{key}' is missing"):
        clone.run(**{**EXISTING, key: ""})


def test_each_model_has_two_dag_files_named_by_stack_and_model(clone: Clone) -> None:
    clone.add_model("churn_risk")
    names = {o["name"] for o in clone.run().of_type(OBJECT)}
    assert names == {
        "dags/local/.airflowignore",
        "dags/local/platform_calls.py",
        "dags/local/prediction_tasks.py",
        "dags/local/predictions.py",
        "dags/local/remedies.py",
        "dags/local/local_churn_risk_application.dag.json",
        "dags/local/local_churn_risk_training.dag.json",
        "dags/local/local_customer_value_application.dag.json",
        "dags/local/local_customer_value_training.dag.json",
    }


def test_the_factory_is_uploaded_as_it_is_and_after_the_files_that_it_reads(local: Declared) -> None:
    for file in ("predictions.py", "prediction_tasks.py", "platform_calls.py", "remedies.py", ".airflowignore"):
        uploaded = local.one(OBJECT, file)
        assert uploaded["source"] == (ROOT / "dags" / file).read_text()
        assert sum(".dag.json" in urn for urn in uploaded.dependencies) == 2, "a new factory must not read old files"


def test_a_dag_file_follows_the_right_to_start_its_job(local: Declared) -> None:
    [component] = local.of_type("prediction:infra:ModelDags")
    assert any("airflow-runs-application" in urn for urn in component.dependencies)
    assert any("airflow-reads-receipts" in urn for urn in component.dependencies)


def test_a_replaced_file_is_deleted_before_its_successor_is_written(local: Declared) -> None:
    for uploaded in local.of_type(OBJECT):
        assert uploaded.delete_before_replace, "both have the same name: deleting second would delete the new one"


def test_files_are_shown_in_previews(local: Declared) -> None:
    for uploaded in local.of_type(OBJECT):
        assert "content" not in uploaded.inputs, "Pulumi takes it for a secret, and reviewers would see nothing"


def test_a_dag_file_says_what_the_stack_has_put_in_place(local: Declared) -> None:
    document: dict[str, Any] = json.loads(local.one(OBJECT, "local_customer_value_application.dag.json")["source"])
    text = document.pop("doc_md")
    assert document == {
        "dag_id": "local_customer_value_application",
        "model": "customer_value",
        "action": "application",
        "owner": "data-science@example.com",
        "tags": ["local", "customer_value", "application"],
        "schedule": {"cron": "0 7 * * *", "timezone": "UTC"},
        "paused": True,
        "job": local.outputs["jobs"]["customer_value"]["application"],
        "image_digest": local.outputs["images"]["customer_value"].partition("@")[2],
        "args": ["apply"],
        "runs_bucket": "local-project-local-customer-value-runs",
        "table": "local-project.predictions.customer_value",
        "task_timeout_seconds": 1800,
        "max_retries": 1,
        "wait": {"mode": "poke", "interval_seconds": 1, "timeout_seconds": 4500},
    }
    assert "What to do" in text
    assert "gs://local-project-local-customer-value-runs/receipts/application/" in text


def test_training_has_no_table_to_check(local: Declared) -> None:
    document = json.loads(local.one(OBJECT, "local_customer_value_training.dag.json")["source"])
    assert (document["table"], document["args"]) == (None, ["train"])


def test_waiting_outlasts_every_attempt_of_the_job(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda m: m["training"].update(timeout_seconds=7200, max_retries=3))
    declared = clone.run()
    for uploaded in [o for o in declared.of_type(OBJECT) if o.name.endswith(".dag.json")]:
        document = json.loads(uploaded["source"])
        attempts = document["task_timeout_seconds"] * (document["max_retries"] + 1)
        assert document["wait"]["timeout_seconds"] >= attempts + 600, "a healthy job would be cancelled while it starts"
