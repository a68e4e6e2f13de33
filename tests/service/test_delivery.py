"""Deliveries that are cut, repeated, late or in conflict: one partition, whole, and a record of who did it."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from google.api_core.exceptions import Conflict
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from service import data_files, delivery, objects, predictions, receipt
from service.data_files import DataFiles
from service.delivery import Plan
from service.errors import BadUsage, UpstreamFailed
from service.predictions import Content
from service.run import Run
from service.table import prediction_schema
from tests.service.deployments import Deployment

DAY = date(2024, 5, 1)
BEGAN = datetime(2024, 5, 1, 7, tzinfo=UTC)


def prepared(deployment: Deployment, folder: Path, name: str, level: float, *, after: int = 0) -> tuple[Run, Content]:
    """A run that began `after` seconds later than BEGAN, with predictions ready for delivery."""
    env = {"CLOUD_RUN_EXECUTION": name, "IMAGE_DIGEST": "i", "CODE_COMMIT": "c"}
    run = replace(deployment.run(folder / name, "application", DAY, **env), started_at=BEGAN + timedelta(seconds=after))
    run.facts.model_version = "v1"
    path = run.folder / "predictions.csv"
    path.write_text(f"level,{deployment.key}\n{level},a\n{level},b\n")
    with data_files.connect(run.folder) as connection:
        return run, predictions.write(run, connection, DataFiles((path,), "csv"), datetime.now(UTC))


def levels(deployment: Deployment) -> set[float]:
    rows = deployment.partition(DAY)
    assert len(rows) in (0, 2), "whole or not at all"
    return {row["level"] for row in rows}


def planned(run: Run, content: Content, sequence: int) -> Plan:
    """Do what `deliver` does up to the plan, and stop there as if killed."""
    staged = delivery.stage(run, content)
    _, at = delivery.read_plan(run)
    plan = delivery._plan(run, staged, sequence)
    assert objects.swap_json(run.clients.runs, receipt.plan_name(DAY), asdict(plan), generation=at)
    return plan


def insert(run: Run, plan: Plan) -> bigquery.LoadJob:
    """Start the plan's job, as an attempt does before it is killed."""
    config = bigquery.LoadJobConfig(
        source_format="PARQUET",
        schema=[SchemaField.from_api_repr(column) for column in prediction_schema(run.spec)],
        create_disposition="CREATE_NEVER",
        write_disposition="WRITE_TRUNCATE",
    )
    client = run.clients.bigquery
    return client.load_table_from_uri(
        list(plan.files),
        f"{run.settings.table}$20240501",
        job_id=plan.load_job,
        location=client.location,
        job_config=config,
    )


def test_a_delivery_is_planned_then_loaded_then_marked(deployment: Deployment, tmp_path: Path) -> None:
    run, content = prepared(deployment, tmp_path, "a", 1.0)
    with data_files.connect(run.folder) as connection:
        rows, fingerprint = predictions.fingerprinted(run, connection, content)
    assert delivery.deliver(run, content) == "succeeded"
    plan, _ = delivery.read_plan(run)
    assert plan
    assert (plan.sequence, plan.state, plan.rows, plan.fingerprint) == (1, "delivered", rows, fingerprint)
    assert rows == 2
    assert list(plan.files) == [f"gs://{run.clients.runs.name}/output/{run.id}/a/predictions.parquet"]
    job = deployment.clients.bigquery.get_job(plan.load_job)
    assert isinstance(job, bigquery.LoadJob)
    assert (job.create_disposition, job.write_disposition) == ("CREATE_NEVER", "WRITE_TRUNCATE")
    assert job.source_uris == list(plan.files)
    assert job.labels == run.labels
    assert (levels(deployment), run.facts.rows, run.facts.load_job) == ({1.0}, 2, plan.load_job)


@pytest.mark.parametrize("started", [False, True])
def test_a_retry_first_ends_the_job_that_was_planned(deployment: Deployment, tmp_path: Path, started: bool) -> None:
    """Killed between plan and job, or between job and mark: the second insert is answered 409."""
    dead, content = prepared(deployment, tmp_path, "dead", 1.0)
    left = planned(dead, content, 1)
    if started:
        insert(dead, left).result()
    run, content = prepared(deployment, tmp_path, "retry", 2.0, after=60)
    assert delivery.deliver(run, content) == "succeeded"
    plan, _ = delivery.read_plan(run)
    assert plan
    assert (plan.sequence, plan.execution, levels(deployment)) == (2, "retry", {2.0})
    assert deployment.clients.bigquery.get_job(left.load_job).state == "DONE", "job 1 cannot run after job 2"
    assert dead.clients.bigquery.get_job(left.load_job).error_result is None
    with pytest.raises(Conflict):
        insert(dead, left)
    assert levels(deployment) == {2.0}, "what the dead attempt might still do changes nothing"


def test_a_job_that_failed_is_followed_by_the_next(deployment: Deployment, tmp_path: Path) -> None:
    dead, content = prepared(deployment, tmp_path, "dead", 1.0)
    left = planned(dead, content, 1)
    dead.clients.runs.blob(next(iter(left.files)).split("/", 3)[3]).delete()
    run, content = prepared(deployment, tmp_path, "retry", 2.0, after=60)
    assert delivery.deliver(run, content) == "succeeded"
    assert deployment.clients.bigquery.get_job(left.load_job).error_result
    assert levels(deployment) == {2.0}


def test_a_late_attempt_is_superseded(deployment: Deployment, tmp_path: Path) -> None:
    late, old = prepared(deployment, tmp_path, "late", 1.0)
    run, content = prepared(deployment, tmp_path, "newer", 2.0, after=60)
    assert delivery.deliver(run, content) == "succeeded"
    assert delivery.deliver(late, old) == "superseded"
    assert levels(deployment) == {2.0}
    assert late.facts.message
    assert late.facts.message.startswith(
        f"Superseded by delivery 1 of run '{run.id}', execution 'newer'. It began later"
    )


def test_a_late_attempt_ends_the_newer_plan_that_it_finds(deployment: Deployment, tmp_path: Path) -> None:
    late, old = prepared(deployment, tmp_path, "late", 1.0)
    newer, content = prepared(deployment, tmp_path, "newer", 2.0, after=60)
    planned(newer, content, 1)
    assert delivery.deliver(late, old) == "superseded"
    assert levels(deployment) == {2.0}, "the newer run's job was driven to its end"


def test_a_newer_plan_that_failed_supersedes_no_one(deployment: Deployment, tmp_path: Path) -> None:
    late, old = prepared(deployment, tmp_path, "late", 1.0)
    newer, content = prepared(deployment, tmp_path, "newer", 2.0, after=60)
    left = planned(newer, content, 1)
    newer.clients.runs.blob(next(iter(left.files)).split("/", 3)[3]).delete()
    assert delivery.deliver(late, old) == "succeeded"
    assert levels(deployment) == {1.0}


def test_an_attempt_that_wakes_after_its_load_sees_the_newer_plan(deployment: Deployment, tmp_path: Path) -> None:
    """It planned and loaded, slept, and a newer run delivered before it looked at the partition."""
    slow, old = prepared(deployment, tmp_path, "slow", 1.0)
    plan = planned(slow, old, 1)
    insert(slow, plan).result()
    run, content = prepared(deployment, tmp_path, "newer", 2.0, after=60)
    assert delivery.deliver(run, content) == "succeeded"
    assert delivery._conclude(slow, plan, delivery.stage(slow, old)) == "superseded"
    assert levels(deployment) == {2.0}


def test_rows_that_are_not_those_delivered_are_noticed(deployment: Deployment, tmp_path: Path) -> None:
    run, content = prepared(deployment, tmp_path, "a", 1.0)
    with pytest.raises(UpstreamFailed, match=r"does not hold what job .* loaded: its fingerprint is"):
        delivery.carry_out(run, replace(delivery.stage(run, content), fingerprint="2-0-0"))
    plan, _ = delivery.read_plan(run)
    assert plan
    assert plan.state == "planned", "the next attempt begins with it"


def test_a_stack_made_anew_does_not_find_the_jobs_of_the_old_one(deployment: Deployment, tmp_path: Path) -> None:
    """Buckets go with a stack, the ids of its jobs stay in the project."""
    first, content = prepared(deployment, tmp_path, "a", 1.0)
    assert delivery.deliver(first, content) == "succeeded"
    first.clients.runs.blob(f"plans/{DAY}.json").delete()
    second, content = prepared(deployment, tmp_path, "b", 2.0, after=60)
    assert delivery.deliver(second, content) == "succeeded"
    assert levels(deployment) == {2.0}


def test_a_table_that_is_not_there_is_not_made(deployment: Deployment, tmp_path: Path) -> None:
    run, content = prepared(deployment, tmp_path, "a", 1.0)
    deployment.clients.bigquery.delete_table(deployment.table)
    with pytest.raises(BadUsage, match=r"The load into '.*\$20240501' failed: .* Deploy the stack with `pulumi up`"):
        delivery.deliver(run, content)


def test_each_attempt_of_an_execution_stages_its_own_file(deployment: Deployment, tmp_path: Path) -> None:
    first, content = prepared(deployment, tmp_path, "job-1", 1.0)
    second = replace(first, settings=replace(first.settings, attempt=1))
    assert delivery.deliver(first, content) == delivery.deliver(second, content) == "succeeded"
    names = [blob.name for blob in first.clients.runs.list_blobs(prefix="output/")]
    assert names == [f"output/{first.id}/job-1-1/predictions.parquet", f"output/{first.id}/job-1/predictions.parquet"]
