"""Tables partitioned by the time when rows came, which only pseudo columns and decorators tell."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from tests.local.warehouse_fixtures import PROJECT

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

FIRST, SECOND = dt.date(2024, 1, 1), dt.date(2024, 1, 2)
Run = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def run(bq: bigquery.Client, dataset: str) -> Run:
    """Runs a query whose tables need no dataset."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
        return [tuple(row) for row in bq.query_and_wait(sql, job_config=config)]

    return rows


@pytest.fixture
def sightings(bq: bigquery.Client, dataset: str) -> str:
    """A table with one row in each of two partitions, and one that came today."""
    name = f"{PROJECT}.{dataset}.sightings"
    table = bigquery.Table(name, schema=[bigquery.SchemaField("bird", "STRING")])
    table.time_partitioning = bigquery.TimePartitioning()
    bq.create_table(table)
    replaced = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    for day, bird in ((FIRST, "puffin"), (SECOND, "gull")):
        bq.load_table_from_json([{"bird": bird}], f"{name}${day:%Y%m%d}", job_config=replaced).result()
    bq.insert_rows_json(name, [{"bird": "tern"}])
    return name


def test_only_pseudo_columns_tell_when_rows_came(run: Run, sightings: str) -> None:
    assert run("SELECT * FROM sightings ORDER BY bird") == [("gull",), ("puffin",), ("tern",)]
    sql = "SELECT *, _PARTITIONDATE AS day FROM sightings AS s WHERE s._PARTITIONTIME < '2025-01-01' ORDER BY day"
    assert run(sql) == [("puffin", FIRST), ("gull", SECOND)]
    assert run("SELECT TO_JSON_STRING(s) FROM sightings AS s ORDER BY bird LIMIT 1") == [('{"bird":"gull"}',)]
    with pytest.raises(BadRequest, match="does not support _PARTITIONTIME beside whole rows of 's'"):
        run("SELECT TO_JSON_STRING(s) FROM sightings AS s WHERE _PARTITIONDATE = '2024-01-01'")
    with pytest.raises(BadRequest, match="give it another with AS"):
        run("SELECT _PARTITIONTIME FROM sightings")


def test_rows_that_come_today_lie_in_the_partition_of_today(run: Run, sightings: str) -> None:
    run("INSERT INTO sightings (bird) VALUES ('auk')")
    found = run("SELECT bird, _PARTITIONDATE = CURRENT_DATE() FROM sightings WHERE _PARTITIONDATE > '2025-01-01'")
    assert sorted(found) == [("auk", True), ("tern", True)]


def test_a_decorator_names_the_partition_that_is_loaded_listed_copied_and_deleted(
    bq: bigquery.Client, sightings: str
) -> None:
    replaced = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    bq.load_table_from_json([{"bird": "owl"}], f"{sightings}$20240102", job_config=replaced).result()
    assert [row.bird for row in bq.list_rows(bq.get_table(f"{sightings}$20240102"))] == ["owl"]
    bq.copy_table(f"{sightings}$20240102", f"{sightings}_copy$20240305").result()
    bq.copy_table(sightings, f"{sightings}_whole").result()
    assert bq.list_partitions(f"{sightings}_copy") == ["20240305"]
    assert bq.list_partitions(f"{sightings}_whole")[:2] == ["20240101", "20240102"]
    bq.delete_table(f"{sightings}$20240101")
    assert bq.list_partitions(sightings)[0] == "20240102"


def test_a_query_can_replace_a_partition(bq: bigquery.Client, run: Run, sightings: str) -> None:
    config = bigquery.QueryJobConfig(destination=f"{sightings}$20240101", write_disposition="WRITE_TRUNCATE")
    bq.query_and_wait("SELECT 'skua' AS bird", job_config=config)
    assert run("SELECT bird FROM sightings WHERE _PARTITIONDATE = '2024-01-01'") == [("skua",)]


def test_statements_change_rows_of_a_partition(run: Run, sightings: str) -> None:
    run("INSERT INTO sightings (_PARTITIONTIME, bird) VALUES (TIMESTAMP '2024-01-01', 'auk')")
    run("UPDATE sightings SET bird = 'kite' WHERE bird = 'auk' AND _PARTITIONTIME = TIMESTAMP '2024-01-01'")
    run("DELETE FROM sightings WHERE _PARTITIONDATE = '2024-01-02'")
    sql = "SELECT bird FROM sightings WHERE _PARTITIONDATE < '2025-01-01' ORDER BY bird"
    assert run(sql) == [("kite",), ("puffin",)]
    with pytest.raises(BadRequest, match="Omitting INSERT target column list is unsupported"):
        run("INSERT INTO sightings VALUES ('auk')")


def test_a_filter_on_the_time_is_required_and_spares_bytes(bq: bigquery.Client, run: Run, sightings: str) -> None:
    table = bq.get_table(sightings)
    table.require_partition_filter = True
    bq.update_table(table, ["require_partition_filter"])
    with pytest.raises(BadRequest, match="without a filter over column"):
        run("SELECT bird FROM sightings")
    config = bigquery.QueryJobConfig(dry_run=True)
    job = bq.query(f"SELECT bird FROM `{sightings}` WHERE _PARTITIONDATE = '2024-01-02'", job_config=config)
    assert job.total_bytes_processed == len("gull") + 2, "one partition is read"


@pytest.mark.parametrize(
    ("by", "unit"),
    [
        ("_PARTITIONDATE", "DAY"),
        ("TIMESTAMP_TRUNC(_PARTITIONTIME, HOUR)", "HOUR"),
        ("DATE_TRUNC(_PARTITIONDATE, MONTH)", "MONTH"),
    ],
)
def test_ddl_partitions_by_the_time_when_rows_come(
    bq: bigquery.Client, run: Run, dataset: str, by: str, unit: str
) -> None:
    run(f"CREATE TABLE nests (eggs INT64) PARTITION BY {by}")
    made = bq.get_table(f"{PROJECT}.{dataset}.nests").time_partitioning
    assert (made.type_, made.field) == (unit, None)


def test_ddl_cannot_partition_the_rows_of_a_query_by_the_time_when_they_come(run: Run) -> None:
    with pytest.raises(BadRequest, match="cannot be used with AS query_statement"):
        run("CREATE TABLE nests PARTITION BY _PARTITIONDATE AS SELECT 1 AS eggs")
