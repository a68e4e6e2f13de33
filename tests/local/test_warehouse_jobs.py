"""Jobs: their ids, states, statistics and ends; and rows read and streamed without one."""

import datetime as dt
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, MethodNotImplemented, NotFound
from google.cloud import bigquery, storage

from tests.conftest import RunningCloud
from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

Make = Callable[..., bigquery.Table]
# Long enough to be caught while it runs, and stopped at once.
ENDLESS = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 200000)) a, UNNEST(GENERATE_ARRAY(1, 200000)) b WHERE MOD(a * b, 7) = 3"


def test_a_job_id_of_ones_own_is_used_once(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    make("t", "n INT64")
    sql = f"INSERT INTO {dataset}.t VALUES (1)"
    id = f"insert-{dataset}"
    bq.query(sql, job_id=id, job_retry=None, location="europe-west4").result()
    with pytest.raises(Conflict, match=f"Already Exists: Job {PROJECT}:europe-west4.{id}"):
        bq.query(sql, job_id=id, job_retry=None, location="europe-west4")
    assert bq.get_job(id, location="europe-west4").num_dml_affected_rows == 1
    assert rows(f"SELECT COUNT(*) FROM {dataset}.t") == [(1,)]


def test_of_many_requests_with_one_job_id_one_runs(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    make("t", "n INT64")
    query = {"query": f"INSERT INTO {dataset}.t VALUES (1)", "useLegacySql": False}
    body = {"jobReference": {"jobId": f"race-{dataset}", "location": "europe-west4"}, "configuration": {"query": query}}

    def insert(_: int) -> int:
        try:
            bq._connection.api_request(method="POST", path=f"/projects/{PROJECT}/jobs", data=body)
        except Conflict:
            return 409
        return 200

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(insert, range(8)))
    assert codes == [200] + [409] * 7
    assert rows(f"SELECT COUNT(*) FROM {dataset}.t") == [(1,)]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM {d}.INFORMATION_SCHEMA.TABLES", "CREATE TABLE {d}.new (x INT64)", "SELECT 1 AS x"]
)
def test_a_query_reaches_no_dataset_of_another_location(bq: bigquery.Client, dataset: str, sql: str) -> None:
    config = bigquery.QueryJobConfig()
    if "{d}" not in sql:
        config.destination = f"{PROJECT}.{dataset}.new"
    with pytest.raises(NotFound, match=f"Dataset {PROJECT}:{dataset} was not found in location US"):
        bq.query(sql.format(d=dataset), location="US", job_config=config).result()
    assert not list(bq.list_tables(dataset))


def test_a_job_is_found_with_its_location(bq: bigquery.Client, dataset: str, make: Make) -> None:
    make("t", "n INT64")
    job = bq.query(f"SELECT * FROM {dataset}.t", job_config=bigquery.QueryJobConfig(labels={"for": "test"}))
    job.result()
    found = bq.get_job(job.job_id, location="europe-west4")
    assert (found.state, found.labels, found.user_email) == ("DONE", {"for": "test"}, "owner")
    assert found.query == job.query
    assert found.created <= found.started <= found.ended
    for location in (None, "US"):
        with pytest.raises(NotFound, match="Not found: Job"):
            bq.get_job(job.job_id, location=location)
    default = bq.query("SELECT 1")
    default.result()
    assert bq.get_job(default.job_id).location == "US", "US and EU are looked in unasked"


def test_jobs_are_listed_newest_first_by_state_and_time(bq: bigquery.Client) -> None:
    jobs = [bq.query(f"SELECT {i}") for i in range(3)]
    for job in jobs:
        job.result()
    listed = [j.job_id for j in bq.list_jobs(max_results=3)]
    assert listed == [j.job_id for j in reversed(jobs)]
    assert [j.job_id for j in bq.list_jobs(min_creation_time=jobs[-1].created, max_results=1)] == [jobs[-1].job_id]
    assert not list(bq.list_jobs(state_filter="running", min_creation_time=jobs[0].created))
    pages = bq.list_jobs(page_size=2, max_results=4).pages
    assert [len(list(page)) for page in pages] == [2, 2]


def test_a_failed_job_says_why_wherever_it_is_asked(bq: bigquery.Client, dataset: str) -> None:
    job = bq.query(f"SELECT * FROM {dataset}.none")
    for ask in (job.result, job.result, lambda: bq.get_job(job.job_id, location=job.location).result()):
        with pytest.raises(NotFound, match="Not found: Table"):
            ask()
    found = bq.get_job(job.job_id, location=job.location)
    assert (found.state, found.error_result["reason"]) == ("DONE", "notFound")
    assert found.errors == [found.error_result]


def test_a_running_job_is_seen_and_cancelled(bq: bigquery.Client) -> None:
    job = bq.query(ENDLESS)
    assert job.state == "RUNNING"
    assert not job.done()
    assert bq.cancel_job(job.job_id, location=job.location).state == "DONE"
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result()
    assert bq.get_job(job.job_id).error_result["reason"] == "stopped"


def test_a_query_that_takes_too_long_is_stopped(bq: bigquery.Client) -> None:
    job = bq.query(ENDLESS, job_config=bigquery.QueryJobConfig(job_timeout_ms=100))
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        job.result()


def test_an_answer_comes_in_time_whether_the_query_is_done_or_not(bq: bigquery.Client) -> None:
    body = {"query": ENDLESS, "useLegacySql": False, "timeoutMs": 50}
    answer = bq._connection.api_request(method="POST", path=f"/projects/{PROJECT}/queries", data=body)
    assert answer["jobComplete"] is False
    assert "rows" not in answer
    id = answer["jobReference"]["jobId"]
    poll = bq._connection.api_request(
        method="GET", path=f"/projects/{PROJECT}/queries/{id}", query_params={"timeoutMs": 0}
    )
    assert poll["jobComplete"] is False
    bq.cancel_job(id)


def test_other_requests_are_answered_while_a_job_runs(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows
) -> None:
    job = bq.query(ENDLESS)
    make("t", "n INT64")
    rows(f"INSERT INTO {dataset}.t VALUES (1)")
    assert rows(f"SELECT n FROM {dataset}.t") == [(1,)]
    assert not job.done()
    bq.cancel_job(job.job_id)


def test_a_job_can_be_forgotten(bq: bigquery.Client) -> None:
    job = bq.query("SELECT 1")
    job.result()
    bq.delete_job_metadata(job.job_id, location="US")
    with pytest.raises(NotFound):
        bq.get_job(job.job_id)


def test_concurrent_writers_lose_nothing(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    make("t", "n INT64")

    def write(n: int) -> None:
        rows(f"INSERT INTO {dataset}.t VALUES ({n})")
        bq.insert_rows_json(f"{dataset}.t", [{"n": n + 100}])
        rows(f"UPDATE {dataset}.t SET n = n + 1000 WHERE n = {n}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    found = sorted(n for (n,) in rows(f"SELECT n FROM {dataset}.t"))
    assert found == sorted([*range(100, 116), *range(1000, 1016)])


def test_readers_see_the_old_rows_or_the_new_and_never_a_mix(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(f"CREATE TABLE {dataset}.t AS SELECT 0 AS version FROM UNNEST(GENERATE_ARRAY(1, 20000))")
    stop = threading.Event()

    def replace() -> None:
        for version in range(1, 8):
            config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.t", write_disposition="WRITE_TRUNCATE")
            bq.query(f"SELECT {version} AS version FROM UNNEST(GENERATE_ARRAY(1, 20000))", job_config=config).result()
        stop.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = []
    while not stop.is_set():
        seen += rows(f"SELECT MIN(version), MAX(version), COUNT(*) FROM {dataset}.t")
    writer.join()
    assert all(low == high and count == 20000 for low, high, count in seen), seen


def test_a_table_is_copied_and_extracted(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows, bucket: storage.Bucket
) -> None:
    make("t", "day DATE", "n INT64", time_partitioning=bigquery.TimePartitioning(field="day"))
    rows(f"INSERT INTO {dataset}.t VALUES ('2024-05-01', 1), ('2024-05-02', 2)")
    bq.copy_table(f"{dataset}.t", f"{PROJECT}.{dataset}.copy").result()
    assert bq.get_table(f"{dataset}.copy").time_partitioning.field == "day"
    with pytest.raises(Conflict, match="Already Exists"):
        bq.copy_table(f"{dataset}.t", f"{PROJECT}.{dataset}.copy").result()
    append = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    bq.copy_table([f"{dataset}.t", f"{dataset}.t$20240501"], f"{PROJECT}.{dataset}.copy", job_config=append).result()
    assert rows(f"SELECT n, COUNT(*) FROM {dataset}.copy GROUP BY n ORDER BY n") == [(1, 3), (2, 2)]
    job = bq.extract_table(f"{dataset}.t", f"gs://{bucket.name}/all-*.csv")
    assert job.result().destination_uri_file_counts == [1]
    assert bucket.blob("all-000000000000.csv").download_as_text() == "day,n\n2024-05-01,1\n2024-05-02,2\n"
    config = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    bq.extract_table(f"{dataset}.t$20240502", f"gs://{bucket.name}/one.json", job_config=config).result()
    assert json.loads(bucket.blob("one.json").download_as_text()) == {"day": "2024-05-02", "n": "2"}
    snapshot = bigquery.CopyJobConfig(operation_type="SNAPSHOT")
    with pytest.raises(MethodNotImplemented, match="copy jobs of type SNAPSHOT"):
        bq.copy_table(f"{dataset}.t", f"{dataset}.snap", job_config=snapshot)


# --- rows without a job


def test_rows_are_listed_in_pages_by_column_and_partition(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows
) -> None:
    table = make("t", "day DATE", "n INT64", "s STRING", time_partitioning=bigquery.TimePartitioning(field="day"))
    rows(
        f"INSERT INTO {dataset}.t SELECT DATE_ADD('2024-05-01', INTERVAL MOD(i, 2) DAY), i, 'x' FROM UNNEST(GENERATE_ARRAY(0, 9)) AS i"
    )
    pages = bq.list_rows(table, page_size=4).pages
    assert [[r["n"] for r in page] for page in pages] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [tuple(r) for r in bq.list_rows(table, selected_fields=[table.schema[1]], start_index=7)] == [
        (7,),
        (8,),
        (9,),
    ]
    partition = bigquery.TableReference.from_string(f"{PROJECT}.{dataset}.t$20240502")
    assert [r["n"] for r in bq.list_rows(partition, selected_fields=table.schema, max_results=3)] == [1, 3, 5]


def test_streamed_rows_are_taken_whole_or_told_why_not(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows
) -> None:
    table = make("t", "id STRING REQUIRED", "n INT64", "at TIMESTAMP", "tags STRING REPEATED")
    good = {"id": "a", "n": 1, "at": dt.datetime(2024, 5, 1, tzinfo=dt.UTC), "tags": ["x"]}
    assert bq.insert_rows(table, [good]) == []
    assert rows(f"SELECT id, n, at, tags FROM {dataset}.t") == [tuple(good.values())]
    bad = [{"id": "b"}, {"id": "c", "n": "x"}, {"n": 1}, {"id": "d", "nope": 1}]
    faults = bq.insert_rows_json(table, bad)
    assert {f["index"]: f["errors"][0]["reason"] for f in faults} == {
        0: "stopped",
        1: "invalid",
        2: "invalid",
        3: "invalid",
    }
    assert [f["errors"][0]["message"] for f in faults][1:] == [
        'Could not convert value "x" to INT64. Field: n', "Required field id cannot be null", "No such field: nope.",
    ]  # fmt: skip
    assert rows(f"SELECT COUNT(*) FROM {dataset}.t") == [(1,)], "one bad row stops all"
    faults = bq.insert_rows_json(table, bad, skip_invalid_rows=True, ignore_unknown_values=True)
    assert [f["index"] for f in faults] == [1, 2]
    assert sorted(rows(f"SELECT id FROM {dataset}.t")) == [("a",), ("b",), ("d",)]


def test_a_streamed_row_with_the_same_id_is_taken_once(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows
) -> None:
    table = make("t", "n INT64")
    for _ in range(2):
        assert bq.insert_rows_json(table, [{"n": 1}, {"n": 2}], row_ids=["one", "two"]) == []
    assert rows(f"SELECT COUNT(*) FROM {dataset}.t") == [(2,)]
    with pytest.raises(NotFound, match="Not found: Table"):
        bq.insert_rows_json(f"{dataset}.none", [{"n": 1}])
    with pytest.raises(BadRequest):
        bq.insert_rows_json(table, [])


def test_timestamps_are_seconds_unless_microseconds_are_asked_for(cloud: RunningCloud, bq: bigquery.Client) -> None:
    job = bq.query("SELECT TIMESTAMP '2024-05-01 00:00:00.5' AS t")
    job.result()
    url = f"{cloud.url}/bigquery/v2/projects/{PROJECT}/queries/{job.job_id}"

    def value(options: str) -> Any:
        with urllib.request.urlopen(url + options) as answer:  # noqa: S310 - loopback
            return json.load(answer)["rows"][0]["f"][0]["v"]

    assert float(value("")) == 1714521600.5
    assert value("?formatOptions.useInt64Timestamp=true") == "1714521600500000"


def test_legacy_sql_and_sessions_are_refused(bq: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="legacy SQL"):
        bq.query("SELECT 1", job_config=bigquery.QueryJobConfig(use_legacy_sql=True)).result()
    with pytest.raises(MethodNotImplemented, match="session"):
        bq.query_and_wait("SELECT 1", job_config=bigquery.QueryJobConfig(create_session=True))
    with pytest.raises(BadRequest, match="job ID"):
        bq.query("SELECT 1", job_id="not a job id", job_retry=None)


def test_the_clock_of_a_job_moves_on(bq: bigquery.Client) -> None:
    before = time.time()
    job = bq.query("SELECT 1")
    job.result()
    assert abs(job.created.timestamp() - before) < 60


def test_streamed_json_is_json(bq: bigquery.Client, make: Callable[..., bigquery.Table], rows: Rows) -> None:
    table = make("events", "id INT64", "body JSON", "parts JSON REPEATED")
    assert bq.insert_rows(table, [{"id": 1, "body": {"a": [1, 2]}, "parts": [{"b": 1}, "x"]}]) == []
    assert bq.insert_rows_json(table, [{"id": 2, "body": '{"a": [5]}'}]) == []
    found = rows(f"SELECT id, JSON_TYPE(body), JSON_VALUE(body, '$.a[0]'), parts FROM {table} ORDER BY id")
    assert found == [(1, "object", "1", [{"b": 1}, "x"]), (2, "object", "5", [])]
    [fault] = bq.insert_rows_json(table, [{"id": 3, "body": "no json"}])
    assert fault["errors"][0]["location"] == "body"


def test_a_row_error_tells_the_column(bq: bigquery.Client, make: Callable[..., bigquery.Table]) -> None:
    table = make("orders", "id INT64 REQUIRED", "paid DATE")
    bad = [{"id": 1, "paid": "soon"}, {"paid": None}, {"id": 2, "tip": 3}]
    faults = bq.insert_rows_json(table, bad)
    assert [fault["errors"][0]["location"] for fault in faults] == ["paid", "id", "tip"]


def test_a_query_sent_again_with_its_request_id_runs_once(
    cloud: RunningCloud, make: Callable[..., bigquery.Table], rows: Rows
) -> None:
    table = make("once", "n INT64")
    path = f"{cloud.url}/bigquery/v2/projects/{PROJECT}/queries"
    body = {"query": f"INSERT INTO `{table}` VALUES (1)", "useLegacySql": False, "requestId": "9f1c"}
    first, again = (httpx.post(path, json=body).json() for _ in range(2))
    assert first["jobReference"] == again["jobReference"]
    assert rows(f"SELECT COUNT(*) FROM `{table}`") == [(1,)], "a client repeats a request whose answer it lost"


def test_selected_fields_reach_into_records(cloud: RunningCloud, bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(f"CREATE TABLE {dataset}.deep AS SELECT STRUCT(1 AS x, STRUCT('y' AS z) AS inner_) AS s, 2 AS other")
    path = f"{cloud.url}/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables/deep/data"
    found = httpx.get(path, params={"selectedFields": "s.inner_.z"}).json()["rows"]
    assert found == [{"f": [{"v": {"f": [{"v": {"f": [{"v": "y"}]}}]}}]}]
    assert httpx.get(path, params={"selectedFields": "s.nothing"}).status_code == httpx.codes.BAD_REQUEST
