"""How requests find their method, and what errors look like to a client."""

import httpx
import pytest

from local.wire import Answer, Call, Method
from tests.conftest import RunningCloud


def answered(_: Call) -> Answer:
    return Answer(body={})


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/b/{bucket}/o/{object}", "/b/x/o/a%2Fb", {"bucket": "x", "object": "a%2Fb"}),
        ("/v2/{job}:run", "/v2/j:run", {"job": "j"}),
        ("/{bucket}/{object*}", "/x/a/b/c", {"bucket": "x", "object": "a/b/c"}),
        ("/t/{table}", "/t/name$20240101", {"table": "name$20240101"}),
    ],
)
def test_a_template_takes_its_parameters_from_the_encoded_path(
    template: str, path: str, params: dict[str, str]
) -> None:
    match = Method("m", "GET", template, answered).pattern().fullmatch(path)
    assert match
    assert match.groupdict() == params


@pytest.mark.parametrize(("template", "path"), [("/b/{bucket}", "/b/x/y"), ("/b/{bucket}", "/b/"), ("/a.b", "/axb")])
def test_a_template_matches_nothing_else(template: str, path: str) -> None:
    assert Method("m", "GET", template, answered).pattern().fullmatch(path) is None


def test_an_unsupported_call_is_501_and_names_method_and_path(cloud: RunningCloud) -> None:
    answer = httpx.patch(f"{cloud.url}/bigquery/v2/projects/p/models/m")
    assert answer.status_code == 501
    assert "PATCH /bigquery/v2/projects/p/models/m" in answer.json()["error"]["message"]


def test_the_paths_of_clients_that_leave_out_the_service_find_their_methods(cloud: RunningCloud) -> None:
    assert httpx.post(f"{cloud.url}/b?project=p", json={"name": "without-service"}).status_code == 200
    assert httpx.get(f"{cloud.url}/b/without-service/o?force=true").json()["kind"] == "storage#objects"
    assert httpx.delete(f"{cloud.url}/b/without-service/o/none?force=true&versions=true").status_code == 404
    assert httpx.get(f"{cloud.url}/storage/v1/b/without-service").json()["name"] == "without-service"
    answer = httpx.post(f"{cloud.url}/projects/p/queries", json={"query": "SELECT 1", "useLegacySql": False})
    assert answer.json()["rows"] == [{"f": [{"v": "1"}]}]


def test_numbers_sent_as_parameters_are_answered_as_texts(cloud: RunningCloud) -> None:
    sent = {"name": "n", "parameterType": {"type": "INT64"}, "parameterValue": {"value": 3}}
    query = {"query": "SELECT @n", "useLegacySql": False, "parameterMode": "NAMED", "queryParameters": [sent]}
    jobs = f"{cloud.url}/bigquery/v2/projects/p/jobs"
    made = httpx.post(jobs, json={"configuration": {"query": query}}).json()
    assert made["configuration"]["query"]["queryParameters"][0]["parameterValue"] == {"value": "3"}
    rows = httpx.get(f"{cloud.url}/bigquery/v2/projects/p/queries/{made['jobReference']['jobId']}?location=US").json()
    assert rows["rows"] == [{"f": [{"v": "3"}]}]


def test_a_flag_is_read_as_python_writes_it_too(cloud: RunningCloud) -> None:
    datasets = f"{cloud.url}/bigquery/v2/projects/p/datasets"
    httpx.post(datasets, json={"datasetReference": {"datasetId": "flagged"}})
    httpx.post(f"{datasets}/flagged/tables", json={"tableReference": {"tableId": "t"}})
    assert httpx.delete(f"{datasets}/flagged?deleteContents=False").status_code == 400
    assert httpx.delete(f"{datasets}/flagged?deleteContents=True").status_code == 204


def test_a_text_where_a_message_belongs_is_400_with_its_place(cloud: RunningCloud) -> None:
    load = {"schema": "a:integer", "destinationTable": {"datasetId": "d", "tableId": "t"}, "sourceUris": ["gs://b/f"]}
    answer = httpx.post(f"{cloud.url}/bigquery/v2/projects/p/jobs", json={"configuration": {"load": load}})
    assert answer.status_code == 400
    assert "job.configuration.load.schema" in answer.json()["error"]["message"]


def test_a_body_that_is_not_json_is_refused_with_its_place(cloud: RunningCloud) -> None:
    answer = httpx.post(f"{cloud.url}/storage/v1/b?project=p", content=b'{"name": ')
    assert answer.status_code == 400
    assert "line 1" in answer.json()["error"]["message"]


def test_without_a_token_the_jobs_door_is_401_with_googles_error_body(cloud: RunningCloud) -> None:
    answer = httpx.get(f"{jobs_door(cloud)}/storage/v1/b?project=p")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_a_forged_token_is_401(cloud: RunningCloud) -> None:
    headers = {"Authorization": "Bearer local.someone@p.iam.gserviceaccount.com.00000000000000000000000000000000"}
    assert httpx.get(f"{jobs_door(cloud)}/storage/v1/b?project=p", headers=headers).status_code == 401


def jobs_door(cloud: RunningCloud) -> str:
    return str(cloud.state()["airflow_env"]["STORAGE_ENDPOINT"])
