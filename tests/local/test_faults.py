"""Faults by rules, as the official clients meet them."""

import io
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
from google.api_core import exceptions, retry
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, logging, run_v2, storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from local.__main__ import main
from local.fault_rules import Rule
from local.fault_verbs import FaultRefused, FaultRules
from tests.conftest import RunningCloud

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client

NUMBERS = itertools.count()
PROJECT = "heron-11"
FAST = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.01)


@pytest.fixture
def bq(cloud: RunningCloud) -> bigquery.Client:
    options = {"api_endpoint": cloud.url}
    return bigquery.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)


def path_of(bucket: storage.Bucket) -> str:
    """A pattern of all that is in one bucket, so that tests do not disturb each other."""
    return f"*/b/{bucket.name}/*"


def test_a_status_before_the_effect_prevents_it(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="status", method="objects.insert", path=path_of(bucket), status=403, message="not today"))
    with pytest.raises(exceptions.Forbidden, match="not today"):
        bucket.blob("a").upload_from_string("1")
    assert not bucket.blob("a").exists()


def test_a_status_after_the_effect_leaves_it(bucket: storage.Bucket, faults: FaultRules) -> None:
    rule = Rule(action="status", when="after", method="objects.insert", path=path_of(bucket), status=500)
    faults.add(rule)
    with pytest.raises(exceptions.InternalServerError):
        bucket.blob("a").upload_from_string("1", retry=None)
    assert bucket.blob("a").exists(), "what a client takes for a failure may have happened"


def test_an_upload_fails_by_the_name_of_its_object_whatever_its_kind(
    bucket: storage.Bucket, faults: FaultRules, http: httpx.Client
) -> None:
    place = f"*/b/{bucket.name}/o/receipts/*"
    with faults.during(Rule(action="status", method="objects.insert", path=place, status=403)):
        bucket.blob("rows/a b.json").upload_from_string("1")
        with pytest.raises(exceptions.Forbidden):
            bucket.blob("receipts/a b.json").upload_from_string("1")
        with pytest.raises(exceptions.Forbidden):
            bucket.blob("receipts/a b.json", chunk_size=1 << 18).upload_from_file(io.BytesIO(b"1" * (1 << 19)))
        media = {"uploadType": "media", "name": "receipts/a b.json"}
        assert http.post(f"/upload/storage/v1/b/{bucket.name}/o", params=media, content=b"1").status_code == 403
        assert http.put(f"/{bucket.name}/receipts/a%20b.json", content=b"1").status_code == 403
    assert [blob.name for blob in bucket.list_blobs()] == ["rows/a b.json"]


def test_a_later_chunk_of_an_upload_fails_by_the_name_of_its_object(bucket: storage.Bucket, faults: FaultRules) -> None:
    place = f"*/b/{bucket.name}/o/receipts/*"
    with faults.during(Rule(action="drop", method="objects.insert", path=place, nth=3)):
        content = bytes(range(256)) * 3000
        blob = bucket.blob("receipts/a", chunk_size=1 << 18)
        blob.upload_from_file(io.BytesIO(content), if_generation_match=0, retry=FAST)
        assert [rule["fired"] for rule in faults.list()] == [1]
    assert bucket.blob("receipts/a").download_as_bytes() == content


def test_a_retried_create_only_upload_meets_its_own_effect(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="drop", when="after", method="objects.insert", path=path_of(bucket), nth=1))
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("1", if_generation_match=0, retry=FAST)


def test_the_nth_call_alone_fails_and_the_client_tries_again(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="status", service="storage", method="POST", path=path_of(bucket), status=503, nth=2))
    for name in "abc":
        bucket.blob(name).upload_from_string(name, if_generation_match=0, retry=FAST)
    (shown,) = faults.list()
    assert (shown["seen"], shown["fired"]) == (4, 1), "three uploads, and one of them twice"
    assert [blob.name for blob in bucket.list_blobs()] == ["a", "b", "c"]


def test_times_are_counted_from_the_nth_call(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="status", method="objects.list", path=path_of(bucket), status=404, nth=2, times=2))

    def failed() -> bool:
        try:
            list(bucket.list_blobs())
        except exceptions.NotFound:
            return True
        return False

    assert [failed() for _ in range(5)] == [False, True, True, False, False]


def test_a_seed_chooses_the_same_calls_again(bucket: storage.Bucket, faults: FaultRules) -> None:
    def outcomes(seed: int) -> list[bool]:
        rule = Rule(action="status", method="objects.get", path=path_of(bucket), status=400, chance=0.5, seed=seed)
        with faults.during(rule):
            return [_refused(lambda: bucket.blob("x").reload()) for _ in range(30)]

    assert outcomes(3) == outcomes(3)
    assert outcomes(3) != outcomes(4)
    assert 5 < sum(outcomes(5)) < 25


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except exceptions.BadRequest:
        return True
    except exceptions.NotFound:
        return False
    raise AssertionError("there is no such object")


def test_a_delay_outlasts_the_clients_patience(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="delay", delay_seconds=30, method="objects.list", path=path_of(bucket), nth=1))
    with pytest.raises(requests.exceptions.ReadTimeout):
        list(bucket.list_blobs(timeout=0.2, retry=None))
    list(bucket.list_blobs())


def test_a_dropped_connection_before_the_effect(bucket: storage.Bucket, faults: FaultRules) -> None:
    faults.add(Rule(action="drop", method="objects.insert", path=path_of(bucket)))
    with pytest.raises(requests.exceptions.ConnectionError):
        bucket.blob("a").upload_from_string("1", retry=None)
    assert not bucket.blob("a").exists()


def test_a_truncated_download_is_noticed(bucket: storage.Bucket, faults: FaultRules) -> None:
    bucket.blob("a").upload_from_string("x" * 3_000_000)
    faults.add(Rule(action="truncate", method="objects.get", path="/download/" + path_of(bucket)))
    with pytest.raises(requests.exceptions.RequestException):
        bucket.blob("a").download_as_bytes(retry=None)


def test_a_corrupted_download_is_noticed_by_its_checksum(bucket: storage.Bucket, faults: FaultRules) -> None:
    bucket.blob("a").upload_from_string("x" * 3_000_000)
    faults.add(Rule(action="corrupt", method="objects.get", path="/download/" + path_of(bucket)))
    with pytest.raises(DataCorruption):
        bucket.blob("a").download_as_bytes(retry=None)


@pytest.mark.parametrize("action", ["corrupt", "truncate"])
def test_an_upload_that_was_spoilt_on_its_way_is_refused(
    bucket: storage.Bucket, faults: FaultRules, action: str
) -> None:
    faults.add(Rule(action=action, when="before", method="objects.insert", path=path_of(bucket)))
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("a").upload_from_string("y" * 1000, checksum="md5")
    assert not bucket.blob("a").exists()


def test_a_call_within_a_batch_fails_alone(client: storage.Client, bucket: storage.Bucket, faults: FaultRules) -> None:
    for name in ("a", "b"):
        bucket.blob(name).upload_from_string("1")
    faults.add(Rule(action="status", method="objects.delete", path=f"*/b/{bucket.name}/o/a", status=403))

    def delete_both() -> None:
        with client.batch():
            bucket.blob("a").delete()
            bucket.blob("b").delete()

    with pytest.raises(exceptions.Forbidden):
        delete_both()
    assert [blob.name for blob in bucket.list_blobs()] == ["a"]


def test_bigquery_tries_a_rate_limit_again(bq: bigquery.Client, faults: FaultRules) -> None:
    rule = Rule(action="status", service="bigquery", path=f"*/projects/{PROJECT}/*", status=429, nth=1)
    faults.add(rule)
    assert [tuple(row) for row in bq.query_and_wait("SELECT 7")] == [(7,)]
    assert faults.list()[0]["fired"] == 1


def test_bigquery_shows_googles_error(bq: bigquery.Client, faults: FaultRules) -> None:
    where = f"*/projects/{PROJECT}/*"
    faults.add(Rule(action="status", path=where, status=400, reason="resourcesExceeded", message="too many dams"))
    with pytest.raises(exceptions.BadRequest) as caught:
        bq.query_and_wait("SELECT 7")
    assert caught.value.errors[0]["reason"] == "resourcesExceeded"
    assert "too many dams" in str(caught.value)


def test_a_load_whose_answer_is_lost_happens_once(bq: bigquery.Client, faults: FaultRules) -> None:
    table = bq.create_dataset(f"herons_{next(NUMBERS)}").table("t")
    faults.add(Rule(action="drop", when="after", method="bigquery.jobs.insert", nth=1))
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("n", "INT64")])
    with pytest.raises(exceptions.Conflict):  # the client tries again with the same job id
        bq.load_table_from_json([{"n": 1}], table, job_config=config, num_retries=2)
    (job,) = [job for job in bq.list_jobs() if isinstance(job, bigquery.LoadJob)]
    job.result()
    assert bq.get_table(table).num_rows == 1


def test_logging_meets_faults(cloud: RunningCloud, faults: FaultRules) -> None:
    options = {"api_endpoint": cloud.url}
    credentials = AnonymousCredentials()
    logs = logging.Client(project=PROJECT, credentials=credentials, client_options=options, _use_grpc=False)
    faults.add(Rule(action="status", method="logging.entries.write", status=503))
    with pytest.raises(exceptions.ServiceUnavailable):
        logs.logger("l", resource=logging.Resource("global", {})).log_text("hello")


def test_cloud_run_meets_faults(cloud: RunningCloud, faults: FaultRules) -> None:
    options: Any = {"api_endpoint": cloud.url}
    jobs = run_v2.JobsClient(transport="rest", credentials=AnonymousCredentials(), client_options=options)
    parent = f"projects/{PROJECT}/locations/europe-west6"
    rule = Rule(action="status", service="run", method="jobs.list", status=504)
    with faults.during(rule), pytest.raises(exceptions.GatewayTimeout):
        list(jobs.list_jobs(parent=parent, retry=None))
    faults.add(Rule(action="status", service="run", method="jobs.list", status=503, nth=1))
    again = retry.Retry(predicate=retry.if_exception_type(exceptions.ServiceUnavailable), initial=0.01)
    assert not list(jobs.list_jobs(parent=parent, retry=again))


def test_a_rule_that_can_never_fire_is_refused(faults: FaultRules) -> None:
    with pytest.raises(FaultRefused, match=r"no method 'objects.put' of service '\*'.*storage.objects.insert"):
        faults.add(Rule(action="drop", method="objects.put"))
    with pytest.raises(FaultRefused, match="service 'pubsub'"):
        faults.add(Rule(action="drop", service="pubsub"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"action": "explode"}, "'explode' is not one of status, delay"),
        ({"action": "status", "status": 200}, "200 is no error"),
        ({"action": "delay"}, "above 0 seconds"),
        ({"action": "drop", "chance": 1.5}, "between 0 and 1"),
        ({"action": "drop", "when": "during"}, "'during' is neither"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rule(**wrong)


def test_the_command_line_sets_shows_and_clears(
    cloud: RunningCloud, bucket: storage.Bucket, faults: FaultRules, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> str:
        assert main(["fault", *arguments, "--folder", str(cloud.folder)]) == 0
        return capsys.readouterr().out

    where = ["--service", "storage", "--method", "objects.insert", "--path", path_of(bucket)]
    id = command("add", *where, "--status", "403", "--message", "by hand", "--nth", "1").strip()
    with pytest.raises(exceptions.Forbidden, match="by hand"):
        bucket.blob("a").upload_from_string("1")
    bucket.blob("a").upload_from_string("1")
    shown = command("list")
    assert "status 403" in shown
    assert "before nth 1" in shown
    assert command("clear", "--id", id) == "1\n"
    assert not faults.list()


def test_the_command_line_says_what_is_wrong(cloud: RunningCloud, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--folder", str(cloud.folder)]
    assert main(["fault", "add", *folder]) == 2
    assert "action '' is not one of status" in capsys.readouterr().err
    assert main(["fault", "clear", "--id", "99", *folder]) == 2
    assert "no fault '99'" in capsys.readouterr().err


def test_a_recorded_body_is_answered_as_it_is(bucket: storage.Bucket, faults: FaultRules) -> None:
    body = '{"error": {"code": 403, "message": "closed on Mondays", "errors": [{"reason": "monday"}]}}'
    with faults.during(Rule(action="status", path=path_of(bucket), status=403, body=body)):
        with pytest.raises(exceptions.Forbidden, match="closed on Mondays") as raised:
            list(bucket.list_blobs())
        assert raised.value.errors == [{"reason": "monday"}]
    with pytest.raises(ValueError, match="holds its own reason"):
        Rule(action="status", message="and twice", body=body)


def test_a_job_can_stay_pending_for_whoever_asks(bq: bigquery.Client, faults: FaultRules) -> None:
    with faults.during(Rule(action="pend", method="jobs.get")):
        job = bq.query("SELECT 1", job_id=f"slow-{next(NUMBERS)}", job_retry=None)
        assert bq.get_job(job.job_id, location=job.location).state == "PENDING"
    assert next(iter(job.result()))[0] == 1
