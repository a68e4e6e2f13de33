"""What BigQuery acknowledged survives kill -9, and what it did not leaves the tables as they were."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from requests.exceptions import ConnectionError, ReadTimeout

from tests.conftest import serve
from tests.local.warehouse_fixtures import PROJECT, connect

Start = Callable[[], tuple["subprocess.Popen[str]", bigquery.Client]]
pytestmark = pytest.mark.client
CUT = (ConnectionError, ReadTimeout, GoogleAPICallError)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the cloud in one folder, again and again."""
    started = []

    def one() -> tuple["subprocess.Popen[str]", bigquery.Client]:
        process = serve(tmp_path, "--project", PROJECT)
        started.append(process)
        assert process.stdout
        return process, connect(json.loads(process.stdout.readline())["env"]["BIGQUERY_ENDPOINT"])

    yield one
    for process in started:
        process.kill()
        process.wait()


def count(client: bigquery.Client, sql: str) -> int:
    return int(next(iter(client.query_and_wait(sql)))[0])


def test_what_was_acknowledged_survives_a_kill(start: Start) -> None:
    process, client = start()
    client.create_dataset("terns")
    schema = [bigquery.SchemaField("worker", "INT64"), bigquery.SchemaField("step", "INT64")]
    client.create_table(bigquery.Table(f"{PROJECT}.terns.t", schema=schema))
    acknowledged: list[tuple[int, int]] = []
    jobs: list[str] = []

    def write(worker: int) -> None:
        for step in range(1000):
            if worker == 0 and step == 15:
                process.kill()
            try:
                if step % 2:
                    assert (
                        client.insert_rows_json("terns.t", [{"worker": worker, "step": step}], timeout=5, retry=None)
                        == []
                    )
                else:
                    sql = f"INSERT INTO terns.t VALUES ({worker}, {step})"
                    job = client.query(sql, job_id=f"w{worker}-{step}", retry=None, job_retry=None, timeout=5)
                    if job.state != "DONE":
                        continue
                    jobs.append(job.job_id)
            except CUT:
                return
            acknowledged.append((worker, step))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    process.wait()
    _, client = start()
    found = [tuple(r) for r in client.query_and_wait("SELECT worker, step FROM terns.t")]
    assert len(found) == len(set(found)), "no row twice"
    assert set(acknowledged) <= set(found)
    assert {client.get_job(id).state for id in jobs} == {"DONE"}


def test_jobs_that_a_kill_interrupted_run_again(start: Start) -> None:
    process, client = start()
    client.create_dataset("terns")
    client.query_and_wait("CREATE TABLE terns.t AS SELECT 1 AS n")
    many = "UNNEST(GENERATE_ARRAY(1, 200000))"
    endless = f"INSERT INTO terns.t SELECT a FROM {many} AS a, {many} AS b WHERE MOD(a * b, 7) = 8"
    first = client.query(endless, job_id="endless", job_retry=None)
    second = client.query("UPDATE terns.t SET n = n + 1 WHERE TRUE", job_id="waiting", job_retry=None)
    assert (first.state, second.state) == ("RUNNING", "RUNNING"), "one waits for the other"
    process.kill()
    process.wait()
    process, client = start()
    assert [client.get_job(id).state for id in ("endless", "waiting")] == ["RUNNING", "RUNNING"]
    client.cancel_job("endless")
    client.get_job("waiting").result()
    assert count(client, "SELECT SUM(n) FROM terns.t") == 2, "it ran once"
    process.terminate()
    assert process.wait(timeout=20) == 0


def test_a_query_whose_answer_was_given_is_known_after_a_kill(start: Start) -> None:
    process, client = start()
    brief = client.query_and_wait("SELECT 7")
    some = "UNNEST(GENERATE_ARRAY(1, 6000))"
    longer = client.query_and_wait(f"SELECT COUNTIF(MOD(a * b, 7) = 8) FROM {some} AS a, {some} AS b")
    many = "UNNEST(GENERATE_ARRAY(1, 200000))"
    sql = f"SELECT COUNTIF(MOD(a * b, 7) = 8) FROM {many} AS a, {many} AS b"
    endless = {"query": sql, "useLegacySql": False, "timeoutMs": 0}
    answer = client._connection.api_request(method="POST", path=f"/projects/{PROJECT}/queries", data=endless)
    process.kill()
    process.wait()
    _, client = start()
    for found, expected in ((brief, 7), (longer, 0)):
        assert [tuple(r) for r in client.get_job(found.job_id).result()] == [(expected,)]
    running = client.get_job(answer["jobReference"]["jobId"])
    assert running.state == "RUNNING", "it was told to be running, so it goes on"
    running.cancel()


def test_a_load_cut_in_the_middle_leaves_the_table_as_it_was(start: Start, tmp_path: Path) -> None:
    process, client = start()
    client.create_dataset("terns")
    client.query_and_wait("CREATE TABLE terns.t AS SELECT n FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n")
    lines = tmp_path / "rows.csv"
    lines.write_text("\n".join(str(n) for n in range(3_000_000)))
    config = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")

    def load() -> None:
        with lines.open("rb") as file:
            client.load_table_from_file(file, "terns.t", job_id="load", job_config=config, num_retries=0)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(load)
        journal = tmp_path / "warehouse" / "uploads"
        while not any(p.suffix != ".json" and p.stat().st_size > 20_000_000 for p in journal.iterdir()):
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert isinstance(future.exception(), CUT) or future.exception() is None
    _, client = start()
    assert count(client, "SELECT COUNT(*) FROM terns.t") in (1000, 3_000_000), "the job was acknowledged or it was not"
    try:
        client.get_job("load").result()
        assert count(client, "SELECT COUNT(*) FROM terns.t") == 3_000_000
    except GoogleAPICallError:
        assert count(client, "SELECT COUNT(*) FROM terns.t") == 1000


def test_results_and_settings_outlive_a_restart(start: Start) -> None:
    process, client = start()
    dataset = bigquery.Dataset(f"{PROJECT}.terns")
    dataset.location, dataset.labels = "EU", {"a": "b"}
    client.create_dataset(dataset)
    client.query_and_wait("CREATE VIEW terns.v AS SELECT 7 AS seven")
    job = client.query("SELECT * FROM terns.v")
    job.result()
    process.terminate()
    process.wait()
    _, client = start()
    assert client.get_dataset("terns").labels == {"a": "b"}
    assert [tuple(r) for r in client.get_job(job.job_id).result()] == [(7,)]


def test_at_rest_the_cloud_is_small(start: Start) -> None:
    process, client = start()
    client.query_and_wait("SELECT 1")
    assert psutil.Process(process.pid).memory_info().rss < 250_000_000
