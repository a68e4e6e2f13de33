"""What DuckDB or a lenient server would answer, and BigQuery answers otherwise or refuses."""

import datetime as dt
import io
import uuid
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import bigquery, storage

from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

FLOATS = "UNNEST([STRUCT(1 AS k, CAST('nan' AS FLOAT64) AS x), (2, 5.0)])"

ROWS: dict[str, list[tuple[Any, ...]]] = {
    # an infinite value is added, a finite sum that grows too large is an error
    "SELECT SUM(x) FROM UNNEST([CAST('inf' AS FLOAT64), 1.0]) x": [(float("inf"),)],
    "SELECT SUM(x) OVER (ORDER BY x) FROM UNNEST([1.5, 2.5]) x ORDER BY 1": [(1.5,), (4.0,)],
    "SELECT SUM(DISTINCT x), AVG(x) FROM UNNEST([1.5, 1.5]) x": [(1.5, 1.5)],
    "SELECT CAST(SUM(x) AS STRING) FROM UNNEST([CAST('inf' AS FLOAT64), CAST('-inf' AS FLOAT64)]) x": [("nan",)],
    "SELECT AVG(x), AVG(DISTINCT x) FROM UNNEST([NUMERIC '1', NUMERIC '1', NUMERIC '3']) x": [
        (Decimal("1.666666667"), Decimal(2))
    ],
    "SELECT AVG(x) OVER (ORDER BY x) FROM UNNEST([NUMERIC '1', NUMERIC '2']) x ORDER BY 1": [
        (Decimal(1),),
        (Decimal("1.5"),),
    ],
    "SELECT AVG(x) FROM UNNEST(CAST([] AS ARRAY<NUMERIC>)) x": [(None,)],
    "SELECT LEFT('abc', n), RIGHT('abc', n), REPEAT('a', n), LPAD('a', n, '0') FROM UNNEST([2]) n": [
        ("ab", "bc", "aa", "0a")
    ],
    # NaN is greater than nothing, also where a column of the result holds it
    f"SELECT k, SUM(x) AS total FROM {FLOATS} GROUP BY k HAVING total > 1": [(2, 5.0)],
    f"SELECT k, x AS found FROM {FLOATS} WHERE TRUE QUALIFY ROW_NUMBER() OVER (ORDER BY k) > 0 AND found > 1": [
        (2, 5.0)
    ],
    # of several values of one name the first stands
    """SELECT TO_JSON_STRING(PARSE_JSON('{"a": 1, "a": 2}'))""": [('{"a":1}',)],
    """SELECT TO_JSON_STRING(JSON '{"b": {"é": 1, "é": 2}, "c": [1.50]}')""": [('{"b":{"é":1},"c":[1.5]}',)],
    """SELECT TO_JSON_STRING(PARSE_JSON('{"a":' || '{"b": 1}, "c": {"b": 1}}'))""": [('{"a":{"b":1},"c":{"b":1}}',)],
    "SELECT CAST(TRUNC(x) AS INT64), CAST(ROUND(x) AS INT64), CAST(ROUND(x, 1) AS INT64) FROM UNNEST([2.5]) x": [
        (2, 3, 3)
    ],
    "SELECT SAFE_CAST(TRUNC(x) AS INT64) FROM UNNEST([1e30]) x": [(None,)],
    "SELECT SUBSTR(b'abcd', 2), SUBSTR(b'abcd', 2, 2)": [(b"bcd", b"bc")],
    "SELECT DATE '2026-01-31' - DATE '2026-01-01' = INTERVAL 30 DAY": [(True,)],
    "SELECT a, b FROM (SELECT AS STRUCT 1 AS a, 2 AS b)": [(1, 2)],
    # what is pivoted keeps the type that it has in GoogleSQL
    "SELECT k, s_x, n_why FROM (SELECT 'a' k, 'x' c, 1.5 v) PIVOT(SUM(v) AS s, COUNT(*) AS n FOR c IN ('x', 'y' AS why))": [
        ("a", 1.5, 0)
    ],
    "SELECT _1, two FROM (SELECT 1 AS c, 4 AS v) PIVOT(SUM(v) FOR c IN (1, 2 AS two))": [(4, None)],
    "SELECT total_1 FROM (SELECT 1 AS c, 4 AS v) PIVOT(SUM(v) AS total FOR c IN (1))": [(4,)],
    "SELECT v, c FROM (SELECT 1.5 AS x, 20.5 AS y) UNPIVOT(v FOR c IN (x, y)) ORDER BY v": [(1.5, "x"), (20.5, "y")],
    "BEGIN SELECT 1/0; EXCEPTION WHEN ERROR THEN SELECT @@error.message, @@error.statement_text; END": [
        ("division by zero: 1 / 0", "SELECT 1/0")
    ],
    # a column hides a name of the SELECT list
    "SELECT x + 1 AS x FROM (SELECT 1 AS x) WHERE x = 1": [(2,)],
    "SELECT UPPER(k) AS k FROM UNNEST([STRUCT('a' AS k)]) WHERE k = 'a'": [("A",)],
    "SELECT x AS y FROM (SELECT 1 AS x) WHERE EXISTS (SELECT y FROM (SELECT 2 AS y))": [(1,)],
}


@pytest.mark.parametrize("sql", ROWS)
def test_a_query_has_the_rows_that_google_documents(rows: Rows, sql: str) -> None:
    assert rows(sql) == ROWS[sql]


REFUSED = {
    "SELECT SUM(x) FROM UNNEST([1.7e308, 1.7e308]) x": "double overflow",
    "SELECT AVG(x) OVER () FROM UNNEST([1.7e308, 1.7e308]) x": "double overflow",
    """SELECT PARSE_JSON('{"a": 1,' || '"a": 2}')""": "JSON with a name twice in one object",
    "SELECT CAST(TRUNC(x) AS INT64) FROM UNNEST([1e30]) x": "INT64|out of range",
    "SELECT 1 AS a, a + 1 AS b": r"Unrecognized name: a at \[1:16\]",
    "SELECT x + 1 AS y FROM (SELECT 1 AS x) WHERE y = 2": r"Unrecognized name: y at \[1:46\]",
    "SELECT t.x AS y FROM (SELECT 1 AS x) t JOIN (SELECT 1 AS z) u ON y = u.z": "Unrecognized name: y",
    "SELECT a, SAFE_CONVERT_BYTES_TO_STRING(a) FROM (SELECT b'\\xff' AS a)": "SAFE_CONVERT_BYTES_TO_STRING",
    "SELECT LEFT('abc', -1)": r"argument in LEFT\(\) cannot be negative",
    "SELECT REPEAT('abc', n) FROM UNNEST([-1]) n": r"argument in REPEAT\(\) cannot be negative",
    "SELECT RPAD('abc', -1)": r"RPAD\(\) cannot be negative",
    "SELECT * FROM (SELECT TRUE AS c, 4 AS v) PIVOT(SUM(v) AS s FOR c IN (TRUE))": "PIVOT FOR ... IN TRUE without a name",
    "BEGIN SELECT 1/0; EXCEPTION WHEN ERROR THEN RAISE; END": "division by zero",
    "SELECT @@error.stack_trace": "system variable @@error.stack_trace",
    "SELECT SUBSTR(b'abc', x) FROM UNNEST([1]) x": "SUBSTR of BYTES",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_a_query_that_bigquery_would_not_answer_so_is_refused(rows: Rows, sql: str) -> None:
    with pytest.raises(BadRequest, match=REFUSED[sql]) as raised:
        rows(sql)
    assert raised.value.errors[0]["reason"] == "invalidQuery"


def test_a_property_of_a_job_that_is_null_is_none(bq: bigquery.Client) -> None:
    configuration = bigquery.QueryJobConfig(destination=None, default_dataset=None)
    assert [tuple(row) for row in bq.query("SELECT 3", job_config=configuration).result()] == [(3,)]
    body = {"configuration": {"query": {"query": "SELECT 4", "useLegacySql": False, "destinationTable": None}}}
    job = bq._connection.api_request(method="POST", path=f"/projects/{PROJECT}/jobs", data=body)
    assert job["status"]["state"] == "DONE"


def test_a_property_of_a_dataset_that_is_null_is_none(bq: bigquery.Client, dataset: str) -> None:
    path, nulls = f"/projects/{PROJECT}/datasets", {"labels": None, "access": None, "description": None}
    reference = {"datasetReference": {"projectId": PROJECT, "datasetId": f"{dataset}_nulls"}}
    made = bq._connection.api_request(method="POST", path=path, data=reference | nulls)
    assert made["access"]
    assert not {"labels", "description"} & made.keys()
    kept = bq._connection.api_request(method="PUT", path=f"{path}/{dataset}", data={"labels": {"a": "b"}, "access": []})
    assert kept["labels"] == {"a": "b"}
    emptied = bq._connection.api_request(method="PUT", path=f"{path}/{dataset}", data=nulls)
    assert not {"labels", "description"} & emptied.keys()
    assert [d.dataset_id for d in bq.list_datasets(filter="labels.a:b")] == []


def test_a_select_sent_again_with_its_request_id_has_the_same_answer(bq: bigquery.Client) -> None:
    path = f"/projects/{PROJECT}/queries"

    def send(request: str) -> dict[str, Any]:
        body = {"query": "SELECT RAND() AS r", "useLegacySql": False, "requestId": request}
        found = bq._connection.api_request(method="POST", path=path, data=body)
        return {k: found[k] for k in ("rows", "jobReference", "totalRows")}

    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert send(one) == send(one) != send(other)


def test_a_header_is_detected_only_where_it_differs_from_the_rows(
    bq: bigquery.Client, dataset: str, rows: Rows
) -> None:
    def load(name: str, text: str, **options: Any) -> list[str]:
        table = f"{PROJECT}.{dataset}.{name}"
        configuration = bigquery.LoadJobConfig(source_format="CSV", autodetect=True, **options)
        bq.load_table_from_file(io.BytesIO(text.encode()), table, job_config=configuration).result()
        return [field.name for field in bq.get_table(table).schema]

    assert load("texts", "name,city\nann,rome\n") == ["string_field_0", "string_field_1"]
    assert len(rows(f"SELECT * FROM {dataset}.texts")) == 2
    assert load("told", "name,city\nann,rome\n", skip_leading_rows=1) == ["name", "city"]
    assert load("numbers", "name|age\nann|4\n", field_delimiter="|") == ["name", "age"]
    assert rows(f"SELECT * FROM {dataset}.numbers") == [("ann", 4)]


def test_a_source_has_one_wildcard(bq: bigquery.Client, bucket: storage.Bucket, dataset: str) -> None:
    bucket.blob("a/b.csv").upload_from_string("1\n")
    configuration = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("x", "INT64")])
    job = bq.load_table_from_uri(f"gs://{bucket.name}/*/*.csv", f"{PROJECT}.{dataset}.t", job_config=configuration)
    with pytest.raises(BadRequest, match="at most one wildcard"):
        job.result()


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"1st": "a"}, {"team": "A b"}, {"team": "x" * 64}])
def test_labels_that_google_refuses_are_refused(bq: bigquery.Client, dataset: str, labels: dict[str, str]) -> None:
    table = bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[bigquery.SchemaField("x", "INT64")])
    table.labels = labels
    with pytest.raises(BadRequest, match="Invalid label"):
        bq.create_table(table)
    changed = bq.get_dataset(dataset)
    changed.labels = labels
    with pytest.raises(BadRequest, match="Invalid label"):
        bq.update_dataset(changed, ["labels"])


def test_a_column_gets_and_loses_a_default(dataset: str, rows: Rows) -> None:
    rows(f"CREATE TABLE {dataset}.t (x INT64, day DATE)")
    rows(f"ALTER TABLE {dataset}.t ALTER COLUMN day SET DEFAULT DATE '2026-01-02'")
    rows(f"INSERT INTO {dataset}.t (x) VALUES (1)")
    rows(f"ALTER TABLE {dataset}.t ALTER COLUMN day DROP DEFAULT")
    rows(f"INSERT INTO {dataset}.t (x) VALUES (2)")
    assert rows(f"SELECT * FROM {dataset}.t ORDER BY x") == [(1, dt.date(2026, 1, 2)), (2, None)]


def test_a_column_gets_a_description(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(f"CREATE TABLE {dataset}.t (x INT64, `alter` DATE)")
    rows(f"ALTER TABLE {dataset}.t ALTER COLUMN x SET OPTIONS (description = 'how many')")
    assert [f.description for f in bq.get_table(f"{PROJECT}.{dataset}.t").schema] == ["how many", None]
    rows(f"ALTER TABLE {dataset}.t ALTER COLUMN x SET OPTIONS (description = NULL)")
    assert bq.get_table(f"{PROJECT}.{dataset}.t").schema[0].description is None
    with pytest.raises(BadRequest, match="the option rounding_mode"):
        rows(f"ALTER TABLE {dataset}.t ALTER COLUMN x SET OPTIONS (rounding_mode = 'ROUND_HALF_EVEN')")


def test_a_limit_of_bytes_that_is_no_number_is_refused(rows: Rows) -> None:
    with pytest.raises(BadRequest, match="maximumBytesBilled"):
        rows("SELECT 1", maximum_bytes_billed="many")


def test_loaded_json_has_each_name_once(bq: bigquery.Client, dataset: str) -> None:
    lines = b'{"j": {"a": 1}}\n{"j": {"a": 1, "a": 2}}\n'
    schema = [bigquery.SchemaField("j", "JSON")]
    configuration = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", schema=schema)
    job = bq.load_table_from_file(io.BytesIO(lines), f"{PROJECT}.{dataset}.t", job_config=configuration)
    with pytest.raises(BadRequest, match="JSON"):
        job.result()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("writeDisposition", "WRITE_SOMEHOW"), ("createDisposition", "ALWAYS"), ("schemaUpdateOptions", ["ANY"]),
        ("skipLeadingRows", "x"), ("maxBadRecords", -1),
    ],
)  # fmt: skip
def test_a_value_that_a_load_cannot_have_is_refused(bq: bigquery.Client, dataset: str, key: str, value: Any) -> None:
    schema = [bigquery.SchemaField("x", "INT64")]
    configuration = bigquery.LoadJobConfig(schema=schema)
    configuration._properties["load"][key] = value
    table = bq.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=schema))
    with pytest.raises(BadRequest, match=f"Invalid value for {key}"):
        bq.load_table_from_file(io.BytesIO(b"1\n"), table, job_config=configuration).result()
    assert bq.get_table(table).num_rows == 0


def test_a_view_in_legacy_sql_is_refused(bq: bigquery.Client, dataset: str) -> None:
    view = bigquery.Table(f"{PROJECT}.{dataset}.v")
    view.view_query, view.view_use_legacy_sql = "SELECT 1 AS x", True
    with pytest.raises(MethodNotImplemented, match="views in legacy SQL"):
        bq.create_table(view)
