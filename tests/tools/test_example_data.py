"""The example's source table, loaded by the command and read by the example's own SQL."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Protocol

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "service" / "models" / "customer_value"
PROJECT = "shop-project"


class Cloud(Protocol):
    """What the fixture `cloud` gives."""

    env: dict[str, str]


def run(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, as make runs it."""
    command = [sys.executable, "tools/example_data.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.fixture
def client(cloud: Cloud) -> bigquery.Client:
    """The official client at the local cloud, with an empty dataset `example_shop`."""
    options = {"api_endpoint": cloud.env["BIGQUERY_ENDPOINT"]}
    client = bigquery.Client(PROJECT, credentials=AnonymousCredentials(), client_options=options)
    dataset = bigquery.Dataset(f"{PROJECT}.example_shop")
    dataset.location = "europe-west3"
    client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
    client.create_dataset(dataset)
    return client


def rows_of(client: bigquery.Client, sql: str, run_date: date) -> list[tuple[str, date]]:
    """What the example's SQL reads for a run date."""
    parameters = [bigquery.ScalarQueryParameter("run_date", "DATE", run_date)]
    job = client.query(sql, job_config=bigquery.QueryJobConfig(query_parameters=parameters), location="europe-west3")
    return [(row.customer_id, row.purchased_on) for row in job.result()]


def test_the_table_holds_every_purchase_however_often_it_is_loaded(cloud: Cloud, client: bigquery.Client) -> None:
    for _ in range(2):
        result = run(cloud.env, "--project", PROJECT)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"6919 rows loaded into {PROJECT}.example_shop.transactions\n"
    table = client.get_table(f"{PROJECT}.example_shop.transactions")
    assert table.num_rows == 6919
    assert [(f.name, f.field_type, f.mode) for f in table.schema] == [
        ("customer_id", "STRING", "REQUIRED"),
        ("purchased_on", "DATE", "REQUIRED"),
        ("units", "INTEGER", "NULLABLE"),
        ("amount", "NUMERIC", "NULLABLE"),
    ]


def test_the_examples_sql_reads_what_was_known_before_the_run_date(cloud: Cloud, client: bigquery.Client) -> None:
    assert run(cloud.env, "--project", PROJECT).returncode == 0
    for file in ("training.sql", "application.sql"):
        rows = rows_of(client, (MODEL / "sql" / file).read_text(), date(1997, 10, 1))
        assert len({customer for customer, _ in rows}) == 2357, file
        assert max(day for _, day in rows) == date(1997, 9, 30), file
        assert rows == sorted(rows), file
        assert rows[0] == ("0001", date(1997, 1, 1)), "leading zeros stay"


def test_a_table_that_the_stack_declared_keeps_its_descriptions(cloud: Cloud, client: bigquery.Client) -> None:
    fields = [
        bigquery.SchemaField("customer_id", "STRING", "REQUIRED", description="Who bought."),
        bigquery.SchemaField("purchased_on", "DATE", "REQUIRED", description="Day of the purchase."),
        bigquery.SchemaField("units", "INTEGER"),
        bigquery.SchemaField("amount", "NUMERIC"),
    ]
    client.create_table(bigquery.Table(f"{PROJECT}.example_shop.transactions", fields))
    assert run(cloud.env, "--project", PROJECT).returncode == 0
    assert client.get_table(f"{PROJECT}.example_shop.transactions").schema[0].description == "Who bought."


def test_a_dataset_that_does_not_exist_is_named(cloud: Cloud) -> None:
    result = run(cloud.env, "--project", PROJECT, "--dataset", "absent")
    assert result.returncode == 4
    assert f"Table '{PROJECT}.absent.transactions' was not loaded" in result.stderr
    assert result.stderr.count("\n") == 1, "one line, no traceback"


def test_without_a_project_every_place_that_was_tried_is_named() -> None:
    result = run({"GOOGLE_CLOUD_PROJECT": ""}, "--stack", "absent")
    assert result.returncode == 2
    assert "Tried: --project, --stack" in result.stderr


def test_help_shows_an_example() -> None:
    result = run({}, "--help")
    assert (result.returncode, "example: python tools/example_data.py --project" in result.stdout) == (0, True)
