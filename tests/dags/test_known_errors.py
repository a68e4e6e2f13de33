"""Errors of Cloud Run as the tasks in Airflow tell them: Google's words, their meaning, and the command that mends."""

import re
from typing import Any

import prediction_tasks
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from tests.dags.test_prediction_tasks import Task, lab, new_run, task
from tests.orchestrated import LOCATION, PROJECT, RUNS_BUCKET, Lab
from tests.service.recorded_errors import RECORDED, Recorded

pytestmark = pytest.mark.client

__all__ = ["lab", "task"]  # fixtures
OF_RUN = [recorded for recorded in RECORDED if recorded.at.startswith("run")]


def met(lab: Lab, method: str, recorded: Recorded, job: str) -> Any:
    """Let each call of a method for a job be answered with a recorded body."""
    rule = Rule(
        action="status",
        method=method,
        path=f"*{job.rpartition('/')[2]}*",
        status=recorded.status,
        body=recorded.body,
    )
    return FaultRules(lab.cloud.url).during(rule)


def command(recorded: Recorded) -> str:
    """The command that has to be named."""
    names = {"project": PROJECT, "location": LOCATION, "member": rf"serviceAccount:tide-airflow@{PROJECT}\.iam\.\S+"}
    text = re.escape(recorded.run)
    for name, value in names.items():
        text = text.replace(re.escape(f"{{{name}}}"), value)
    return text


@pytest.mark.parametrize("recorded", OF_RUN, ids=str)
def test_a_start_that_cloud_run_refuses_names_the_command_that_mends_it(
    lab: Lab, task: Task, recorded: Recorded
) -> None:
    job = lab.job()
    with met(lab, "run.jobs.run", recorded, job), pytest.raises(AirflowException) as raised:
        task(prediction_tasks.start, job, lab.digest, ["train"], new_run())
    assert recorded.message in str(raised.value), "Google's own words are not told"
    assert re.search(command(recorded), str(raised.value)), raised.value
    passes = "repeated" in recorded.at
    assert isinstance(raised.value, AirflowFailException) is not passes, "asked again only if that may help"
    assert not lab.executions_of(job)


def test_a_receipt_that_airflow_may_not_read_names_the_role_and_whose_it_is(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = task(prediction_tasks.start, lab.job(), lab.digest, ["train"], run)
    lab.ended(execution)
    recorded = next(recorded for recorded in RECORDED if recorded.row == "object denied")
    with (
        FaultRules(lab.cloud.url).during(
            Rule(action="status", method="objects.get", path="*/receipts/*", status=403, body=recorded.body)
        ),
        pytest.raises(AirflowFailException) as raised,
    ):
        task(prediction_tasks.check, execution, RUNS_BUCKET, None, run)
    bind = f"Run `gcloud storage buckets add-iam-policy-binding gs://{RUNS_BUCKET} --member="
    assert bind in str(raised.value)
    assert "`, then clear this task." in str(raised.value)


def test_a_poll_over_quota_is_no_failure(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = task(prediction_tasks.start, lab.job(), lab.digest, ["train"], run)
    recorded = next(recorded for recorded in OF_RUN if recorded.row == "calls a minute")
    with met(lab, "run.executions.get", recorded, execution.partition("/executions/")[0]):
        assert task(prediction_tasks.has_succeeded, execution, RUNS_BUCKET, run) is False
