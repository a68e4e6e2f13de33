"""Models that misbehave, a model that knows nothing of us, and a part that dies: one rehearsal of a scratch clone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local import processes
from local.airflow_client import AirflowClient
from local.programs import StepFailed
from local.rehearse import DagRun, Rehearsal
from service.logs import mark
from tests import scratch_clone
from tests.conftest import ROOT

pytestmark = pytest.mark.end_to_end

PROJECT, LOCATION = "town-library", "southamerica-west1"
DATE = "2021-06-15"
GOOD_DAY = {"start": "success", "wait": "success", "check": "success", "finish": "success"}
BAD_DAY = {"start": "success", "wait": "failed", "check": "upstream_failed", "finish": "failed"}
# What the weather of the data makes of the model: its own last words, and what the product finds wrong.
WEATHER = {
    "fog": ("fog: no shelf was found in 9 rounds", "exit code 1"),
    "flood": ("flood: the cellar is closed", "left no predictions"),
    "heat": (
        "heat: ruth stays at home",
        f"In the input, but not predicted: 1 values of 'reader', such as '{mark('ruth')}'",
    ),
    "storm": ("storm: the roof has to be told, too", "'roof', not in schema.json"),
}


class Town:
    """A running rehearsal with its Airflow, and a client of the warehouse."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        options = {"api_endpoint": rehearsal.env["BIGQUERY_ENDPOINT"]}
        self.warehouse = bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def load(self, table: str, rows: list[dict[str, Any]]) -> None:
        config = bigquery.LoadJobConfig(autodetect=True, write_disposition="WRITE_TRUNCATE")
        self.warehouse.load_table_from_json(rows, f"{PROJECT}.{table}", job_config=config).result()

    def weather(self, weather: str) -> None:
        """Fill the table of loans."""
        rows = [{"reader": name, "loans": n, "weather": weather} for n, name in enumerate(("ann", "ben", "ruth"))]
        self.load("lending.loans", rows)

    def predictions(self, table: str) -> list[dict[str, Any]]:
        sql = f"SELECT * FROM forecasts.{table} WHERE run_date >= '2000-01-01' ORDER BY 1, 2"
        return [dict(row) for row in self.warehouse.query_and_wait(sql)]

    def run(self, model: str, action: str) -> DagRun:
        return self.rehearsal.follow_dag(self.rehearsal.outputs["dags"][model][action], DATE, lambda _: None)

    def log_of_wait(self, run: DagRun) -> str:
        with closing(AirflowClient(self.rehearsal.airflow_url)) as client:
            return client.log(run.dag_id, run.run_id, "wait")

    def logs(self, run: DagRun) -> str:
        """What `python -m local logs` prints of a DAG run."""
        command = [sys.executable, "-m", "local", "logs", "--folder", str(self.rehearsal.folder)]
        execution = self.log_of_wait(run).partition("/executions/")[2].split("'")[0].split()[0]
        filter_ = f'labels."run.googleapis.com/execution_name"="{execution}"'
        done = subprocess.run([*command, "--filter", filter_], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    config = {"gcp:project": PROJECT, "gcp:region": LOCATION, "predictions:dataset": "forecasts"}
    clone = scratch_clone.copy(tmp_path_factory.mktemp("clone"), **config, **{"predictions:exampleSource": "false"})
    scratch_clone.remove_models(clone)
    loans = "SELECT reader, loans, weather FROM `lending.loans`"
    scratch_clone.add_model(
        clone, "reader_loans", package="loans", key="reader", value="loans_expected", sql=loans, config={}
    )
    rentals = "SELECT stop, day, rented FROM `bikes.rentals` WHERE day < @run_date"
    files = {"observations": "${data_path}", "weights": "${model_path}/fit.json"}
    columns = {"station": "stop", "day": "day", "count": "rented", "forecast": "tomorrow"}
    shape = {"files": files | {"forecast": "${output_path}/predictions.csv"}, "columns": columns}
    scratch_clone.add_model(
        clone, "rentals", package="bikeshare", key="stop", value="tomorrow", sql=rentals, config=shape, tasks=2
    )
    rehearsal = Rehearsal(tmp_path_factory.mktemp("town") / "folder", clone)
    rehearsal.reset()
    try:
        yield started(rehearsal)
    finally:
        rehearsal.stop()
        assert processes.survivors(rehearsal.folder) == [], "nothing may outlive a stopped rehearsal"


def started(rehearsal: Rehearsal) -> Town:
    """Everything deployed and running, with a good day's data."""
    rehearsal.start_cloud(print)
    town = Town(rehearsal)
    for dataset in ("lending", "bikes"):
        made = bigquery.Dataset(f"{PROJECT}.{dataset}")
        made.location = LOCATION
        town.warehouse.create_dataset(made)
    town.weather("sun")
    days = [("east", "10", 4), ("east", "11", 8), ("east", "12", 8), ("west", "12", 7), ("west", "15", 99)]
    town.load("bikes.rentals", [{"stop": stop, "day": f"2021-06-{day}", "rented": n} for stop, day, n in days])
    rehearsal.at_once(lambda: rehearsal.deploy(print), lambda: rehearsal.start_airflow(print))
    rehearsal.unpause([dag for dags in rehearsal.outputs["dags"].values() for dag in dags.values()], print)
    return town


@pytest.fixture(scope="module")
def good_day(town: Town) -> list[dict[str, Any]]:
    """What the table holds after one good training and application."""
    for action in ("training", "application"):
        assert town.run("reader_loans", action).states() == GOOD_DAY
    rows = town.predictions("reader_loans")
    assert {row["reader"]: row["loans_expected"] for row in rows} == {"ann": 1.0, "ben": 1.0, "ruth": 1.0}
    return rows


# The gate's finding is the one that no other test shows in Airflow.
@pytest.mark.parametrize(
    "weather", ["heat", *(pytest.param(kind, marks=pytest.mark.soak) for kind in WEATHER if kind != "heat")]
)
def test_a_bad_day_is_red_at_wait_with_the_models_last_words_and_the_table_keeps_what_it_had(
    town: Town, good_day: list[dict[str, Any]], weather: str
) -> None:
    town.weather(weather)
    run = town.run("reader_loans", "application")
    words, finding = WEATHER[weather]
    assert (run.state, run.states()) == ("failed", BAD_DAY)
    assert town.predictions("reader_loans") == good_day
    told, logged = town.log_of_wait(run), town.logs(run)
    assert words in told, "Airflow's log must tell the model's own last words"
    assert finding in told
    assert words in logged, "the cloud's log must tell the model's own last words"
    assert finding in logged


def test_a_demo_that_fails_at_a_dag_run_says_why_and_where(town: Town, good_day: list[dict[str, Any]]) -> None:
    town.weather("fog")
    dag_id = town.rehearsal.outputs["dags"]["reader_loans"]["application"]
    with pytest.raises(StepFailed) as failed:
        town.rehearsal.run_dag(dag_id, DATE, lambda _: None)
    assert str(failed.value).startswith(f"{dag_id} for {DATE}: the DAG run ended failed (start success, wait failed")
    assert WEATHER["fog"][0] in str(failed.value)
    assert Path(str(failed.value).partition("log: ")[2]).is_dir()


def test_a_repository_that_knows_nothing_of_us_is_trained_and_applied_by_two_tasks(town: Town) -> None:
    runs = {action: town.run("rentals", action) for action in ("training", "application")}
    for run in runs.values():
        assert run.states() == GOOD_DAY, town.log_of_wait(run)
    rows = town.predictions("rentals")
    assert {row["stop"]: row["tomorrow"] for row in rows} == {"east": pytest.approx(7.96), "west": 7.0}
    assert "fitted weight" in town.logs(runs["training"])
    told = town.logs(runs["application"])
    assert "Part 1 of 2 is done" in told
    assert "Part 2 of 2 is done" in told
    assert told.count("Well done.") == 1


def test_an_airflow_that_dies_meanwhile_is_told_with_its_last_words(town: Town) -> None:
    """The last test of this module: no Airflow is left after it."""
    folder = town.rehearsal.folder
    dying = next(p for p in processes.survivors(folder) if "scheduler" in " ".join(p.cmdline()))
    dying.kill()
    psutil.wait_procs([dying])
    with pytest.raises(StepFailed, match=r"airflow: .*scheduler ended with code -9[\s\S]*log: .*airflow\.log"):
        town.rehearsal.unpause(["no_such_dag"], lambda _: None)
