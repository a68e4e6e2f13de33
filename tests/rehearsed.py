"""A scratch clone deployed by the real engine, and what its DAGs do, task by task, with Airflow's own identity.

Two models of forty lines: one reads a table and is given a secret, the other reads an object. Airflow itself does not
run: its tasks are called as it calls them, in a process that has its account, and its DAG files are copied as Composer
copies them.
"""

import json
import multiprocessing
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import prediction_tasks
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from google.oauth2.credentials import Credentials

from local.dags_sync import DagsSync, connect
from local.declared import Declared, Resource
from local.iam.bindings import OPENED
from local.metadata import reported
from local.rehearse import Rehearsal
from local.server import read_state
from tests import scratch_clone
from tests.waiting import WAIT_SECONDS, until

PROJECT, LOCATION = "reading-room", "europe-north1"
EXPORTS = "reading-room-exports"
DATASET = "forecasts"
DATE = "2023-02-07"
KEY, KEY_VERSION = "library-key", "1"


class NotAsPromised(Exception):
    """A run left something out that nobody refused."""


def clone(folder: Path) -> Path:
    """A copy of this clone with two models in place of the example."""
    config = {"gcp:project": PROJECT, "gcp:region": LOCATION, "predictions:dataset": DATASET}
    scratch_clone.copy(folder, **config, **{"predictions:exampleSource": "false"})
    scratch_clone.remove_models(folder)
    sql = "SELECT reader, loans, weather FROM `lending.loans`"
    for name in ("reader_loans", "club_loans"):
        scratch_clone.add_model(folder, name, package="loans", key="reader", value="loans_expected", sql=sql, config={})
        change_model(folder, name, training={"max_retries": 0}, application={"max_retries": 0})
    given = {"input": {"uri": f"gs://{EXPORTS}/loans.csv"}, "reads": []}
    change_model(folder, "club_loans", training=given, application=given)
    give_secret(folder, "reader_loans")
    return folder


def give_secret(folder: Path, name: str) -> None:
    """Let a model ask for a secret in its environment."""
    file = folder / "service" / "models" / name / "model.yaml"
    model = yaml.safe_load(file.read_text())
    model["secrets"] = {"LIBRARY_KEY": f"{KEY}:{KEY_VERSION}"}
    file.write_text(yaml.safe_dump(model))


def change_model(folder: Path, name: str, **actions: dict[str, Any]) -> None:
    """Change keys of a model's two actions."""
    file = folder / "service" / "models" / name / "model.yaml"
    model = yaml.safe_load(file.read_text())
    for action, changes in actions.items():
        model[action] = {**model[action], **changes}
    file.write_text(yaml.safe_dump(model))


@dataclass(frozen=True)
class Clients:
    """Google's clients with the token of one account, and that token."""

    storage: storage.Client
    bigquery: bigquery.Client
    token: str


class World:
    """The deployed clone, and the grants as they lie in the local cloud."""

    def __init__(self, rehearsal: Rehearsal, pool: ProcessPoolExecutor) -> None:
        self.rehearsal, self._pool = rehearsal, pool
        self.dags: list[dict[str, Any]] = []
        self._complete = False
        nobody = AnonymousCredentials()
        env = rehearsal.env
        self.warehouse = bigquery.Client(PROJECT, nobody, client_options={"api_endpoint": env["BIGQUERY_ENDPOINT"]})
        self.storage = storage.Client(PROJECT, nobody, client_options={"api_endpoint": env["STORAGE_ENDPOINT"]})

    def fill_sources(self) -> None:
        """What others own: a table, an object and a secret to read."""
        dataset = bigquery.Dataset(f"{PROJECT}.lending")
        dataset.location = LOCATION
        self.warehouse.create_dataset(dataset)
        rows = [{"reader": name, "loans": n, "weather": "sun"} for n, name in enumerate(("ann", "ben", "ruth"))]
        config = bigquery.LoadJobConfig(autodetect=True)
        self.warehouse.load_table_from_json(rows, f"{PROJECT}.lending.loans", job_config=config).result()
        versions = self.rehearsal.folder / "secrets" / KEY
        versions.mkdir(parents=True)
        (versions / KEY_VERSION).write_text("s3same")
        text = "reader,loans,weather\nann,1,sun\nben,4,sun\n"
        self.storage.create_bucket(EXPORTS, location=LOCATION).blob("loans.csv").upload_from_string(text)

    def complete(self) -> None:
        """Deploy the clone as it is now, and see it work; once."""
        if not self._complete:
            self.rehearsal.deploy(print)
            self.rehearse()
        self._complete = True

    def grants(self) -> list[Resource]:
        """Every declared grant."""
        with closing(Declared(self.rehearsal.folder / "declared")) as declared:
            return [row for token in OPENED for row in declared.of_type(token)]

    @contextmanager
    def without(self, *grants: Resource) -> Iterator[None]:
        """Take grants away for a while."""
        with closing(Declared(self.rehearsal.folder / "declared")) as declared:
            for grant in grants:
                declared.remove(grant.token, grant.id)
            try:
                yield
            finally:
                for grant in grants:
                    declared.put(grant)

    def copy_dags(self, folder: Path) -> None:
        """Read the DAG files as the environment's account."""
        bucket = self.rehearsal.outputs["airflow"]["dags_bucket"]
        self._as_airflow(_copy, bucket, folder)
        self.dags = [json.loads(path.read_text()) for path in sorted(folder.rglob("*.dag.json"), reverse=True)]

    def rehearse(self) -> None:
        """Train and apply every model; trainings come first, because their DAG ids sort last.

        Raises:
            Exception: of the first task that failed, as Airflow would show it.
        """
        for dag in self.dags:
            run = prediction_tasks.Run(dag["model"], dag["action"], DATE, f"manual__{uuid.uuid4()}")
            execution = None
            try:
                execution = self._as_airflow(prediction_tasks.start, dag["job"], dag["image_digest"], dag["args"], run)
                self._wait(execution, dag["runs_bucket"], run)
                verified = self._as_airflow(prediction_tasks.check, execution, dag["runs_bucket"], dag["table"], run)
                self._as_airflow(prediction_tasks.finish, execution, verified, dag["job"], run)
            except Exception:
                if execution:
                    self._ended(execution)
                raise
            self._check_record(dag["model"], execution.rpartition("/")[2])

    def connect(self, account: str) -> Clients:
        """Clients at the jobs' door for a declared account, by its id."""
        door = read_state(self.rehearsal.folder)["airflow_env"]["STORAGE_ENDPOINT"]
        who = reported(f"{account}@{PROJECT}.iam.gserviceaccount.com")
        base = f"{door}/sa/{who}/computeMetadata/v1/instance/service-accounts/default"
        token = str(httpx.get(f"{base}/token").json()["access_token"])
        options: Any = {"credentials": Credentials(token), "client_options": {"api_endpoint": door}}
        warehouse = bigquery.Client(PROJECT, location=LOCATION, **options)
        return Clients(storage.Client(PROJECT, **options), warehouse, token)

    def denials(self) -> list[dict[str, Any]]:
        """What the local log says of denials, oldest first."""
        log = {"filter": 'log_id("local-iam")', "resourceNames": [f"projects/{PROJECT}"], "pageSize": 1000}
        answer = self.storage._http.post(f"{self.rehearsal.env['LOGGING_ENDPOINT']}/v2/entries:list", json=log)
        return [entry["jsonPayload"] for entry in answer.json().get("entries", [])]

    def _as_airflow(self, function: Any, *arguments: Any) -> Any:
        return self._pool.submit(function, *arguments).result(timeout=WAIT_SECONDS)

    def _wait(self, execution: str, bucket: str, run: prediction_tasks.Run) -> None:
        until(lambda: self._as_airflow(prediction_tasks.has_succeeded, execution, bucket, run))

    def _ended(self, execution: str) -> None:
        """An execution that nobody watches must not meddle with the next rehearsal."""
        url = f"{self.rehearsal.env['RUN_ENDPOINT']}/v2/{execution}"
        until(lambda: "completionTime" in self.storage._http.get(url).json())

    def _check_record(self, model: str, execution: str) -> None:
        """The table of runs is derived last, and no task looks at it."""
        sql = f"SELECT execution FROM {DATASET}.{model}_runs WHERE execution = '{execution}'"
        if not list(self.warehouse.query_and_wait(sql)):
            raise NotAsPromised(f"{execution} is not in {model}_runs")


def _copy(bucket: str, folder: Path) -> None:
    DagsSync(connect(), folder).copy(bucket, "dags/")


@contextmanager
def deployed(folder: Path, root: Path) -> Iterator[World]:
    """Start the local cloud, deploy the clone, fill its sources; end everything at the end."""
    rehearsal = Rehearsal(folder, root)
    rehearsal.reset()
    try:
        rehearsal.start_cloud(print)
        # google-auth reads its environment on import, so the tasks run in a process of their own.
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in read_state(rehearsal.folder)["airflow_env"].items():
                    patch.setenv(name, value)
                pool.submit(int).result()
            world = World(rehearsal, pool)
            world.fill_sources()
            rehearsal.deploy(print)
            yield world
    finally:
        rehearsal.stop()
