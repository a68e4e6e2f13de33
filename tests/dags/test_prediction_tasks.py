"""The tasks of a prediction DAG, through Google's own clients, against jobs that really run on the local cloud."""

import json
import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import prediction_tasks
import pytest
from airflow.sdk.exceptions import AirflowFailException
from prediction_tasks import Run

from tests.conftest import RunningCloud, serve
from tests.orchestrated import MODEL, PROJECT, RUNS_BUCKET, Lab

DATE = "2011-03-01"
Task = Callable[..., Any]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("tides")
    process = serve(folder, "--project", PROJECT)
    assert process.stdout
    yield Lab(RunningCloud(folder, json.loads(process.stdout.readline())["env"]), tmp_path_factory.mktemp("clone"))
    process.terminate()
    assert process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def task(lab: Lab) -> Iterator[Task]:
    """Calls a function in a process with Airflow's identity: google-auth reads its environment on import."""
    context = multiprocessing.get_context("spawn")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lab.cloud.state()["airflow_env"].items():
            patch.setenv(name, value)
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            yield lambda function, *arguments: pool.submit(function, *arguments).result(timeout=120)


def new_run(action: str = "training") -> Run:
    return Run(MODEL, action, DATE, f"manual__{uuid.uuid4()}")


def start(lab: Lab, task: Task, verb: str, run: Run, **job: Any) -> str:
    name = task(prediction_tasks.start, lab.job(run.action, **job), lab.digest, [verb], run)
    assert isinstance(name, str)
    return name


def verdict(lab: Lab, task: Task, execution: str, run: Run) -> bool:
    lab.ended(execution)
    return bool(task(prediction_tasks.has_succeeded, execution, RUNS_BUCKET, run))


@pytest.mark.parametrize(
    ("param", "logical", "timezone", "expected"),
    [
        ("1997-10-01", datetime(2020, 1, 1, tzinfo=UTC), "UTC", "1997-10-01"),
        (None, datetime(2020, 1, 1, 23, 30, tzinfo=UTC), "UTC", "2020-01-01"),
        (None, datetime(2020, 1, 1, 23, 30, tzinfo=UTC), "Europe/Madrid", "2020-01-02"),
        (None, datetime(2020, 1, 1, 2, 30, tzinfo=UTC), "America/Lima", "2019-12-31"),
        (None, None, "UTC", "2026-06-30"),
    ],
)
def test_the_run_date_is_the_parameter_or_the_day_in_the_time_zone_of_the_schedule(
    param: str | None, logical: datetime | None, timezone: str, expected: str
) -> None:
    after = datetime(2026, 6, 30, 12, tzinfo=UTC)
    assert prediction_tasks.run_date(param, logical, after, timezone) == expected


def test_the_run_id_names_model_action_date_and_the_dag_run() -> None:
    run = Run("high_tide", "training", DATE, "manual__1")
    assert run.id == "high_tide-training-2011-03-01-19b04f56"
    assert run.id != Run("high_tide", "training", DATE, "manual__2").id
    assert run.receipt("projects/p/locations/l/jobs/j/executions/j-x1") == f"receipts/training/{run.id}/j-x1.json"


def test_start_passes_the_run_date_and_the_run_id(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = lab.ended(start(lab, task, "train", run))
    container = execution.template.containers[0]
    assert list(container.args) == ["train", "--run-date", DATE]
    env = {e.name: e.value for e in container.env}
    assert (env["RUN_ID"], env["AIRFLOW_RUN_ID"]) == (run.id, run.airflow_run_id)


def test_a_second_start_takes_the_execution_that_runs(lab: Lab, task: Task) -> None:
    job, run = lab.job(), new_run()
    arguments = (job, lab.digest, ["sleep"], run)
    first = task(prediction_tasks.start, *arguments)
    assert task(prediction_tasks.start, *arguments) == first
    assert task(prediction_tasks.start, job, lab.digest, ["sleep"], new_run()) != first, (
        "another run, another execution"
    )
    assert len(lab.executions_of(job)) == 2


def test_a_second_start_takes_the_execution_that_has_succeeded_and_repeats_one_that_failed(
    lab: Lab, task: Task
) -> None:
    for verb, same in (("train", True), ("fail", False)):
        job, run = lab.job(), new_run()
        first = task(prediction_tasks.start, job, lab.digest, [verb], run)
        lab.ended(first)
        assert (task(prediction_tasks.start, job, lab.digest, [verb], run) == first) is same, verb


def test_a_dag_run_that_begins_anew_repeats_what_succeeded_before(lab: Lab, task: Task) -> None:
    job, run = lab.job(), new_run()
    first = task(prediction_tasks.start, job, lab.digest, ["train"], run)
    created = lab.ended(first).create_time
    for began, same in ((created, True), (created + timedelta(seconds=1), False)):
        again = task(prediction_tasks.start, job, lab.digest, ["train"], replace(run, began=began))
        assert (again == first) is same, "cleared or backfilled, it has the same id and another beginning"


def test_a_job_with_another_image_is_not_started(lab: Lab, task: Task) -> None:
    job = lab.job()
    with pytest.raises(AirflowFailException, match=r"runs image .* but this DAG was deployed with 'sha256:00"):
        task(prediction_tasks.start, job, "sha256:" + "0" * 64, ["train"], new_run())
    assert not lab.executions_of(job)


def test_a_job_that_is_not_there_is_named(lab: Lab, task: Task) -> None:
    job = f"projects/{PROJECT}/locations/asia-south1/jobs/tide-gone"
    with pytest.raises(AirflowFailException, match=r"no job .*tide-gone.*pulumi up"):
        task(prediction_tasks.start, job, lab.digest, ["train"], new_run())


def test_waiting_is_not_over_while_the_execution_runs(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "sleep", run)
    assert task(prediction_tasks.has_succeeded, execution, RUNS_BUCKET, run) is False


def test_waiting_is_over_when_the_execution_has_succeeded(lab: Lab, task: Task) -> None:
    run = new_run()
    assert verdict(lab, task, start(lab, task, "train", run), run)


def test_a_failure_tells_the_last_words_of_the_run(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "fail", run, message="column 'tide' is not in schema.json")
    with pytest.raises(AirflowFailException, match=r"column 'tide' is not in schema\.json") as failed:
        verdict(lab, task, execution, run)
    assert "NON_ZERO_EXIT_CODE" in str(failed.value)


def test_a_failure_without_a_receipt_says_where_the_log_is(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "vanish", run)
    with pytest.raises(AirflowFailException, match=r"left no receipt.*Log: http"):
        verdict(lab, task, execution, run)


def test_a_cancelled_execution_is_a_failure(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "sleep", run)
    lab.executions.cancel_execution(name=execution)
    with pytest.raises(AirflowFailException, match="CANCELLED"):
        verdict(lab, task, execution, run)


def test_a_deleted_execution_is_a_failure(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "train", run)
    lab.ended(execution)
    lab.executions.delete_execution(name=execution)
    with pytest.raises(AirflowFailException, match="is gone"):
        task(prediction_tasks.has_succeeded, execution, RUNS_BUCKET, run)


def test_a_cloud_that_does_not_answer_is_asked_again(task: Task, lab: Lab) -> None:
    execution = f"{lab.job()}/executions/none"
    assert task(asked_at, "http://127.0.0.1:1", execution, new_run()) is False, "nothing listens on port 1"


def asked_at(endpoint: str, execution: str, run: Run) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUN_ENDPOINT", endpoint)
        return prediction_tasks.has_succeeded(execution, RUNS_BUCKET, run)


def test_a_training_is_verified_by_its_receipt(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "train", run, model_version="2011-03-01-7f")
    lab.ended(execution)
    proof = task(prediction_tasks.check, execution, RUNS_BUCKET, None, run)
    assert proof == {"model_version": "2011-03-01-7f", "rows": None}


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        ({"status": "superseded", "message": "a newer plan"}, "status is 'superseded', expected 'succeeded'.*a newer"),
        ({"run_id": "another"}, "run_id is 'another'"),
        ({"execution": "another"}, "execution is 'another'"),
        ({"run_date": "2011-03-02"}, "run_date is '2011-03-02', expected '2011-03-01'"),
        ({"model_version": None}, "names no model version"),
    ],
)
def test_a_receipt_of_something_else_is_not_taken(lab: Lab, task: Task, receipt: dict[str, Any], words: str) -> None:
    run = new_run()
    execution = start(lab, task, "train", run, **receipt)
    lab.ended(execution)
    with pytest.raises(AirflowFailException, match=words):
        task(prediction_tasks.check, execution, RUNS_BUCKET, None, run)


def test_a_run_without_a_receipt_is_not_verified(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "vanish", run)
    lab.ended(execution)
    with pytest.raises(AirflowFailException, match="there is no receipt at 'gs://tide-tables-runs/receipts/training/"):
        task(prediction_tasks.check, execution, RUNS_BUCKET, None, run)


@pytest.fixture(scope="module")
def table(lab: Lab) -> str:
    """Three predictions for the run date and one for the day after."""
    plan = json.dumps({"load_job": "load-2", "run_id": "the-last"})
    lab.storage.bucket(RUNS_BUCKET).blob(f"plans/{DATE}.json").upload_from_string(plan)
    return lab.table(*[DATE] * 3, "2011-03-02")


def test_an_application_is_verified_by_the_rows_of_its_partition(lab: Lab, task: Task, table: str) -> None:
    run = new_run("application")
    execution = start(lab, task, "apply", run, rows=3, load_job="load-2")
    lab.ended(execution)
    proof = task(prediction_tasks.check, execution, RUNS_BUCKET, table, run)
    assert proof == {"model_version": "v-1", "rows": 3}


def test_a_partition_with_other_rows_than_the_receipt_is_not_verified(lab: Lab, task: Task, table: str) -> None:
    run = new_run("application")
    execution = start(lab, task, "apply", run, rows=4)
    lab.ended(execution)
    with pytest.raises(AirflowFailException, match=r"high_tide\$20110301' has 3 rows, receipt .* says 4"):
        task(prediction_tasks.check, execution, RUNS_BUCKET, table, run)


def test_a_partition_that_another_run_has_replaced_is_not_verified(lab: Lab, task: Task, table: str) -> None:
    run = new_run("application")
    execution = start(lab, task, "apply", run, rows=3, load_job="load-1")
    lab.ended(execution)
    with pytest.raises(AirflowFailException, match=r"'load-1', but .* of 'load-2', by run 'the-last'.*start a new run"):
        task(prediction_tasks.check, execution, RUNS_BUCKET, table, run)


def test_finish_cancels_what_still_runs_and_fails_the_run(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "sleep", run)
    with pytest.raises(AirflowFailException, match="Nothing was verified"):
        task(prediction_tasks.finish, execution, None, execution.partition("/executions/")[0], run)
    assert lab.ended(execution).cancelled_count == 1


def test_finish_finds_the_execution_when_start_died(lab: Lab, task: Task) -> None:
    job, run, other = lab.job(), new_run(), new_run()
    execution = task(prediction_tasks.start, job, lab.digest, ["sleep"], run)
    neighbour = task(prediction_tasks.start, job, lab.digest, ["sleep"], other)
    with pytest.raises(AirflowFailException):
        task(prediction_tasks.finish, None, None, job, run)
    assert lab.ended(execution).cancelled_count == 1
    assert not lab.executions.get_execution(name=neighbour).completion_time, (
        "another run's execution is not ours to end"
    )


def test_finish_is_content_with_a_verified_run(lab: Lab, task: Task) -> None:
    run = new_run()
    execution = start(lab, task, "train", run)
    lab.ended(execution)
    job = execution.partition("/executions/")[0]
    assert task(prediction_tasks.finish, execution, {"model_version": "v-1", "rows": None}, job, run) is None


def test_finish_bears_an_execution_that_is_gone(lab: Lab, task: Task) -> None:
    job, run = lab.job(), new_run()
    with pytest.raises(AirflowFailException, match="Nothing was verified"):
        task(prediction_tasks.finish, f"{job}/executions/tide-none", None, job, run)
