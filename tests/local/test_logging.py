"""Cloud Logging of the local cloud, through Google's own client where it offers the call, else over HTTP."""

import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as cloud_logging
from hypothesis import given
from hypothesis import strategies as st

from local import log_filter
from local.logging import Logs
from local.wire import CloudError
from tests.conftest import RunningCloud

RESOURCE = {
    "type": "cloud_run_job",
    "labels": {"job_name": "score-daily", "location": "europe-west9", "project_id": "acme"},
}
ENTRY = {
    "logName": "projects/acme/logs/run.googleapis.com%2Fstdout",
    "resource": RESOURCE,
    "timestamp": "2024-05-01T07:30:00.5Z",
    "insertId": "a1",
    "severity": "WARNING",
    "labels": {"run.googleapis.com/execution_name": "score-daily-x7k2p", "tier": "gold"},
    "jsonPayload": {
        "message": "Rows Are Late",
        "rows": 17,
        "ok": False,
        "tags": ["slow", "night"],
        "table": {"name": "churn", "dots.in": "key"},
        "empty": None,
    },
}


@pytest.fixture
def project() -> str:
    return f"p-{uuid.uuid4().hex[:8]}"


def client_of(cloud: RunningCloud, project: str) -> cloud_logging.Client:
    options = {"api_endpoint": cloud.env["LOGGING_ENDPOINT"]}
    return cloud_logging.Client(
        project=project, credentials=AnonymousCredentials(), client_options=options, _use_grpc=False
    )


@pytest.fixture(scope="module", autouse=True)
def _introduction(cloud: RunningCloud) -> None:
    """Let the client have its say: beside the first entry of a process it writes one about itself."""
    logger_of(client_of(cloud, "introduction"), "first").log_text("hello")


@pytest.fixture
def client(cloud: RunningCloud, project: str) -> Iterator[cloud_logging.Client]:
    client = client_of(cloud, project)
    yield client
    client.close()


def logger_of(client: cloud_logging.Client, name: str) -> cloud_logging.Logger:
    """With a resource: without one the client asks a host called metadata.google.internal where it runs."""
    return cloud_logging.Logger(name, client, resource=cloud_logging.Resource("global", {"project_id": client.project}))


def post(cloud: RunningCloud, method: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{cloud.env['LOGGING_ENDPOINT']}/v2/entries:{method}", json=body)


def matches(text: str) -> bool:
    return log_filter.parse(text).matches(ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  -- nothing but a comment",
        'resource.type="cloud_run_job"',
        "resource.type=cloud_run_job resource.labels.job_name=score-daily",
        'resource.type = "x" OR resource.labels.location = "europe-west9"',
        "severity>=WARNING severity<ERROR",
        "severity>=400 AND severity!=500",
        'severity=("ERROR" OR "warning")',
        'timestamp >= "2024-05-01T07:30:00Z" AND timestamp < "2024-05-01T09:30:01+02:00"',
        'timestamp>"2024-05-01"',
        'timestamp = "2024-05-01T07:30:00.500000000Z"',
        'labels."run.googleapis.com/execution_name" = "score-daily-x7k2p"',
        "labels.tier:*",
        'logName = "projects/acme/logs/run.googleapis.com%2Fstdout"',
        "log_name:stdout",
        'log_id("run.googleapis.com/stdout")',
        'jsonPayload.message = "rows are late"',
        "jsonPayload.message:late",
        'jsonPayload.message =~ "^Rows .*e$"',
        r'jsonPayload.message =~ "\s[A-Z]re"',
        r'jsonPayload.message = "\u0052ows\x20are late"',
        r'jsonPayload.message =~ "^\x52ows\b"',
        'jsonPayload.message !~ "rows"',
        "jsonPayload.rows > 16.5 jsonPayload.rows <= 17 jsonPayload.rows != -17",
        "jsonPayload.ok = false",
        "jsonPayload.tags = night",
        'jsonPayload.tags:("slow" AND "night")',
        'jsonPayload.table."dots.in" = key',
        "jsonPayload.table:churn jsonPayload:table",
        '"late"',
        "churn -textPayload:churn",
        "NOT jsonPayload.absent = 1",
        "NOT (severity<WARNING OR textPayload:*)",
        "severity=ERROR OR severity=WARNING AND jsonPayload.rows=17",
        "insertId='a1'",
    ],
)
def test_a_filter_finds_the_entry(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "severity>WARNING",
        "jsonPayload.absent = 1",
        "jsonPayload.absent != 1",
        'jsonPayload.absent !~ "x"',
        "jsonPayload.empty:*",
        "jsonPayload.tags != night",
        'jsonPayload.message =~ "rows"',
        "jsonPayload.rows = seventeen",
        "resource.labels.job_name=score",
        "severity=WARNING OR severity=ERROR AND jsonPayload.rows=18",  # OR binds tighter than AND
        "severity=WARNING severity=ERROR",
        'timestamp > "2024-05-01T07:30:00.5Z"',
        "resource.type=(a OR b)",
        "textPayload:late",
        "nowhere",
    ],
)
def test_a_filter_passes_over_the_entry(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("severity>=", "line 1, column 11"),
        ("severity>=LOUD", "column 11, token 'LOUD'"),
        ("(severity=INFO", "column 15, token 'end of filter'"),
        ("severity=INFO)", "column 14, token ')'"),
        ("severity=INFO\nAND OR textPayload:x", "line 2, column 5, token 'OR'"),
        ("jsonPayloads.x=1", "column 1, token 'jsonPayloads.x'"),
        ('timestamp>"yesterday"', "column 11"),
        ('textPayload=~"("', "column 14"),
        ('textPayload="open', "column 13"),
        ("jsonPayload.tags[0]=night", "a path has no '[' outside quotes; at line 1, column 1"),
        ("jsonPayload..rows=17", "a path has no '..' outside quotes"),
        ("sample(insertId, 0.01)", "does not support the function sample() at line 1, column 1"),
        ("(" * 60, "column 51"),
        ('httpRequest.latency>"1s"', "does not compare durations"),
    ],
)
def test_an_unreadable_filter_names_the_place(text: str, place: str) -> None:
    with pytest.raises(CloudError) as failure:
        log_filter.parse(text)
    assert failure.value.status == 400
    assert place in failure.value.message


@given(st.text(alphabet='abc ()"=<>!:~-.ANDORT\n\\'))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(CloudError):  # any other exception fails the test
        log_filter.parse(text).matches(ENTRY)


def test_what_the_client_writes_it_reads_back(client: cloud_logging.Client) -> None:
    logger = logger_of(client, "ledger")
    logger.log_text("opened", severity="NOTICE", labels={"desk": "7"}, timestamp=datetime(2023, 1, 2, tzinfo=UTC))
    logger.log_struct({"message": "closed", "sum": 3}, severity="ERROR", timestamp=datetime(2023, 1, 3, tzinfo=UTC))
    first, second = client.list_entries(filter_='timestamp>="2023-01-01"')
    assert (first.payload, first.severity, first.labels) == ("opened", "NOTICE", {"desk": "7"})
    assert (second.payload, second.severity) == ({"message": "closed", "sum": 3}, "ERROR")
    assert (first.log_name, first.resource.type) == (f"projects/{client.project}/logs/ledger", "global")
    assert first.timestamp == datetime(2023, 1, 2, tzinfo=UTC)
    assert first.insert_id
    assert first.received_timestamp


def test_the_client_adds_a_time_to_filters_and_is_understood(client: cloud_logging.Client) -> None:
    logger = client.logger("fresh", resource=cloud_logging.Resource("global", {}))
    logger.log_text("late", severity="ERROR")
    found = list(client.list_entries(filter_="severity>=ERROR"))  # without a timestamp the client adds one
    assert [entry.payload for entry in found] == ["late"]


def test_a_batch_keeps_its_order_within_one_instant(client: cloud_logging.Client) -> None:
    with logger_of(client, "batch").batch() as batch:
        for number in range(20):
            batch.log_text(str(number), timestamp=datetime(2023, 1, 2, tzinfo=UTC))
    assert [e.payload for e in client.list_entries(filter_='timestamp>="2023-01-01"')] == [str(n) for n in range(20)]


def test_pages_meet_without_gap_or_repetition(client: cloud_logging.Client) -> None:
    logger = logger_of(client, "pages")
    for number in range(7):
        logger.log_text(str(number), timestamp=datetime(2023, 1, 2, 3, number, tzinfo=UTC))
    since = 'timestamp>="2023-01-01"'
    newest = client.list_entries(filter_=since, order_by=cloud_logging.DESCENDING, page_size=3)
    assert [e.payload for e in newest] == ["6", "5", "4", "3", "2", "1", "0"]
    assert [e.payload for e in client.list_entries(filter_=since, page_size=2, max_results=3)] == ["0", "1", "2"]


def test_a_page_token_continues_only_its_own_request(cloud: RunningCloud, project: str) -> None:
    entries = [{"textPayload": text, "resource": {"type": "global"}} for text in "abc"]
    post(cloud, "write", {"entries": entries, "logName": f"projects/{project}/logs/x"})
    request = {"resourceNames": [f"projects/{project}"], "pageSize": 2}
    page = post(cloud, "list", request).json()
    rest = post(cloud, "list", request | {"pageToken": page["nextPageToken"]}).json()
    assert [e["textPayload"] for e in page["entries"] + rest["entries"]] == ["a", "b", "c"]
    assert "nextPageToken" not in rest
    for changed in ({"filter": "severity=INFO", "pageToken": page["nextPageToken"]}, {"pageToken": "made-up"}):
        assert post(cloud, "list", request | changed).status_code == 400


def test_an_entry_sent_twice_is_kept_once(cloud: RunningCloud, project: str) -> None:
    entry = ENTRY | {"logName": f"projects/{project}/logs/twice"}
    for _ in range(2):
        assert post(cloud, "write", {"entries": [entry]}).status_code == 200
    assert len(post(cloud, "list", {"resourceNames": [f"projects/{project}"]}).json()["entries"]) == 1


def test_one_entry_in_two_logs_is_found_in_each_and_shown_once_in_both(cloud: RunningCloud, project: str) -> None:
    for name in ("one", "two"):
        post(cloud, "write", {"entries": [ENTRY | {"logName": f"projects/{project}/logs/{name}"}]})
    for filter, found in (('log_id("one")', 1), ('log_id("two")', 1), ("", 1)):
        request = {"resourceNames": [f"projects/{project}"], "filter": filter}
        assert len(post(cloud, "list", request).json()["entries"]) == found


def test_one_entry_in_two_projects_is_two_also_over_pages(cloud: RunningCloud, project: str) -> None:
    parents = [f"projects/{project}", f"projects/{project}-b"]
    for parent in parents:
        post(cloud, "write", {"entries": [ENTRY | {"logName": f"{parent}/logs/x"}]})
    request = {"resourceNames": parents, "pageSize": 1}
    first = post(cloud, "list", request).json()
    second = post(cloud, "list", request | {"pageToken": first["nextPageToken"]}).json()
    names = [entry["logName"] for entry in first["entries"] + second["entries"]]
    assert names == [f"{parent}/logs/x" for parent in parents]
    assert "nextPageToken" not in second


def test_logs_are_listed_and_deleted(client: cloud_logging.Client, cloud: RunningCloud) -> None:
    for name in ("one", "two"):
        logger_of(client, name).log_text("hello")
    base = f"{cloud.env['LOGGING_ENDPOINT']}/v2/projects/{client.project}/logs"
    assert httpx.get(base).json() == {"logNames": [f"projects/{client.project}/logs/{n}" for n in ("one", "two")]}
    logger_of(client, "one").delete()
    assert httpx.get(base).json() == {"logNames": [f"projects/{client.project}/logs/two"]}
    assert httpx.delete(f"{base}/one").status_code == 404


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"textPayload": "x"}, "resource.type is missing"),
        ({"resource": RESOURCE, "textPayload": "x", "jsonPayload": {}}, "one payload"),
        ({"resource": RESOURCE, "textPayload": 7}, "textPayload must be a string"),
        ({"resource": RESOURCE, "severity": "LOUD"}, "'LOUD' is no severity"),
        ({"resource": RESOURCE, "timestamp": "noon"}, "'noon' is not a time"),
        ({"resource": RESOURCE, "labels": {"a": 1}}, "Labels must map texts to texts"),
        ({"resource": RESOURCE, "text": "x"}, "Unknown field 'text'"),
        ({"resource": RESOURCE, "logName": "stdout"}, "Log name 'stdout'"),
        ({"resource": RESOURCE, "textPayload": "x" * 300_000}, "exceeds maximum size"),
    ],
)
def test_a_bad_entry_is_refused_by_name_and_nothing_is_kept(
    cloud: RunningCloud, project: str, entry: dict[str, Any], fault: str
) -> None:
    good = {"resource": RESOURCE, "textPayload": "good"}
    answer = post(cloud, "write", {"logName": f"projects/{project}/logs/x", "entries": [good, entry]})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("entries[1]: ")
    assert fault in answer.json()["error"]["message"]
    assert post(cloud, "list", {"resourceNames": [f"projects/{project}"]}).json() == {"entries": []}


def test_partial_success_keeps_the_good_entries_and_a_dry_run_none(cloud: RunningCloud, project: str) -> None:
    good, bad = {"resource": RESOURCE, "textPayload": "good"}, {"textPayload": "bad"}
    body = {"logName": f"projects/{project}/logs/x", "entries": [good, bad]}
    assert post(cloud, "write", body | {"entries": [good], "dryRun": True}).status_code == 200
    assert post(cloud, "write", body | {"partialSuccess": True}).status_code == 400
    entries = post(cloud, "list", {"resourceNames": [f"projects/{project}"]}).json()["entries"]
    assert [e["textPayload"] for e in entries] == ["good"]


def test_an_impossible_list_request_is_refused(cloud: RunningCloud, project: str) -> None:
    request: dict[str, Any] = {"resourceNames": [f"projects/{project}"]}
    changes: list[dict[str, Any]] = [
        {"resourceNames": []},
        {"resourceNames": ["acme"]},
        {"orderBy": "severity"},
        {"pageSize": -1},
        {"view": "all"},
    ]
    for change in changes:
        assert post(cloud, "list", request | change).status_code == 400, change


def test_entries_outlive_a_server_that_was_not_closed(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.write([{"textPayload": "kept", "resource": RESOURCE}], {"logName": "projects/harbour/logs/x"})
    again = Logs(tmp_path)  # the first one was never closed
    assert [e["textPayload"] for e in again.find("harbour", "kept")] == ["kept"]
    assert not list(again.find("another"))
