"""The factory under the real DagBag: what Airflow sees of the DAG files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import prediction_tasks
import predictions
import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import DAG
from airflow.timetables import trigger
from airflow.timetables.base import TimeRestriction

DAGS = Path(predictions.__file__).parent
Folder = Callable[..., Path]
DagJson = Callable[..., dict[str, Any]]


def load(folder: Path) -> BundleDagBag:
    return BundleDagBag(dag_folder=str(folder), bundle_path=folder)


@pytest.fixture
def dag(dags_folder: Folder, dag_json: DagJson) -> DAG:
    bag = load(dags_folder(qa_soil=dag_json("qa_soil_moisture_application")))
    assert not bag.import_errors
    return bag.dags["qa_soil_moisture_application"]


def test_each_json_file_becomes_one_dag_and_nothing_else_does(dags_folder: Folder, dag_json: DagJson) -> None:
    training = dag_json("qa_pears_training", action="training", table=None, args=["train"])
    bag = load(dags_folder(a=dag_json("qa_soil_application"), b=training))
    assert not bag.import_errors
    assert sorted(bag.dags) == ["qa_pears_training", "qa_soil_application"]
    assert len(bag.dagbag_stats) == 1, "the task module must be hidden from discovery by .airflowignore"


def test_stacks_of_different_releases_share_one_airflow(dags_folder: Folder, dag_json: DagJson) -> None:
    made = dags_folder(qa=dag_json("qa_soil_application"))
    top = made.with_name("top")
    for stack in ("qa", "pre-prod"):
        shutil.copytree(made, top / stack)
        (top / stack / "prediction_tasks.py").open("a").write(f"\nSTACK = {stack!r}\n")
    other = dag_json("pre-prod_soil_application")
    (top / "pre-prod" / "qa.dag.json").write_text(json.dumps(other))
    bag = load(top)
    assert not bag.import_errors
    starts: dict[str, Any] = {id: dag.get_task("start") for id, dag in bag.dags.items()}
    tasks = {id: start.python_callable.__globals__["prediction_tasks"] for id, start in starts.items()}
    assert {id: module.STACK for id, module in tasks.items()} == {
        "qa_soil_application": "qa",
        "pre-prod_soil_application": "pre-prod",
    }, "one stack would run the other's code"


def test_one_broken_file_leaves_the_other_dags_and_is_logged(
    dags_folder: Folder, dag_json: DagJson, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bag = load(dags_folder(broken='{"dag_id": "half', good=dag_json("qa_good"), odd=dag_json("qa_odd", colour="red")))
    assert not bag.import_errors
    assert sorted(bag.dags) == ["qa_good"]
    said = caplog.text + "".join(capfd.readouterr())
    assert "broken.dag.json" in said, "a missing DAG must be explained somewhere"
    assert "odd.dag.json" in said


def test_a_bad_cron_expression_or_time_zone_leaves_the_other_dags(dags_folder: Folder, dag_json: DagJson) -> None:
    cron = dag_json("qa_cron", schedule={"cron": "61 * * * *", "timezone": "UTC"})
    zone = dag_json("qa_zone", schedule={"cron": "0 1 * * *", "timezone": "Europe/Atlantis"})
    bag = load(dags_folder(cron=cron, zone=zone, good=dag_json("qa_good")))
    assert not bag.import_errors
    assert sorted(bag.dags) == ["qa_good"]


def test_the_order_is_start_wait_check_and_finish_last(dag: DAG) -> None:
    assert {t.task_id: t.upstream_task_ids for t in dag.tasks} == {
        "start": set(),
        "wait": {"start"},
        "check": {"start", "wait"},
        "finish": {"start", "wait", "check"},
    }


def test_the_teardown_decides_the_run_and_needs_no_setup(dag: DAG) -> None:
    finish = dag.get_task("finish")
    assert finish.is_teardown
    assert finish.on_failure_fail_dagrun, "else a run marked failed while it waits ends green"
    assert not any(t.is_setup for t in dag.tasks), "with setups= it would not run when start fails"
    assert dag.dagrun_timeout is None, "it would skip the teardown, and the job would run on"


def test_retries_only_repeat_calls(dag: DAG) -> None:
    assert {t.task_id: t.retries for t in dag.tasks} == {"start": 3, "wait": 3, "check": 3, "finish": 3}
    assert {t.task_id for t in dag.tasks if t.execution_timeout is None} == {"wait"}


def test_the_sensor_follows_the_json(dags_folder: Folder, dag_json: DagJson) -> None:
    wait = {"mode": "reschedule", "interval_seconds": 61, "timeout_seconds": 1300}
    bag = load(dags_folder(qa=dag_json("qa", wait=wait)))
    sensor: Any = bag.dags["qa"].get_task("wait")
    assert (sensor.mode, sensor.poke_interval, sensor.timeout) == ("reschedule", 61, 1300)
    assert not sensor.soft_fail


def test_no_run_is_made_for_the_past_or_in_parallel(dag: DAG) -> None:
    assert (dag.catchup, dag.max_active_runs, dag.start_date) == (False, 1, None)
    assert dag.is_paused_upon_creation is True


def test_a_tick_that_has_just_passed_makes_no_run_when_the_dag_is_unpaused(
    dags_folder: Folder, dag_json: DagJson
) -> None:
    passed = datetime.now(UTC) - timedelta(minutes=2)
    cron = {"cron": f"{passed.minute} {passed.hour} * * *", "timezone": "UTC"}
    schedule: Any = load(dags_folder(qa=dag_json("qa", schedule=cron))).dags["qa"].schedule
    timetable = trigger.CronTriggerTimetable(
        schedule.expression, timezone="UTC", run_immediately=schedule.run_immediately
    )
    never_ran = TimeRestriction(earliest=None, latest=None, catchup=False)
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=never_ran)
    assert first is not None
    assert first.run_after > datetime.now(UTC) + timedelta(hours=23)


def test_the_schedule_has_its_time_zone(dag: DAG) -> None:
    schedule: Any = dag.schedule
    assert (type(schedule).__name__, schedule.expression) == ("CronTriggerTimetable", "30 5 * * *")
    assert str(schedule.timezone) == "Europe/Madrid"


def test_the_web_page_says_whose_it_is_and_when_to_worry(dag: DAG) -> None:
    assert "When to worry" in (dag.doc_md or "")
    assert dag.owner == "fields@example.com"
    assert dag.tags == {"soil_moisture", "application"}


def test_parsing_imports_no_google_client(dags_folder: Folder, dag_json: DagJson) -> None:
    # In a process of its own: this one has imported the clients, and taking them away would break other tests.
    show = "print(predictions.qa.dag_id, *(name for name in sys.modules if name.startswith('google.cloud')))"
    command = [sys.executable, "-c", f"import sys, predictions; {show}"]
    environment = os.environ | {"PYTHONPATH": str(dags_folder(qa=dag_json("qa")))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "qa", "each parse would cost seconds"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job": "jobs/x"}, "job: "),
        ({"image_digest": "latest"}, "image_digest: "),
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"paused": "no"}, "paused: "),
        ({"table": "moisture.soil"}, "table: "),
        ({"wait": {"mode": "defer", "interval_seconds": 1, "timeout_seconds": 2000}}, "wait.mode: "),
        ({"wait": {"mode": "poke", "interval_seconds": 1, "timeout_seconds": 1200}}, "healthy runs would be cancelled"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    dags_folder: Folder, dag_json: DagJson, changes: dict[str, Any], words: str
) -> None:
    folder = dags_folder(qa=dag_json("qa", **changes))
    with pytest.raises(ValueError, match=r"DAG file 'qa\.dag\.json'") as refused:
        predictions.read(folder / "qa.dag.json")
    assert words in str(refused.value)
    assert "pulumi up" in str(refused.value), "the way out"


@pytest.mark.parametrize("key", sorted(predictions.DagFile.model_fields))
def test_a_missing_key_is_refused_by_name(dags_folder: Folder, dag_json: DagJson, key: str) -> None:
    content = dag_json("qa")
    del content[key]
    with pytest.raises(ValueError, match=f"{key}: Field required"):
        predictions.read(dags_folder(qa=content) / "qa.dag.json")


def test_lint_bans_slow_imports_at_the_top_of_dag_files() -> None:
    assert '"google"' in (DAGS / "ruff.toml").read_text()


def test_calls_give_up_before_airflow_kills_the_task() -> None:
    assert timedelta(seconds=prediction_tasks.CALL_SECONDS) < predictions.CALLS_LIMIT
