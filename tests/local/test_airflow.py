"""The real Airflow on a local cloud: the promises of the DAGs, and how it starts and ends."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest
from google.cloud import run_v2

from local import airflow_settings, processes
from local.__main__ import main
from local.airflow import Airflow, AirflowFailed
from local.airflow_client import AirflowClient
from service import promotions, settings
from service.clients import Clients
from service.errors import BadData, BadUsage
from tests.airflow_failures import AIRFLOW_FAILURES, AirflowFailure, Fate, begun
from tests.conftest import RunningCloud, serve
from tests.orchestrated import DAGS_BUCKET, LOCATION, MODEL, PROJECT, RUNS_BUCKET, Lab
from tests.waiting import until
from tools.backfill import Backfill, perform

HEALTHY_SECONDS = 240
DATE = "2011-03-01"


class Harbour:
    """A lab with its Airflow running, and one DAG for each fate of a job."""

    def __init__(self, lab: Lab, airflow: Airflow, client: AirflowClient) -> None:
        self.lab, self.airflow, self.client = lab, airflow, client
        self.jobs = {verb: lab.job(message="the gauge is dry") for verb in ("train", "fail", "sleep")}
        dags = [lab.dag(f"tide_{verb}", verb, job) for verb, job in self.jobs.items()]
        stale = lab.dag("tide_stale", "train", self.jobs["train"], image_digest="sha256:" + "0" * 64)
        lab.upload_dags(*dags, stale)
        self.dag_ids = {dag["dag_id"] for dag in [*dags, stale]}

    def start(self, dag_id: str) -> str:
        until(lambda: dag_id in self.client.dag_ids())
        self.client.unpause(dag_id)
        return self.client.trigger(dag_id, DATE)

    def run(self, dag_id: str) -> tuple[str, str, dict[str, str | None]]:
        """Run a DAG to its end: the run's id and state, and the state of each task."""
        run_id = self.start(dag_id)
        return run_id, self.ended(dag_id, run_id), self.states(dag_id, run_id)

    def ended(self, dag_id: str, run_id: str) -> str:
        until(lambda: self.client.run_state(dag_id, run_id) in ("success", "failed"))
        return self.client.run_state(dag_id, run_id)

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.client.tasks(dag_id, run_id)}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud of this module's own: only one Composer environment can be rehearsed on each."""
    folder = tmp_path_factory.mktemp("tides")
    process = serve(folder, "--project", PROJECT)
    assert process.stdout
    yield RunningCloud(folder, json.loads(process.stdout.readline())["env"])
    process.terminate()
    assert process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def leftover(cloud: RunningCloud) -> "subprocess.Popen[bytes]":
    """A process that an Airflow killed in the same folder might have left."""
    env = processes.marked(cloud.folder, {"AIRFLOW_HOME": str(cloud.folder / "airflow")})
    return subprocess.Popen(["/bin/sleep", "600"], env=env, start_new_session=True)


@pytest.fixture(scope="module")
def harbour(
    cloud: RunningCloud, leftover: "subprocess.Popen[bytes]", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harbour]:
    airflow = Airflow(cloud.folder, cloud.state()["airflow_env"])
    airflow.start()  # before anything is declared, as in `make demo`, where it starts beside `pulumi up`
    try:
        lab = Lab(cloud, tmp_path_factory.mktemp("clone"))
        with closing(AirflowClient(airflow.url)) as client:
            harbour = Harbour(lab, airflow, client)
            airflow.wait_healthy(HEALTHY_SECONDS)
            yield harbour
    finally:
        airflow.stop()
    assert not airflow_processes(cloud.folder), "nothing may survive"


@pytest.fixture(scope="module")
def failures(harbour: Harbour) -> Iterator[dict[str, Fate]]:
    """All failures, injected and begun."""
    yield from begun(harbour.lab, harbour.client, DATE)


def airflow_processes(folder: Path) -> list[psutil.Process]:
    home = str(folder / "airflow")
    found = []
    for process in processes.survivors(folder):
        with suppress(psutil.NoSuchProcess):
            if process.environ().get("AIRFLOW_HOME") == home:
                found.append(process)
    return found


@pytest.mark.airflow
def test_a_good_run_is_green_with_its_four_tasks(harbour: Harbour) -> None:
    run_id, state, tasks = harbour.run("tide_train")
    assert (state, tasks) == ("success", dict.fromkeys(("start", "wait", "check", "finish"), "success"))
    assert harbour.client.task_ids("tide_train") == set(tasks)
    (execution,) = harbour.lab.executions_of(harbour.jobs["train"])
    assert list(execution.template.containers[0].args) == ["train", "--run-date", DATE]
    assert "is verified" in harbour.client.log("tide_train", run_id, "finish")


@pytest.mark.airflow
def test_a_failing_job_is_red_at_wait_with_its_last_words(harbour: Harbour) -> None:
    run_id, state, tasks = harbour.run("tide_fail")
    assert state == "failed"
    assert tasks == {"start": "success", "wait": "failed", "check": "upstream_failed", "finish": "failed"}
    assert "the gauge is dry" in harbour.client.log("tide_fail", run_id, "wait")


@pytest.mark.airflow
def test_a_run_marked_failed_while_it_waits_ends_failed_and_its_execution_is_cancelled(harbour: Harbour) -> None:
    run_id = harbour.start("tide_sleep")
    until(lambda: harbour.states("tide_sleep", run_id)["wait"] == "running")
    harbour.client.mark("tide_sleep", run_id, "failed")
    (execution,) = harbour.lab.executions_of(harbour.jobs["sleep"])
    assert harbour.lab.ended(execution.name).cancelled_count == 1
    until(lambda: harbour.states("tide_sleep", run_id)["finish"] == "failed")
    assert harbour.ended("tide_sleep", run_id) == "failed"


@pytest.mark.airflow
def test_a_dag_of_another_release_than_its_job_starts_nothing(harbour: Harbour) -> None:
    before = len(harbour.lab.executions_of(harbour.jobs["train"]))
    run_id, state, tasks = harbour.run("tide_stale")
    assert (state, tasks["start"], tasks["finish"]) == ("failed", "failed", "failed")
    assert "but this DAG was deployed with 'sha256:0000" in harbour.client.log("tide_stale", run_id, "start")
    assert len(harbour.lab.executions_of(harbour.jobs["train"])) == before


@pytest.fixture(scope="module")
def past(harbour: Harbour) -> Backfill:
    """Days of which the first two have as many predictions as their receipts say, and the third has not."""
    lab = harbour.lab
    table = lab.table(*["2011-03-02", "2011-03-03"] * 2, "2011-03-04")
    job = harbour.jobs["past"] = lab.job("application", rows=2, table=table, load_job="load-1")
    for day in ("2011-03-02", "2011-03-03", "2011-03-04"):
        plan = json.dumps({"load_job": "load-1"})
        lab.storage.bucket(RUNS_BUCKET).blob(f"plans/{day}.json").upload_from_string(plan)
    schedule = {"cron": "30 23 * * *", "timezone": "Asia/Kolkata"}
    dag = lab.dag("tide_past", "apply", job, action="application", table=table, schedule=schedule)
    lab.upload_dags(dag)
    until(lambda: "tide_past" in harbour.client.dag_ids())
    models = lab.storage.create_bucket("tide-tables-models", location=LOCATION)
    promotions.promote(models, "v-1", effective_date=date(2011, 3, 2), who="ebb", why="training")
    env = {"GOOGLE_CLOUD_PROJECT": PROJECT, "LOCATION": LOCATION, "DATASET": "sea", "MODEL": MODEL}
    env |= {"MODELS_BUCKET": models.name, "RUNS_BUCKET": RUNS_BUCKET}
    runs = lab.storage.bucket(RUNS_BUCKET)
    return Backfill(
        airflow=harbour.client,
        dag_id="tide_past",
        clients=Clients(storage=lab.storage, bigquery=lab.bigquery, models=models, runs=runs),
        settings=settings.read(env, model=None, runs_model=False),
        zone=ZoneInfo("Asia/Kolkata"),
        first=date(2011, 3, 2),
        last=date(2011, 3, 3),
    )


@pytest.mark.airflow
def test_a_backfill_that_cannot_be_right_is_refused_with_the_way_out(past: Backfill) -> None:
    with pytest.raises(BadUsage, match="the first one is from 2011-03-02"):
        perform(replace(past, first=date(2011, 3, 1)), print)
    with pytest.raises(BadUsage, match="is after TO"):
        perform(replace(past, first=date(2011, 3, 4)), print)
    with pytest.raises(BadUsage, match="'tide_past' is paused"):
        perform(past, print)
    assert past.airflow.runs("tide_past") == []


@pytest.mark.airflow
def test_a_backfill_verifies_each_day_repeats_what_ran_before_and_names_the_day_that_is_wrong(
    harbour: Harbour, past: Backfill
) -> None:
    before = promotions.history(past.clients.models)
    harbour.client.unpause("tide_past")
    told: list[str] = []
    assert perform(past, told.append) == 2
    assert [line.split()[0] for line in told if "  verified  4 tasks, 2 rows" in line] == ["2011-03-02", "2011-03-03"]
    with pytest.raises(
        BadData, match=r"1 of 2 days are not done:\n2011-03-04: DAG run '.*' ended failed .*check failed"
    ):
        perform(replace(past, first=date(2011, 3, 3), last=date(2011, 3, 4)), told.append)
    dates = [execution_date(e) for e in harbour.lab.executions_of(harbour.jobs["past"])]
    # After a backfill Airflow also makes the run that was due last, which is of another year.
    assert sorted(day for day in dates if day.startswith("2011")) == [
        "2011-03-02",
        "2011-03-03",
        "2011-03-03",
        "2011-03-04",
    ], "a repeated day is a new execution"
    assert promotions.history(past.clients.models) == before


EMPTY = """
from airflow.sdk import DAG, CronTriggerTimetable
dag = DAG("tide_empty", schedule=CronTriggerTimetable("30 23 * * *", timezone="Asia/Kolkata"), catchup=False)
"""


@pytest.mark.airflow
def test_a_run_without_task_instances_is_green_for_airflow_and_red_for_a_backfill(
    harbour: Harbour, past: Backfill
) -> None:
    harbour.lab.storage.bucket(DAGS_BUCKET).blob("dags/tides/empty.py").upload_from_string(EMPTY)
    until(lambda: "tide_empty" in harbour.client.dag_ids())
    harbour.client.unpause("tide_empty")
    with pytest.raises(BadData, match=r"2011-03-02: DAG run '.*' ended success \(no task at all\)"):
        perform(replace(past, dag_id="tide_empty", last=date(2011, 3, 2)), lambda _: None)


@pytest.mark.airflow
@pytest.mark.parametrize("failure", AIRFLOW_FAILURES, ids=str)
def test_no_failure_ends_green_in_airflow(harbour: Harbour, failures: dict[str, Fate], failure: AirflowFailure) -> None:
    """They were all started at once; each is followed to its end."""
    fate = failures[failure.name]
    assert harbour.ended(fate.dag_id, fate.run_id) == "failed"
    tasks = harbour.states(fate.dag_id, fate.run_id)
    assert (tasks[failure.red_at], tasks["finish"]) == ("failed", "failed")
    log = harbour.client.log(fate.dag_id, fate.run_id, failure.red_at)
    assert all(words in log for words in (failure.cause, failure.remedy)), log


@pytest.mark.airflow
def test_unpausing_makes_no_run_for_the_past(harbour: Harbour) -> None:
    for dag_id in harbour.dag_ids:
        types = {run["run_type"] for run in harbour.client.runs(dag_id)}
        assert types <= {"manual"}, f"{dag_id}: a run nobody asked for"


@pytest.mark.airflow
def test_airflow_follows_the_bucket(harbour: Harbour) -> None:
    bucket = harbour.lab.storage.bucket(DAGS_BUCKET)
    extra = harbour.lab.dag("tide_extra", "train", harbour.jobs["train"])
    bucket.blob("dags/tides/tide_extra.dag.json").upload_from_string(json.dumps(extra))
    until(lambda: "tide_extra" in harbour.client.dag_ids())
    assert harbour.client.dag("tide_extra")["is_paused"] is True, "as its JSON says"
    changed = {**extra, "doc_md": "When to worry: never again"}
    bucket.blob("dags/tides/tide_extra.dag.json").upload_from_string(json.dumps(changed))
    until(lambda: "never again" in (harbour.client.dag("tide_extra")["doc_md"] or ""))
    assert not harbour.client.import_errors()


@pytest.mark.airflow
def test_airflow_listens_on_loopback_only(harbour: Harbour) -> None:
    addresses = set()
    for process in airflow_processes(harbour.lab.cloud.folder):
        with suppress(psutil.NoSuchProcess):  # a task that has ended meanwhile
            addresses |= {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


@pytest.mark.airflow
def test_nothing_tried_to_leave_the_machine(harbour: Harbour) -> None:
    log = harbour.lab.cloud.folder / "egress.log"
    assert not log.exists() or not log.read_text()


@pytest.mark.airflow
def test_what_a_killed_airflow_left_was_ended(harbour: Harbour, leftover: "subprocess.Popen[bytes]") -> None:
    assert leftover.poll() is not None


@pytest.mark.airflow
def test_a_second_airflow_in_the_folder_is_refused_and_the_first_goes_on(harbour: Harbour) -> None:
    folder = harbour.lab.cloud.folder
    second = Airflow(folder, harbour.lab.cloud.state()["airflow_env"])
    with pytest.raises(AirflowFailed, match="already runs"):
        second.start()
    second.stop()
    harbour.airflow.check()


@pytest.mark.airflow
def test_a_part_that_dies_is_named_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.db").write_text("no database")
    airflow = Airflow(tmp_path, {})
    airflow.start()
    try:
        with pytest.raises(AirflowFailed, match=r"Airflow's .* ended with code \d+:[\s\S]*log: /.*\.log"):
            airflow.wait_healthy(HEALTHY_SECONDS)
    finally:
        airflow.stop()
    assert not airflow_processes(tmp_path)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "airflow").write_text("in the way")
    with pytest.raises(AirflowFailed, match=r"Cannot prepare Airflow's home '.*/airflow'"):
        Airflow(tmp_path, {}).start()


def test_the_verb_needs_a_running_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["airflow", "--folder", str(tmp_path)]) == 2
    assert "No local cloud runs" in capsys.readouterr().err


def test_airflow_does_not_see_the_shell_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json")
    seen = environment(tmp_path, {"GCE_METADATA_HOST": "127.0.0.1:2/sa/airflow"})
    assert "STORAGE_EMULATOR_HOST" not in seen
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in seen
    assert seen["GCE_METADATA_HOST"] == "127.0.0.1:2/sa/airflow"


def test_keys_are_kept_from_start_to_start_and_are_private(tmp_path: Path) -> None:
    first, second = environment(tmp_path, {}), environment(tmp_path, {})
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] == second["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert (tmp_path / "airflow" / "keys.json").stat().st_mode & 0o077 == 0


def execution_date(execution: run_v2.Execution) -> str:
    return str(execution.template.containers[0].args[-1])


def environment(cloud: Path, identity: dict[str, str]) -> dict[str, str]:
    return airflow_settings.environment(cloud, cloud / "airflow", "http://127.0.0.1:3", identity)
