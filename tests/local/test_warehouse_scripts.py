"""Scripts: variables, conditions, loops, transactions, temporary functions and tables, child jobs."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

# Each script and the rows of its last statement.
SCRIPTS: dict[str, list[tuple[Any, ...]]] = {
    "DECLARE x INT64 DEFAULT 5; SET x = x * 2; SELECT x": [(10,)],
    "DECLARE a, b STRING DEFAULT 'z'; SELECT a || b": [("zz",)],
    "DECLARE d DATE DEFAULT DATE '2024-05-01'; SELECT DATE_ADD(d, INTERVAL 1 DAY) = '2024-05-02'": [(True,)],
    "DECLARE l ARRAY<INT64>; SET l = [1, 2]; SELECT ARRAY_LENGTH(l), 2 IN UNNEST(l)": [(2, True)],
    "DECLARE s STRUCT<a INT64, b STRING>; SET s = (1, 'x'); SELECT s.a, s.b": [(1, "x")],
    "DECLARE a INT64; DECLARE b STRING; SET (a, b) = (SELECT AS STRUCT 7, 'y'); SELECT a, b": [(7, "y")],
    "DECLARE a INT64; DECLARE b STRING; SET (a, b) = (3 + 4, 'y'); SELECT a, b": [(7, "y")],
    "DECLARE n INT64 DEFAULT (SELECT SUM(x) FROM UNNEST([1, 2]) AS x); SELECT n": [(3,)],
    "DECLARE x INT64 DEFAULT 1; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT 'many'; END IF": [
        ("one",)
    ],
    "DECLARE x INT64 DEFAULT 2; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT 'many'; END IF": [
        ("two",)
    ],
    "DECLARE x INT64 DEFAULT 0; WHILE x < 5 DO SET x = x + 1; END WHILE; SELECT x": [(5,)],
    "DECLARE x INT64 DEFAULT 0; LOOP SET x = x + 1; IF x > 3 THEN BREAK; END IF; END LOOP; SELECT x": [(4,)],
    "DECLARE x INT64 DEFAULT 0; REPEAT SET x = x + 1; UNTIL x >= 3 END REPEAT; SELECT x": [(3,)],
    "DECLARE t INT64 DEFAULT 0; FOR r IN (SELECT x FROM UNNEST([1, 2, 3]) AS x) DO SET t = t + r.x; END FOR; SELECT t": [
        (6,)
    ],
    "DECLARE n INT64 DEFAULT 0; LOOP SET n = n + 1; IF n > 3 THEN LEAVE; END IF; END LOOP; SELECT n": [(4,)],
    "DECLARE n, k INT64 DEFAULT 0; WHILE n < 4 DO SET n = n + 1; IF n = 2 THEN ITERATE; END IF; SET k = k + n; END WHILE; SELECT k": [
        (8,)
    ],
    "DECLARE x INT64; EXECUTE IMMEDIATE 'SELECT @a + @b' INTO x USING 1 AS a, 2 AS b; SELECT x": [(3,)],
    "DECLARE x FLOAT64; DECLARE y STRING; EXECUTE IMMEDIATE 'SELECT ? * 2, ?' INTO x, y USING 4, CONCAT('a', 'b'); SELECT x / 3 > 2.6, y": [
        (True, "ab")
    ],
    "DECLARE x INT64 DEFAULT 1; EXECUTE IMMEDIATE 'SELECT 1 LIMIT 0' INTO x; SELECT x": [(None,)],
    "BEGIN SELECT 1 / 0; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END": [("division by zero: 1 / 0",)],
    "DECLARE x INT64 DEFAULT 1; BEGIN DECLARE y INT64 DEFAULT 2; SET x = y; END; SELECT x": [(2,)],
    "CREATE TEMP FUNCTION half(x FLOAT64) AS (x / 2); SELECT half(half(10))": [(2.5,)],
    "CREATE TEMP TABLE t AS SELECT 1 AS n; INSERT INTO t VALUES (2); SELECT SUM(n) FROM t": [(3,)],
    "SELECT CASE WHEN TRUE THEN 'a' END; SELECT CASE 1 WHEN 1 THEN 'b' END;": [("b",)],
    "DECLARE x INT64 DEFAULT 2; CASE x WHEN 1 THEN SELECT 'a'; WHEN x THEN SELECT 'b'; ELSE SELECT 'c'; END CASE": [
        ("b",)
    ],
    "CASE WHEN 1 > 2 THEN SELECT 'a'; ELSE SELECT 'b'; END CASE": [("b",)],
    "EXECUTE IMMEDIATE 'SELECT 1 + 1'": [(2,)],
    "ASSERT 1 = 1; SELECT 'fine'": [("fine",)],
    "DECLARE x INT64 DEFAULT 1; IF x = 1 THEN RETURN; END IF; SELECT 1 / 0": [],
    "SELECT @@project_id": [(PROJECT,)],
}


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_script_ends_with_the_rows_of_its_last_statement(bq: bigquery.Client, script: str) -> None:
    assert [tuple(row) for row in bq.query(script).result()] == SCRIPTS[script]


def test_statements_of_a_script_are_child_jobs(bq: bigquery.Client, dataset: str) -> None:
    job = bq.query(
        f"CREATE TABLE {dataset}.t AS SELECT 1 AS n; INSERT INTO {dataset}.t VALUES (2); SELECT n FROM {dataset}.t"
    )
    assert sorted(tuple(r) for r in job.result()) == [(1,), (2,)]
    assert (job.statement_type, job.num_child_jobs, job.location) == ("SCRIPT", 3, "europe-west4")
    children = list(bq.list_jobs(parent_job=job))
    assert [c.statement_type for c in reversed(children)] == ["CREATE_TABLE_AS_SELECT", "INSERT", "SELECT"]
    assert {c.parent_job_id for c in children} == {job.job_id}
    assert sorted(tuple(r) for r in children[0].result()) == [(1,), (2,)]
    places = [c.script_statistics.stack_frames[0] for c in reversed(children)]
    assert [job.query[p.start_column - 1 : p.end_column] for p in places] == [p.text for p in places]


def test_variables_name_partitions(
    bq: bigquery.Client, dataset: str, make: Callable[..., bigquery.Table], rows: Rows
) -> None:
    make(
        "t",
        "day DATE",
        "n INT64",
        time_partitioning=bigquery.TimePartitioning(field="day"),
        require_partition_filter=True,
    )
    script = f"""
        DECLARE latest DATE;
        INSERT INTO {dataset}.t VALUES ('2024-05-01', 1), ('2024-05-02', 2);
        SET latest = (SELECT MAX(day) FROM {dataset}.t WHERE day > '2000-01-01');
        SELECT n FROM {dataset}.t WHERE day = latest"""
    assert [tuple(r) for r in bq.query(script).result()] == [(2,)]


def test_a_transaction_is_kept_or_undone_as_a_whole(rows: Rows, dataset: str) -> None:
    table = f"{dataset}.t"
    rows(f"CREATE TABLE {table} AS SELECT 1 AS n")
    rows(f"BEGIN TRANSACTION; INSERT INTO {table} VALUES (2); DELETE FROM {table} WHERE n = 1; COMMIT TRANSACTION;")
    assert rows(f"SELECT n FROM {table}") == [(2,)]
    rows(f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; ROLLBACK TRANSACTION;")
    with pytest.raises(BadRequest, match="boom"):
        rows(f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; SELECT ERROR('boom'); COMMIT TRANSACTION;")
    rows(f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; SELECT 1")
    assert rows(f"SELECT n FROM {table}") == [(2,)]


def test_what_a_failed_script_did_before_stays(rows: Rows, dataset: str) -> None:
    with pytest.raises(BadRequest, match="boom"):
        rows(f"CREATE TABLE {dataset}.t AS SELECT 1 AS n; SELECT ERROR('boom'); INSERT INTO {dataset}.t VALUES (2)")
    assert rows(f"SELECT n FROM {dataset}.t") == [(1,)]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("SET x = 1", "Undeclared variable: x"),
        ("DECLARE x INT64; SET x = 'a'", "Bad int64 value: a"),
        ("IF TRUE THEN SELECT 1;", "Unexpected end of script"),
        ("BREAK", "BREAK is only allowed inside a loop|Syntax error"),
        ("COMMIT TRANSACTION; SELECT 1", "only allowed inside a transaction"),
        ("CALL d.p(); SELECT 1", "does not support the statement CALL"),
        ("CREATE TEMP FUNCTION f() RETURNS INT64 LANGUAGE js AS 'return 1'; SELECT f()", "does not support"),
        ("ASSERT 1 = 2 AS 'not equal'", "Assertion failed: not equal"),
        ("RAISE USING MESSAGE = 'no'", "no"),
        ("SELECT 1; SELEC 2", "Syntax error"),
    ],
)
def test_a_broken_script_says_where(rows: Rows, script: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        rows(script)


def test_a_variable_names_its_column(bq: bigquery.Client) -> None:
    found = bq.query_and_wait("DECLARE total INT64 DEFAULT 4; SELECT total, total + 1")
    assert [field.name for field in found.schema] == ["total", "f0_"]


def test_a_handler_rolls_the_failed_transaction_back(rows: Rows, make: Callable[..., bigquery.Table]) -> None:
    table = make("ledger", "n INT64")
    work = f"BEGIN TRANSACTION; INSERT {table} VALUES (1); SELECT ERROR('no funds'); COMMIT TRANSACTION;"
    handler = "ROLLBACK TRANSACTION; SELECT @@error.message"
    assert rows(f"BEGIN {work} EXCEPTION WHEN ERROR THEN {handler}; END") == [("no funds",)]
    assert rows(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    with pytest.raises(BadRequest, match="COMMIT TRANSACTION after a statement of the transaction failed"):
        rows(f"BEGIN {work} EXCEPTION WHEN ERROR THEN COMMIT TRANSACTION; END")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("DECLARE a INT64; EXECUTE IMMEDIATE 'SELECT 1 FROM UNNEST([1, 2])' INTO a", "more than one row"),
        ("DECLARE a INT64; EXECUTE IMMEDIATE 'SELECT 1, 2' INTO a", "1 variables for a query of 2 columns"),
        ("EXECUTE IMMEDIATE 'SELECT 1' INTO nowhere", "Undeclared variable: nowhere"),
        ("EXECUTE IMMEDIATE 'SELECT @b' USING 1 AS a", "'b' not found"),
        ("CALL d.p()", "does not support the statement CALL"),
        ("CREATE PROCEDURE d.p() BEGIN SELECT 1; END", "does not support CREATE PROCEDURE"),
        ("LOAD DATA INTO d.t FROM FILES (format='CSV', uris=['gs://b/x'])", "does not support the statement LOAD DATA"),
    ],
)
def test_what_a_script_cannot_do_is_told(rows: Rows, script: str, fault: str) -> None:
    with pytest.raises(BadRequest, match=fault) as caught:
        rows(script)
    assert caught.value.errors[0]["reason"] == "invalidQuery"
