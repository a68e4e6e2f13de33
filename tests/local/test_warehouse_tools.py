"""What tools that write SQL send, and what they read of its jobs: found by running dbt against the local cloud."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

pytest_plugins = ["tests.local.warehouse_fixtures"]

KELP = "(SELECT 1 AS kelp UNION ALL SELECT 2)"


@pytest.mark.parametrize(
    ("expression", "until"),
    [
        ("TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 12 HOUR)", datetime.now(UTC) + timedelta(hours=12)),
        ("TIMESTAMP '2999-01-02 03:04:05 UTC'", datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("'2999-01-02 03:04:05 UTC'", datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_a_table_lives_until_the_time_of_an_expression(
    bq: bigquery.Client, dataset: str, expression: str, until: datetime
) -> None:
    bq.query_and_wait(f"CREATE TABLE {dataset}.t (n INT64) OPTIONS (expiration_timestamp = {expression})")
    expires = bq.get_table(f"{dataset}.t").expires
    assert expires is not None
    assert abs(expires - until) < timedelta(hours=1)


def test_an_option_is_any_constant_expression(bq: bigquery.Client, dataset: str) -> None:
    bq.query_and_wait(f"CREATE TABLE {dataset}.t (n INT64) OPTIONS (description = CONCAT('a', 'b'))")
    assert bq.get_table(f"{dataset}.t").description == "ab"


def test_the_job_of_create_table_as_select_names_its_table_as_destination(bq: bigquery.Client, dataset: str) -> None:
    job = bq.query(f"CREATE TABLE {dataset}.t AS SELECT * FROM {KELP}")
    job.result()
    assert job.destination is not None
    assert bq.get_table(job.destination).num_rows == 2


def test_a_column_may_have_an_empty_list_of_policy_tags(bq: bigquery.Client, dataset: str) -> None:
    bq.query_and_wait(f"CREATE TABLE {dataset}.t AS SELECT * FROM {KELP}")
    table = bq.get_table(f"{dataset}.t")
    table.schema = [bigquery.SchemaField("kelp", "INTEGER", policy_tags=bigquery.PolicyTagList([]), description="x")]
    assert bq.update_table(table, ["schema"]).schema[0].description == "x"


def test_a_table_keeps_its_schema_where_a_change_names_none(bq: bigquery.Client, dataset: str) -> None:
    bq.query_and_wait(f"CREATE TABLE {dataset}.t AS SELECT * FROM {KELP}")
    table = f"{bq.project}/datasets/{dataset}/tables/t"
    change = {"schema": None, "description": "new"}
    answer = bq._connection.api_request(method="PATCH", path=f"/projects/{table}", data=change)
    assert (answer["description"], len(answer["schema"]["fields"])) == ("new", 1)


@pytest.mark.parametrize("sql", ["SELECT nope", "SELECT nope FROM (SELECT 1 AS n)"])
def test_an_unknown_name_is_told_as_google_tells_it(bq: bigquery.Client, sql: str) -> None:
    with pytest.raises(BadRequest, match=r"Unrecognized name: nope at \[1:8\]"):
        bq.query_and_wait(sql)


def test_no_options_change_nothing(bq: bigquery.Client, dataset: str) -> None:
    bq.query_and_wait(f"CREATE TABLE {dataset}.t (n INT64) OPTIONS (description = 'kept')")
    bq.query_and_wait(f"ALTER TABLE {dataset}.t SET OPTIONS ()")
    assert bq.get_table(f"{dataset}.t").description == "kept"


def test_one_variable_in_parentheses_takes_the_field_of_a_struct(bq: bigquery.Client, dataset: str) -> None:
    sql = f"""DECLARE days ARRAY<INT64>;
        SET (days) = (SELECT AS STRUCT ARRAY_AGG(DISTINCT kelp IGNORE NULLS) FROM {KELP});
        CREATE TABLE {dataset}.t AS SELECT kelp FROM {KELP} WHERE kelp IN UNNEST(days);
        SELECT ARRAY_LENGTH(days)"""
    assert [tuple(row) for row in bq.query_and_wait(sql)] == [(2,)]


def test_a_catalogue_finds_no_materialized_views(bq: bigquery.Client, dataset: str) -> None:
    assert not list(bq.query_and_wait(f"SELECT table_name FROM {dataset}.INFORMATION_SCHEMA.MATERIALIZED_VIEWS"))
