"""DML and DDL: statements that change rows and tables, what they count, and what they refuse."""

from collections.abc import Callable

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery

from tests.local.warehouse_fixtures import PROJECT

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

Make = Callable[..., bigquery.Table]
Run = Callable[[str], bigquery.QueryJob]


@pytest.fixture
def run(bq: bigquery.Client, dataset: str) -> Run:
    """Runs one statement in the test's dataset."""

    def statement(sql: str) -> bigquery.QueryJob:
        job = bq.query(sql, job_config=bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}"))
        job.result()
        return job

    return statement


@pytest.fixture
def stock(make: Make, run: Run) -> str:
    make("stock", "item STRING REQUIRED", "n INT64", "price NUMERIC")
    run("INSERT INTO stock (item, n, price) VALUES ('egg', 10, 0.5), ('nest', 1, 20)")
    return "stock"


def content(run: Run) -> list[tuple[object, ...]]:
    return [tuple(row) for row in run("SELECT item, n FROM stock ORDER BY item").result()]


def test_dml_counts_what_it_changes(run: Run, stock: str) -> None:
    job = run("UPDATE stock SET n = n + 1 WHERE item = 'egg'")
    assert (job.statement_type, job.num_dml_affected_rows, job.dml_stats.updated_row_count) == ("UPDATE", 1, 1)
    job = run("INSERT stock (item) SELECT FORMAT('new %d', i) FROM UNNEST([1, 2]) AS i")
    assert (job.num_dml_affected_rows, job.dml_stats.inserted_row_count) == (2, 2)
    job = run("DELETE stock WHERE n IS NULL")
    assert (job.num_dml_affected_rows, job.dml_stats.deleted_row_count) == (2, 2)
    assert content(run) == [("egg", 11), ("nest", 1)]
    assert run("TRUNCATE TABLE stock").num_dml_affected_rows == 2
    assert content(run) == []


def test_a_query_that_is_dml_tells_its_count_at_once(bq: bigquery.Client, dataset: str, stock: str) -> None:
    found = bq.query_and_wait(f"DELETE FROM {dataset}.stock WHERE TRUE")
    assert found.num_dml_affected_rows == 2
    assert list(found) == []


def test_merge_inserts_updates_and_deletes(run: Run, stock: str) -> None:
    job = run("""
        MERGE stock AS t USING (SELECT 'egg' AS item, 5 AS n UNION ALL SELECT 'shell', 7) AS s ON t.item = s.item
        WHEN MATCHED THEN UPDATE SET n = t.n + s.n
        WHEN NOT MATCHED THEN INSERT (item, n) VALUES (item, n)
        WHEN NOT MATCHED BY SOURCE THEN DELETE""")
    stats = job.dml_stats
    assert (stats.inserted_row_count, stats.updated_row_count, stats.deleted_row_count) == (1, 1, 1)
    assert content(run) == [("egg", 15), ("shell", 7)]
    run(
        "MERGE stock t USING (SELECT 'x' AS item, 1 AS n, NUMERIC '2' AS price) s ON FALSE WHEN NOT MATCHED THEN INSERT ROW"
    )
    assert ("x", 1) in content(run)


def test_a_row_is_changed_by_one_row_at_most(run: Run, stock: str) -> None:
    twice = "(SELECT 'egg' AS item, 1 AS n UNION ALL SELECT 'egg', 2) AS s"
    for sql in (
        f"MERGE stock t USING {twice} ON t.item = s.item WHEN MATCHED THEN UPDATE SET n = s.n",
        f"UPDATE stock AS t SET n = s.n FROM {twice} WHERE t.item = s.item",
    ):
        with pytest.raises(BadRequest, match="must match at most one source row"):
            run(sql)
    assert content(run) == [("egg", 10), ("nest", 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT tagged (item, tags) VALUES ('nest', ['dry', NULL])",
        "UPDATE tagged SET tags = ['old', NULL] WHERE TRUE",
        "MERGE tagged AS t USING (SELECT 'egg' AS item) AS s ON t.item = s.item"
        " WHEN MATCHED THEN UPDATE SET tags = [s.item, NULL]",
    ],
)
def test_no_array_with_a_null_is_stored(run: Run, make: Make, sql: str) -> None:
    make("tagged", "item STRING", "tags STRING REPEATED")
    run("INSERT tagged (item, tags) VALUES ('egg', ['white'])")
    with pytest.raises(BadRequest, match="Array cannot have a null element; error in writing field tags"):
        run(sql)
    assert [tuple(row) for row in run("SELECT item, tags FROM tagged").result()] == [("egg", ["white"])]


def test_an_array_that_is_null_is_stored_empty(run: Run, make: Make) -> None:
    make("tagged", "item STRING", "tags STRING REPEATED")
    run("INSERT tagged (item, tags) VALUES ('egg', NULL), ('nest', ['dry'])")
    run("INSERT tagged (item) VALUES ('down')")
    run("UPDATE tagged SET tags = NULL WHERE item = 'nest'")
    run("CREATE TABLE copied AS SELECT item, CAST(NULL AS ARRAY<STRING>) AS tags FROM tagged")
    for name in ("tagged", "copied"):
        assert [tuple(row) for row in run(f"SELECT ARRAY_LENGTH(tags) FROM {name}").result()] == [(0,)] * 3


def test_an_update_may_ask_for_the_default(run: Run) -> None:
    run("CREATE TABLE eggs (item STRING, colour STRING DEFAULT 'white')")
    run("INSERT eggs (item, colour) VALUES ('egg', 'blue')")
    run("UPDATE eggs SET colour = DEFAULT WHERE TRUE")
    assert [tuple(row) for row in run("SELECT * FROM eggs").result()] == [("egg", "white")]


def test_an_update_may_join(run: Run, stock: str) -> None:
    run("UPDATE stock t SET n = s.n * 2 FROM (SELECT 'egg' AS item, 21 AS n) s WHERE t.item = s.item")
    assert content(run) == [("egg", 42), ("nest", 1)]
    run("DELETE FROM stock WHERE item IN (SELECT item FROM UNNEST(['egg']) AS item)")
    assert content(run) == [("nest", 1)]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("INSERT INTO stock (item) VALUES (NULL)", "Required field item cannot be null"),
        ("INSERT INTO stock (n) VALUES (1)", "Required column item is missing"),
        ("INSERT INTO stock (nope) VALUES (1)", "Column nope is not present in table"),
        ("INSERT INTO stock VALUES ('a', 1)", "wrong column count"),
        ("INSERT INTO stock (item, n) VALUES ('a', 'b')", "type STRING which cannot be inserted into column n"),
        ("INSERT INTO stock (item, n) SELECT 'a', 1.5", "type FLOAT64 which cannot be inserted into column n"),
        ("UPDATE stock SET nope = 1 WHERE TRUE", "nope"),
        ("UPDATE stock SET item = 5 WHERE TRUE", "type INT64 which cannot be assigned to column item"),
        (
            "MERGE stock t USING (SELECT 'egg' AS item) s ON t.item = s.item WHEN MATCHED THEN UPDATE SET n = 'many'",
            "type STRING which cannot be assigned to column n",
        ),
        ("UPDATE stock SET item = NULL WHERE TRUE", "Required field item cannot be null"),
        ("UPDATE stock SET n = 1", "WHERE"),
        ("DELETE FROM stock", "WHERE"),
    ],
)
def test_dml_that_does_not_fit_is_refused(run: Run, stock: str, sql: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        run(sql)
    assert content(run) == [("egg", 10), ("nest", 1)]


def test_a_table_is_created_from_columns_and_options(bq: bigquery.Client, dataset: str, run: Run) -> None:
    job = run("""
        CREATE TABLE made (
            day DATE NOT NULL OPTIONS (description = 'of the run'), tags ARRAY<STRING>, s STRUCT<a INT64, b NUMERIC(10, 2)>,
            code STRING(3)
        )
        PARTITION BY day CLUSTER BY code
        OPTIONS (description = 'made by hand', labels = [('k', 'v')], require_partition_filter = TRUE)""")
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE", "CREATE")
    assert job.ddl_target_table.table_id == "made"
    table = bq.get_table(f"{dataset}.made")
    assert [(f.name, f.field_type, f.mode) for f in table.schema] == [
        ("day", "DATE", "REQUIRED"), ("tags", "STRING", "REPEATED"), ("s", "RECORD", "NULLABLE"), ("code", "STRING", "NULLABLE"),
    ]  # fmt: skip
    assert table.schema[0].description == "of the run"
    assert (table.time_partitioning.field, table.clustering_fields, table.require_partition_filter) == (
        "day",
        ["code"],
        True,
    )
    assert (table.description, table.labels) == ("made by hand", {"k": "v"})
    with pytest.raises(BadRequest, match="maximum length"):
        run("INSERT INTO made (day, code) VALUES ('2024-01-01', 'long')")


def test_create_table_as_select(run: Run, bq: bigquery.Client, dataset: str, stock: str) -> None:
    job = run("CREATE TABLE copy PARTITION BY DATE_TRUNC(day, MONTH) AS SELECT *, DATE '2024-05-01' AS day FROM stock")
    assert job.statement_type == "CREATE_TABLE_AS_SELECT"
    assert bq.get_table(f"{dataset}.copy").num_rows == 2
    assert bq.get_table(f"{dataset}.copy$202405").num_rows == 2
    with pytest.raises(Conflict, match="Already Exists: Table"):
        run("CREATE TABLE copy AS SELECT 1 AS x")
    assert run("CREATE TABLE IF NOT EXISTS copy AS SELECT 1 AS x").ddl_operation_performed == "SKIP"
    assert run("CREATE OR REPLACE TABLE copy AS SELECT 1 AS x").ddl_operation_performed == "REPLACE"
    assert [tuple(r) for r in run("SELECT * FROM copy").result()] == [(1,)]


def test_views_are_created_replaced_and_dropped(run: Run, bq: bigquery.Client, dataset: str, stock: str) -> None:
    run(f"CREATE VIEW v AS SELECT item FROM {dataset}.stock")
    assert bq.get_table(f"{dataset}.v").table_type == "VIEW"
    run(f"CREATE OR REPLACE VIEW v AS SELECT n FROM {dataset}.stock WHERE n > 1")
    assert [tuple(r) for r in run("SELECT * FROM v").result()] == [(10,)]
    with pytest.raises(BadRequest, match="view"):
        run("DROP TABLE v")
    with pytest.raises(BadRequest, match="it is a view"):
        run("DELETE FROM v WHERE TRUE")
    assert run("DROP VIEW v").ddl_operation_performed == "DROP"
    assert run("DROP VIEW IF EXISTS v").ddl_operation_performed == "SKIP"
    with pytest.raises(NotFound, match="Not found: Table"):
        run("DROP VIEW v")


def test_columns_are_added_and_dropped(run: Run, bq: bigquery.Client, dataset: str, stock: str) -> None:
    run("ALTER TABLE stock ADD COLUMN colour STRING")
    run("ALTER TABLE stock DROP COLUMN price")
    assert [f.name for f in bq.get_table(f"{dataset}.stock").schema] == ["item", "n", "colour"]
    run("UPDATE stock SET colour = 'white' WHERE item = 'egg'")
    assert [tuple(r) for r in run("SELECT * FROM stock ORDER BY item").result()] == [
        ("egg", 10, "white"),
        ("nest", 1, None),
    ]


def test_datasets_are_created_and_dropped(run: Run, bq: bigquery.Client) -> None:
    run("CREATE SCHEMA IF NOT EXISTS cliffs OPTIONS (location = 'europe-west4')")
    assert bq.get_dataset("cliffs").location == "europe-west4"
    run("DROP SCHEMA cliffs")
    with pytest.raises(NotFound):
        bq.get_dataset("cliffs")


@pytest.mark.parametrize("lifetime_ms", [10**12, 2**62])
def test_partitions_that_live_very_long_hinder_no_other_statement(
    bq: bigquery.Client, dataset: str, lifetime_ms: int
) -> None:
    table = bigquery.Table(f"{PROJECT}.{dataset}.lasting", [bigquery.SchemaField("day", "DATE")])
    table.time_partitioning = bigquery.TimePartitioning(field="day", expiration_ms=lifetime_ms)
    bq.create_table(table)
    bq.query_and_wait(f"INSERT INTO {dataset}.lasting VALUES ('2024-05-01')")
    bq.query_and_wait(f"CREATE TABLE {dataset}.other AS SELECT 1 AS n")
    bq.query_and_wait(f"TRUNCATE TABLE {dataset}.other")
    assert bq.get_table(table).num_rows == 1
