"""Inputs from SQL, from Cloud Storage and from the folder: what the model gets, and what is refused."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from service import inputs
from service.errors import BadData, BadUsage
from service.run import Run
from tests.service.deployments import Deployment

DAY = date(2024, 5, 1)


def run_with(deployment: Deployment, tmp_path: Path, given: dict[str, Any], run_date: date = DAY) -> Run:
    """A training whose input is described by `given`."""
    path = deployment.folder / "model.yaml"
    document = json.loads(path.read_text())
    document["training"]["input"] = given
    path.write_text(json.dumps(document))
    return deployment.run(tmp_path / "work", "training", run_date)


def test_sql_becomes_a_csv_file_of_the_run_date(deployment: Deployment, tmp_path: Path) -> None:
    run = run_with(deployment, tmp_path, {"sql": "events.sql"})
    made = inputs.prepare(run)
    header, *lines = made.path.read_text().splitlines()
    assert (made.path.name, header) == ("data.csv", f"{deployment.key},amount")
    assert sorted(lines)[:2] == ["000,0.0", "000,1.0"]
    assert run.facts.input_rows == len(lines) == 30
    staged = [
        blob.name for blob in deployment.clients.runs.list_blobs(prefix=f"input/{run.id}/{run.settings.execution}/")
    ]
    assert staged
    assert all(name.endswith(".parquet") for name in staged)


def test_sql_runs_under_a_job_of_its_attempt_with_labels_and_a_limit(deployment: Deployment, tmp_path: Path) -> None:
    run = run_with(deployment, tmp_path, {"sql": "events.sql", "format": "parquet"})
    assert inputs.prepare(run).path.suffix == ".parquet"
    (found,) = (job for job in deployment.clients.bigquery.list_jobs() if job.job_id.startswith(f"{run.id}-"))
    job = deployment.clients.bigquery.get_job(found.job_id)
    assert isinstance(job, bigquery.QueryJob)
    assert (job.labels, job.maximum_bytes_billed) == (run.labels, 10_000_000_000)
    assert [p.to_api_repr()["parameterValue"] for p in job.query_parameters] == [{"value": "2024-05-01"}]


def test_a_repeated_request_finds_the_same_export(deployment: Deployment, tmp_path: Path) -> None:
    first = inputs.prepare(run_with(deployment, tmp_path, {"sql": "events.sql"}))
    again = deployment.run(
        tmp_path / "again", "training", DAY, CLOUD_RUN_EXECUTION="x", IMAGE_DIGEST="i", CODE_COMMIT="c"
    )
    third = deployment.run(
        tmp_path / "third", "training", DAY, CLOUD_RUN_EXECUTION="x", IMAGE_DIGEST="i", CODE_COMMIT="c"
    )
    assert inputs.prepare(again).path.read_text() == inputs.prepare(third).path.read_text() == first.path.read_text()


def test_an_empty_input_is_bad_data(deployment: Deployment, tmp_path: Path) -> None:
    run = run_with(deployment, tmp_path, {"sql": "events.sql"}, date(2024, 4, 30))
    with pytest.raises(BadData) as raised:
        inputs.prepare(run)
    said = (
        f"The input of '{run.spec.name}' for 2024-04-30 is empty. Check 'events.sql' and the tables it reads (source_"
    )
    assert said in str(raised.value)
    assert run.facts.input_rows == 0


@pytest.mark.parametrize(("days", "fresh"), [(1, True), (40, True)])
def test_an_input_that_is_new_enough_passes(deployment: Deployment, tmp_path: Path, days: int, fresh: bool) -> None:
    (deployment.folder / "d.csv").write_text("id,seen\na,2024-04-30\nb,\n")
    given = {"file": "d.csv", "fresh_within": {"column": "seen", "days": days}}
    assert inputs.prepare(run_with(deployment, tmp_path, given)).path.read_text() == "id,seen\na,2024-04-30\nb,\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,seen\na,2024-04-29 23:00:00\n", "the newest 'seen' is '2024-04-29', before 2024-04-30"),
        ("id,seen\na,\n", "the newest 'seen' is 'None'"),
    ],
)
def test_a_stale_input_is_bad_data(deployment: Deployment, tmp_path: Path, text: str, said: str) -> None:
    (deployment.folder / "d.csv").write_text(text)
    run = run_with(deployment, tmp_path, {"file": "d.csv", "fresh_within": {"column": "seen", "days": 1}})
    with pytest.raises(BadData) as raised:
        inputs.prepare(run)
    assert said in str(raised.value)


def test_the_column_that_tells_the_age_must_be_there(deployment: Deployment, tmp_path: Path) -> None:
    (deployment.folder / "d.csv").write_text("id\na\n")
    run = run_with(deployment, tmp_path, {"file": "d.csv", "fresh_within": {"column": "seen", "days": 1}})
    with pytest.raises(BadData, match=r"has no column 'seen', by which its age is told\. It has 'id'"):
        inputs.prepare(run)


def test_a_file_of_the_folder_is_given_byte_by_byte(deployment: Deployment, tmp_path: Path) -> None:
    text = '\ufeffid,note\r\n1,"a ""b"""\r\n'
    (deployment.folder / "d.csv").write_bytes(text.encode())
    assert inputs.prepare(run_with(deployment, tmp_path, {"file": "d.csv"})).path.read_bytes() == text.encode()


def test_an_object_is_found_by_run_date_and_converted(deployment: Deployment, tmp_path: Path) -> None:
    name = deployment.clients.models.name
    deployment.clients.models.blob("days/2024-05-01.csv").upload_from_string("id,x\n007,1\n")
    run = run_with(deployment, tmp_path, {"uri": f"gs://{name}/days/${{run_date}}.csv", "format": "parquet"})
    assert inputs.prepare(run).path.read_bytes()[:4] == b"PAR1"
    other = run_with(deployment, tmp_path / "..", {"uri": f"gs://{name}/days/absent.csv"})
    with pytest.raises(BadData, match=f"The input 'gs://{name}/days/absent.csv' .* does not exist"):
        inputs.prepare(other)


def test_a_file_is_named_by_what_it_holds(deployment: Deployment, tmp_path: Path) -> None:
    (deployment.folder / "d.txt").write_text("id\n1\n")
    with pytest.raises(BadUsage, match=r"'d\.txt' is neither \.csv nor \.parquet"):
        inputs.prepare(run_with(deployment, tmp_path, {"file": "d.txt"}))


@pytest.mark.parametrize("sql", ["SELECT nonsense FROM nowhere.at_all", "SELEC 1"])
def test_sql_that_bigquery_refuses_is_a_matter_of_usage(deployment: Deployment, tmp_path: Path, sql: str) -> None:
    (deployment.folder / "events.sql").write_text(sql)
    with pytest.raises(BadUsage, match=r"The SQL of 'events\.sql' failed: .* [cC]orrect the SQL"):
        inputs.prepare(run_with(deployment, tmp_path, {"sql": "events.sql"}))
