"""Clients and datasets for the tests of BigQuery; loaded by `pytest_plugins` in each of them."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from tests.conftest import RunningCloud

NUMBERS = itertools.count()
PROJECT = "puffin-project"

Rows = Callable[..., list[tuple[Any, ...]]]


def connect(url: str) -> bigquery.Client:
    """An official client, without credentials, as the person at the keyboard uses it."""
    options = {"api_endpoint": url}
    return bigquery.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture(scope="session")
def bq(cloud: RunningCloud) -> bigquery.Client:
    return connect(cloud.url)


@pytest.fixture(scope="session")
def gcs(cloud: RunningCloud) -> storage.Client:
    options = {"api_endpoint": cloud.url}
    return storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture
def dataset(bq: bigquery.Client) -> str:
    """An empty dataset of its own for each test, in europe-west4."""
    made = bigquery.Dataset(f"{PROJECT}.puffins_{next(NUMBERS)}")
    made.location = "europe-west4"
    return str(bq.create_dataset(made).dataset_id)


@pytest.fixture
def bucket(gcs: storage.Client) -> storage.Bucket:
    return gcs.create_bucket(f"puffins-{next(NUMBERS)}", location="europe-west4")


@pytest.fixture(scope="session")
def rows(bq: bigquery.Client) -> Rows:
    """Runs a query and answers its rows as tuples; keyword arguments are of the job's configuration."""

    def run(sql: str, **configuration: Any) -> list[tuple[Any, ...]]:
        found = bq.query_and_wait(sql, job_config=bigquery.QueryJobConfig(**configuration))
        return [tuple(row) for row in found]

    return run


@pytest.fixture
def make(bq: bigquery.Client, dataset: str) -> Callable[..., bigquery.Table]:
    """Creates a table from lines such as `id STRING REQUIRED`; keyword arguments are set on the table."""

    def table(name: str, *columns: str, **settings: Any) -> bigquery.Table:
        parts = [column.split() for column in columns]
        schema = [bigquery.SchemaField(p[0], p[1], p[2] if len(p) > 2 else "NULLABLE") for p in parts]
        new = bigquery.Table(f"{PROJECT}.{dataset}.{name}", schema=schema)
        for key, value in settings.items():
            setattr(new, key, value)
        return bq.create_table(new)

    return table
