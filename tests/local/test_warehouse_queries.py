"""Queries: parameters, types on the wire, partition filters, costs, destinations, exports, INFORMATION_SCHEMA."""

import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, InternalServerError, NotFound
from google.cloud import bigquery, storage
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter

from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

Make = Callable[..., bigquery.Table]
UTC = dt.UTC

PARAMETERS: list[tuple[str, Any]] = [
    ("STRING", 'a "quoted" \\ string; -- not a comment'),
    ("INT64", -(2**63)),
    ("FLOAT64", 0.1),
    ("NUMERIC", Decimal("-12345678901234567890.123456789")),
    ("BIGNUMERIC", Decimal("1.23456789012345678901234567890123456789"[:40])),
    ("BOOL", True),
    ("BYTES", b"\x00\xff'"),
    ("DATE", dt.date(2024, 2, 29)),
    ("TIME", dt.time(1, 2, 3, 4)),
    ("DATETIME", dt.datetime(2024, 2, 29, 1, 2, 3, 4)),
    ("TIMESTAMP", dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)),
    ("TIMESTAMP", dt.datetime(1850, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("kind", "value"), PARAMETERS, ids=range(len(PARAMETERS)))
@pytest.mark.parametrize("name", ["value", None], ids=["named", "positional"])
def test_a_parameter_comes_back_as_it_was_given(rows: Rows, name: str | None, kind: str, value: Any) -> None:
    mark = f"@{name}" if name else "?"
    for given, expected in ((value, value), (None, None)):
        parameter = ScalarQueryParameter(name, kind, given)
        assert rows(f"SELECT {mark}", query_parameters=[parameter]) == [(expected,)]


def test_arrays_and_structs_are_parameters(rows: Rows) -> None:
    array = ArrayQueryParameter("ids", "STRING", ["a", "c"])
    struct = StructQueryParameter(
        "s", ScalarQueryParameter("x", "INT64", 1), ArrayQueryParameter("l", "DATE", [dt.date(2024, 1, 1)])
    )
    source = "UNNEST(['a', 'b', 'c']) AS id"
    found = rows(
        f"SELECT id, @s.x, @s.l FROM {source} WHERE id IN UNNEST(@ids) ORDER BY id", query_parameters=[array, struct]
    )
    assert found == [("a", 1, [dt.date(2024, 1, 1)]), ("c", 1, [dt.date(2024, 1, 1)])]
    assert rows("SELECT ARRAY_LENGTH(@ids)", query_parameters=[ArrayQueryParameter("ids", "INT64", [])]) == [(0,)]
    assert rows("SELECT @s", query_parameters=[struct]) == [({"x": 1, "l": [dt.date(2024, 1, 1)]},)]


def test_positional_parameters_are_taken_in_the_order_of_the_text(rows: Rows) -> None:
    values = [ScalarQueryParameter(None, "INT64", n) for n in (1, 2, 3)]
    sql = "WITH a AS (SELECT ? AS x) SELECT x, ? FROM a WHERE x < ?"
    assert rows(sql, query_parameters=values) == [(1, 2)]


def test_every_type_survives_the_wire_and_pages(bq: bigquery.Client) -> None:
    sql = """
        SELECT n, CAST(n AS FLOAT64) / 3 AS f, CAST(n AS NUMERIC) AS d, IF(n = 2, NULL, FORMAT('%d "x"', n)) AS s,
            TIMESTAMP_MICROS(n) AS t, [n, n + 1] AS a, STRUCT(n AS x, [STRUCT('y' AS z)] AS l) AS r, b'\\xff' AS y
        FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n ORDER BY n"""
    found = bq.query_and_wait(sql, page_size=2)
    everything = list(found)
    assert found.total_rows == 5
    assert [row["n"] for row in everything] == [1, 2, 3, 4, 5]
    assert dict(everything[1]) == {
        "n": 2,
        "f": 2 / 3,
        "d": Decimal(2),
        "s": None,
        "t": dt.datetime(1970, 1, 1, 0, 0, 0, 2, tzinfo=UTC),
        "a": [2, 3],
        "r": {"x": 2, "l": [{"z": "y"}]},
        "y": b"\xff",
    }
    assert [f.field_type for f in found.schema] == [
        "INTEGER", "FLOAT", "NUMERIC", "STRING", "TIMESTAMP", "INTEGER", "RECORD", "BYTES",
    ]  # fmt: skip
    assert list(bq.query(sql).result(page_size=3)) == everything, "jobs.insert gives what jobs.query gives"
    assert [r["n"] for r in bq.query(sql).result(start_index=3)] == [4, 5]
    assert [r["n"] for r in bq.query(sql).result(max_results=2)] == [1, 2]


def test_the_default_dataset_and_other_projects(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    bq.create_dataset(bigquery.Dataset("other-project-7.rocks"), exists_ok=True)
    bq.create_table(
        bigquery.Table("other-project-7.rocks.t", schema=[bigquery.SchemaField("x", "INT64")]), exists_ok=True
    )
    rows("INSERT INTO other-project-7.rocks.t VALUES (7)")
    for name in ("other-project-7.rocks.t", "`other-project-7.rocks.t`", "`other-project-7`.rocks.t"):
        assert rows(f"SELECT x FROM {name}") == [(7,)]
    assert rows("SELECT t.x FROM t", default_dataset="other-project-7.rocks") == [(7,)]


def test_a_location_is_where_the_dataset_is(bq: bigquery.Client, dataset: str, make: Make) -> None:
    make("t", "x INT64")
    job = bq.query(f"SELECT * FROM {dataset}.t")
    job.result()
    assert job.location == "europe-west4"
    with pytest.raises(NotFound, match=f"Not found: Dataset {PROJECT}:{dataset} was not found in location US"):
        bq.query_and_wait(f"SELECT * FROM {dataset}.t", location="US")
    with pytest.raises(
        NotFound, match=f"Not found: Table {PROJECT}:{dataset}.no was not found in location europe-west4"
    ):
        bq.query_and_wait(f"SELECT * FROM {dataset}.no")
    with pytest.raises(NotFound, match=f"Not found: Dataset {PROJECT}:no was not found in location US"):
        bq.query_and_wait("SELECT * FROM no.t")


# --- partition filters and costs


@pytest.fixture
def partitioned(make: Make, rows: Rows) -> str:
    """Three days of ten rows: 16 bytes of `day` and `n`, and 3 of `s`, in each."""
    table = make(
        "p", "day DATE", "n INT64", "s STRING",
        time_partitioning=bigquery.TimePartitioning(field="day"), require_partition_filter=True,
    )  # fmt: skip
    name = f"{table.dataset_id}.p"
    rows(
        f"INSERT INTO {name} SELECT DATE_ADD('2024-05-01', INTERVAL DIV(i, 10) DAY), i, 'x' FROM UNNEST(GENERATE_ARRAY(0, 29)) AS i"
    )
    return name


FILTERED = [
    "SELECT n FROM {t} WHERE day = '2024-05-01'",
    "SELECT n FROM {t} WHERE n > 1 AND day >= @day",
    "SELECT n FROM {t} AS a WHERE a.day BETWEEN '2024-05-01' AND DATE_ADD('2024-05-01', INTERVAL 1 DAY)",
    "SELECT n FROM {t} WHERE day IN ('2024-05-01', '2024-05-02')",
    "SELECT n FROM {t} WHERE day = '2024-05-01' OR day = '2024-05-03'",
    "SELECT n FROM (SELECT * FROM {t}) WHERE day = '2024-05-01'",
    "WITH a AS (SELECT day AS d, n FROM {t}) SELECT n FROM a WHERE d = '2024-05-01'",
    "SELECT day, SUM(n) FROM (SELECT day, n FROM {t}) WHERE day > '2024-05-01' GROUP BY day",
    "SELECT x.n FROM UNNEST([1]) AS i JOIN {t} AS x ON x.n = i AND x.day < '2024-06-01'",
    "UPDATE {t} SET s = 'y' WHERE day = '2024-05-01'",
    "DELETE FROM {t} WHERE day < '2000-01-01' AND n > 1",
    "MERGE {t} AS t USING (SELECT 1 AS n) AS s ON t.n = s.n AND t.day = '2024-05-01' WHEN MATCHED THEN UPDATE SET s = 'z'",
]
UNFILTERED = [
    "SELECT n FROM {t}",
    "SELECT n FROM {t} WHERE n = 1",
    "SELECT n FROM {t} WHERE day = '2024-05-01' OR n = 1",
    "SELECT n FROM {t} WHERE day = (SELECT MAX(day) FROM UNNEST([DATE '2024-05-01']) AS day)",
    "SELECT n FROM {t} WHERE EXTRACT(YEAR FROM day) = 2024",
    "SELECT n FROM (SELECT n, day FROM {t} LIMIT 5) WHERE day = '2024-05-01'",
    "SELECT a.n FROM {t} AS a JOIN {t} AS b ON a.n = b.n WHERE a.day = '2024-05-01'",
    "DELETE FROM {t} WHERE TRUE",
]


@pytest.mark.parametrize("sql", FILTERED, ids=range(len(FILTERED)))
def test_a_filter_on_the_partitioning_column_is_enough(rows: Rows, partitioned: str, sql: str) -> None:
    rows(sql.format(t=partitioned), query_parameters=[ScalarQueryParameter("day", "DATE", "2024-05-02")])


@pytest.mark.parametrize("sql", UNFILTERED, ids=range(len(UNFILTERED)))
def test_without_a_usable_filter_a_partitioned_table_is_refused(rows: Rows, partitioned: str, sql: str) -> None:
    told = rf"Cannot query over table '{PROJECT}\.{partitioned}' without a filter over column\(s\) 'day'"
    with pytest.raises(BadRequest, match=told + " that can be used for partition elimination"):
        rows(sql.format(t=partitioned))


def test_a_view_passes_the_filter_on(bq: bigquery.Client, rows: Rows, partitioned: str) -> None:
    view = bigquery.Table(f"{PROJECT}.{partitioned}_view")
    view.view_query = f"SELECT n, day FROM `{PROJECT}.{partitioned}`"
    bq.create_table(view)
    assert rows(f"SELECT COUNT(*) FROM {partitioned}_view WHERE day = '2024-05-02'") == [(10,)]
    with pytest.raises(BadRequest, match="without a filter"):
        rows(f"SELECT COUNT(*) FROM {partitioned}_view")


def test_a_dry_run_tells_bytes_of_columns_and_partitions(bq: bigquery.Client, partitioned: str) -> None:
    def size(sql: str) -> int:
        job = bq.query(
            sql.format(t=partitioned), job_config=bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
        )
        assert (job.state, job.dry_run) == ("DONE", True)
        return int(job.total_bytes_processed)

    assert size("SELECT n FROM {t} WHERE day >= '2024-05-01'") == 30 * 16
    assert size("SELECT n FROM {t} WHERE day = '2024-05-02'") == 10 * 16
    assert size("SELECT * FROM {t} WHERE day = '2024-05-02'") == 10 * 19
    assert size("SELECT COUNT(*) FROM {t} WHERE day = '1999-01-01'") == 0
    assert size("SELECT a FROM (SELECT n AS a, s FROM {t} WHERE day < '2024-05-03')") == 20 * 16
    assert size("SELECT 1") == 0


def test_a_dry_run_finds_errors_and_changes_nothing(bq: bigquery.Client, partitioned: str, rows: Rows) -> None:
    dry = bigquery.QueryJobConfig(dry_run=True)
    with pytest.raises(BadRequest, match="Unrecognized name: nope"):
        bq.query(f"SELECT nope FROM {partitioned} WHERE day = '2024-05-01'", job_config=dry)
    bq.query(f"DELETE FROM {partitioned} WHERE day > '2000-01-01'", job_config=dry)
    bq.query(f"CREATE TABLE {partitioned}_new AS SELECT 1 AS x", job_config=dry)
    assert rows(f"SELECT COUNT(*) FROM {partitioned} WHERE day > '2000-01-01'") == [(30,)]
    with pytest.raises(NotFound):
        bq.get_table(f"{partitioned}_new")
    assert bq.query("SELECT 1 AS a, 'x' AS b", job_config=dry).schema[1].field_type == "STRING"


def test_a_query_may_not_cost_more_than_it_may(bq: bigquery.Client, partitioned: str) -> None:
    sql = f"SELECT n FROM {partitioned} WHERE day = '2024-05-01'"
    low, enough = (bigquery.QueryJobConfig(maximum_bytes_billed=n) for n in (1000, 10 << 20))
    told = "Query exceeded limit for bytes billed: 1000. 10485760 or higher required."
    with pytest.raises(BadRequest, match=told):
        bq.query_and_wait(sql, job_config=low)
    with pytest.raises((BadRequest, InternalServerError), match=told) as caught:
        bq.query(sql, job_config=low).result()
    assert caught.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    job = bq.query(sql, job_config=enough)
    job.result()
    assert (job.total_bytes_processed, job.total_bytes_billed) == (160, 10 << 20)


# --- destinations


def test_results_go_into_a_table(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    def run(sql: str, **options: Any) -> bigquery.QueryJob:
        job = bq.query(sql, job_config=bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.t", **options))
        job.result()
        return job

    assert run("SELECT 1 AS n").destination.table_id == "t"
    with pytest.raises(Conflict, match="Already Exists"):
        run("SELECT 2 AS n")
    run("SELECT 2 AS n", write_disposition="WRITE_APPEND")
    assert rows(f"SELECT n FROM {dataset}.t ORDER BY n") == [(1,), (2,)]
    with pytest.raises(BadRequest, match="Cannot add fields"):
        run("SELECT 3 AS n, 'x' AS s", write_disposition="WRITE_APPEND")
    run("SELECT 3 AS n, 'x' AS s", write_disposition="WRITE_APPEND", schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert rows(f"SELECT n, s FROM {dataset}.t ORDER BY n") == [(1, None), (2, None), (3, "x")]
    run("SELECT 'only' AS s", write_disposition="WRITE_TRUNCATE")
    assert rows(f"SELECT * FROM {dataset}.t") == [("only",)]
    with pytest.raises(NotFound):
        bq.query("SELECT 1", job_config=bigquery.QueryJobConfig(
            destination=f"{PROJECT}.{dataset}.none", create_disposition="CREATE_NEVER")).result()  # fmt: skip


def test_results_replace_one_partition(bq: bigquery.Client, partitioned: str, rows: Rows) -> None:
    destination = bigquery.TableReference.from_string(f"{PROJECT}.{partitioned}$20240502")
    config = bigquery.QueryJobConfig(destination=destination, write_disposition="WRITE_TRUNCATE")
    bq.query("SELECT DATE '2024-05-02' AS day, 99 AS n, 'new' AS s", job_config=config).result()
    counts = f"SELECT day, COUNT(*) FROM {partitioned} WHERE day > '2000-01-01' GROUP BY day ORDER BY day"
    assert [n for _, n in rows(counts)] == [10, 1, 10]
    with pytest.raises(BadRequest, match="different partitions"):
        bq.query("SELECT DATE '2024-05-03' AS day, 99 AS n, 'new' AS s", job_config=config).result()
    assert [n for _, n in rows(counts)] == [10, 1, 10]


def test_an_anonymous_result_can_be_read_as_a_table(bq: bigquery.Client) -> None:
    job = bq.query("SELECT 5 AS five")
    job.result()
    assert [tuple(r) for r in bq.list_rows(bq.get_table(job.destination))] == [(5,)]
    assert not [d for d in bq.list_datasets() if d.dataset_id.startswith("_")], "its dataset is hidden"


# --- EXPORT DATA


@pytest.fixture
def exported(bq: bigquery.Client, bucket: storage.Bucket) -> Callable[..., bytes]:
    """Runs EXPORT DATA and answers the one file it made."""

    def run(select: str, options: str, *parameters: Any) -> bytes:
        uri = f"gs://{bucket.name}/out/*.x"
        sql = f"EXPORT DATA OPTIONS (uri='{uri}', overwrite=true, {options}) AS {select}"
        job = bq.query(sql, job_config=bigquery.QueryJobConfig(query_parameters=parameters))
        job.result()
        assert job.statement_type == "EXPORT_DATA"
        [blob] = bucket.list_blobs()
        assert blob.name == "out/000000000000.x"
        return bytes(blob.download_as_bytes())

    return run


def test_a_query_is_exported_to_parquet(partitioned: str, exported: Callable[..., bytes]) -> None:
    day = ScalarQueryParameter("run_date", "DATE", dt.date(2024, 5, 2))
    select = f"SELECT n, day, NUMERIC '1.5' AS d, TIMESTAMP '2024-05-01 00:00:00' AS t, [1, 2] AS a FROM {partitioned} WHERE day < @run_date ORDER BY n"
    table = pq.read_table(io.BytesIO(exported(select, "format='PARQUET'", day)))
    assert table.num_rows == 10
    assert table.to_pylist()[3] == {
        "n": 3, "day": dt.date(2024, 5, 1), "d": Decimal("1.500000000"), "t": dt.datetime(2024, 5, 1, tzinfo=UTC), "a": [1, 2],
    }  # fmt: skip


def test_a_query_is_exported_to_csv_and_json(exported: Callable[..., bytes]) -> None:
    select = "SELECT 1 AS i, 'a,\"b\"' AS s, TRUE AS b, TIMESTAMP '2024-05-01 01:02:03' AS t, CAST(NULL AS STRING) AS n"
    assert exported(select, "format='CSV', header=true") == (b'i,s,b,t,n\n1,"a,""b""",true,2024-05-01 01:02:03 UTC,\n')
    line = exported("SELECT 1 AS i, [STRUCT('x' AS k)] AS l, STRUCT([1, 2] AS n) AS r", "format='JSON'")
    assert line == b'{"i":"1","l":[{"k":"x"}],"r":{"n":["1","2"]}}\n'


def test_an_export_needs_one_wildcard_and_does_not_overwrite_unasked(rows: Rows, bucket: storage.Bucket) -> None:
    with pytest.raises(BadRequest, match="must be a wildcard URI"):
        rows(f"EXPORT DATA OPTIONS (uri='gs://{bucket.name}/x', format='CSV') AS SELECT 1 AS x")
    sql = f"EXPORT DATA OPTIONS (uri='gs://{bucket.name}/x*', format='CSV') AS SELECT 1 AS x"
    rows(sql)
    with pytest.raises(BadRequest, match="already exist"):
        rows(sql)
    with pytest.raises(NotFound, match="bucket"):
        rows("EXPORT DATA OPTIONS (uri='gs://no-such-bucket-9/x*', format='CSV') AS SELECT 1 AS x")


# --- INFORMATION_SCHEMA


def test_information_schema_describes_tables_columns_and_partitions(rows: Rows, partitioned: str) -> None:
    dataset, table = partitioned.split(".")
    schema = f"{dataset}.INFORMATION_SCHEMA"
    assert rows(f"SELECT table_name, table_type FROM {schema}.TABLES") == [(table, "BASE TABLE")]
    columns = f"SELECT column_name, data_type, is_nullable, is_partitioning_column FROM {schema}.COLUMNS ORDER BY ordinal_position"
    assert rows(columns) == [("day", "DATE", "YES", "YES"), ("n", "INT64", "YES", "NO"), ("s", "STRING", "YES", "NO")]
    partitions = f"SELECT partition_id, total_rows FROM `{PROJECT}.{dataset}.INFORMATION_SCHEMA.PARTITIONS` ORDER BY 1"
    assert rows(partitions) == [("20240501", 10), ("20240502", 10), ("20240503", 10)]
    assert (dataset,) in rows("SELECT schema_name FROM INFORMATION_SCHEMA.SCHEMATA")
    with pytest.raises(BadRequest, match=r"does not support INFORMATION_SCHEMA\.RESERVATIONS"):
        rows("SELECT * FROM `region-eu`.INFORMATION_SCHEMA.RESERVATIONS")


def test_information_schema_shows_nested_types_as_google_writes_them(rows: Rows, dataset: str) -> None:
    rows(f"CREATE TABLE {dataset}.nested (s STRUCT<a INT64, b ARRAY<STRING>>, o STRUCT<`we ird` INT64>, raw BYTES)")
    types = rows(f"SELECT data_type FROM {dataset}.INFORMATION_SCHEMA.COLUMNS ORDER BY ordinal_position")
    assert [t for (t,) in types] == ["STRUCT<a INT64, b ARRAY<STRING>>", "STRUCT<`we ird` INT64>", "BYTES"]


@pytest.mark.parametrize("view", ["JOBS", "JOBS_BY_PROJECT"])
def test_information_schema_lists_jobs_with_their_cost_and_errors(
    bq: bigquery.Client, rows: Rows, partitioned: str, view: str
) -> None:
    label = {"hunt": view.lower()}
    query = f"SELECT n FROM {partitioned} WHERE day = '2024-05-01'"
    good = bq.query(query, job_config=bigquery.QueryJobConfig(labels=label))
    good.result()
    bad = bq.query("SELECT nothing", location="europe-west4", job_config=bigquery.QueryJobConfig(labels=label))
    with pytest.raises(BadRequest):
        bad.result()
    schema = f"`region-europe-west4`.INFORMATION_SCHEMA.{view}"
    found = rows(
        f"""SELECT job_id, state, statement_type, total_bytes_processed, error_result.reason,
            ARRAY_LENGTH(referenced_tables), destination_table.project_id, end_time >= start_time FROM {schema}
            WHERE creation_time > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR)
            AND EXISTS (SELECT 1 FROM UNNEST(labels) AS l WHERE l.key = 'hunt' AND l.value = '{view.lower()}')
            ORDER BY creation_time"""
    )
    assert found[0] == (good.job_id, "DONE", "SELECT", good.total_bytes_processed, None, 1, PROJECT, True)
    assert [found[1][i] for i in (0, 1, 4)] == [bad.job_id, "DONE", "invalidQuery"]
    assert not rows(f"SELECT job_id FROM `region-us`.INFORMATION_SCHEMA.{view} WHERE job_id = '{good.job_id}'")


# --- tables by prefix, rows from columns


def test_a_wildcard_reads_the_tables_of_a_prefix(rows: Rows, dataset: str) -> None:
    for day, columns in (("20240501", "1 AS n"), ("20240502", "2 AS n, 'x' AS note")):
        rows(f"CREATE TABLE {dataset}.visits_{day} AS SELECT {columns}")
    visits = f"`{PROJECT}.{dataset}.visits_*`"
    assert rows(f"SELECT * FROM {visits} ORDER BY n") == [(1, None), (2, "x")], "columns are the newest table's"
    assert rows(f"SELECT n, _TABLE_SUFFIX FROM {visits} WHERE _TABLE_SUFFIX > '20240501'") == [(2, "20240502")]
    assert rows(f"SELECT SUM(v.n) FROM `{dataset}.visits_2024*` AS v WHERE v._TABLE_SUFFIX = '0501'") == [(1,)]
    with pytest.raises(BadRequest, match="does not match any table"):
        rows(f"SELECT * FROM `{dataset}.visitors_*`")


def test_unpivot_makes_rows_of_columns(rows: Rows) -> None:
    source = "(SELECT 7 AS id, 2 AS spring, CAST(NULL AS INT64) AS autumn)"
    assert rows(f"SELECT * FROM {source} UNPIVOT(sales FOR season IN (spring, autumn))") == [(7, 2, "spring")]
    named = "UNPIVOT INCLUDE NULLS (sales FOR season IN (spring AS 'S', autumn AS 'A'))"
    assert rows(f"SELECT season, sales FROM {source} {named} ORDER BY 1") == [("A", None), ("S", 2)]


def test_a_query_into_a_partition_answers_its_own_rows(bq: bigquery.Client, partitioned: str) -> None:
    target = bigquery.TableReference.from_string(f"{PROJECT}.{partitioned}$20240507")
    config = bigquery.QueryJobConfig(destination=target, write_disposition="WRITE_TRUNCATE")
    found = bq.query("SELECT DATE '2024-05-07' AS day, 1 AS n, 'new' AS s", job_config=config).result()
    assert [tuple(row)[1:] for row in found] == [(1, "new")]
    assert found.total_rows == 1


def test_columns_of_subqueries_have_googles_names(bq: bigquery.Client) -> None:
    found = bq.query_and_wait("SELECT * FROM (SELECT COUNT(*), 1 AS one, 'a')")
    assert [field.name for field in found.schema] == ["f0_", "one", "f1_"]
    assert [field.name for field in bq.query_and_wait("SELECT * FROM UNNEST([1])").schema] == ["f0_"]


def test_json_is_indexed_from_zero_wherever_it_comes_from(rows: Rows) -> None:
    source = """(SELECT JSON '{"a": [5, {"b": 6}]}' AS j, 1 AS place)"""
    assert rows(f"SELECT j.a[0], j.a[place].b, j['a'][7] FROM {source}") == [(5, 6, None)]
    assert rows("""SELECT JSON '{"a": [5, 6]}'.a[1], PARSE_JSON('[8]')[0]""") == [(6, 8)]


def test_an_array_with_a_null_cannot_be_written(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    for sql in ("SELECT [1, NULL] AS gaps", f"CREATE TABLE {dataset}.g AS SELECT [1, NULL] AS gaps"):
        with pytest.raises(BadRequest, match="Array cannot have a null element; error in writing field gaps"):
            rows(sql)
    assert rows("SELECT ARRAY_LENGTH([1, NULL])") == [(2,)], "inside a query it may"
    assert not list(bq.list_tables(dataset))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 UNION ALL SELECT 'x'",
        "SELECT n FROM (SELECT 1 AS n, 'a' AS s) UNION DISTINCT SELECT s FROM (SELECT 'a' AS s)",
        "SELECT IF(TRUE, 1, 'x')",
        "SELECT COALESCE(n, 'x') FROM (SELECT 1 AS n)",
        "SELECT CASE n WHEN 1 THEN n ELSE FALSE END FROM (SELECT 1 AS n)",
        "SELECT 1 IN ('1', '2')",
    ],
)
def test_values_of_one_column_have_one_type(rows: Rows, sql: str) -> None:
    with pytest.raises(BadRequest, match=r"incompatible types|No matching signature"):
        rows(sql)


def test_numbers_and_texts_of_times_go_together(rows: Rows) -> None:
    assert rows("SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1") == [(1.0,), (2.5,)]
    assert rows("SELECT DATE '2024-05-01' IN ('2024-05-01'), IF(TRUE, NULL, 'x'), COALESCE(NULL, 1)") == [
        (True, None, 1)
    ]
    days = [(dt.date(2024, 5, 1),)] * 3
    assert rows("SELECT DATE '2024-05-01' UNION ALL SELECT '2024-05-01' UNION ALL SELECT '2024-05-01'") == days
    assert rows("SELECT '2024-05-01' UNION ALL (SELECT '2024-05-01' UNION ALL SELECT DATE '2024-05-01')") == days
    assert rows("SELECT 1 AS a, 'x' AS b UNION ALL BY NAME SELECT 'x' AS b, 1 AS a") == [(1, "x"), (1, "x")]


def test_functions_of_numbers_have_googles_types(bq: bigquery.Client) -> None:
    types = {
        "FLOAT": "SIGN(-2.5), ROUND(1), TRUNC(1), POW(2, 3), ROUND(2.5)",
        "NUMERIC": "SIGN(n), ROUND(n, 1, 'ROUND_HALF_EVEN'), TRUNC(n), DIV(n, 2), POW(n, 3), SQRT(n), LN(n), EXP(n), LOG(n, 2)",
        "INTEGER": "SIGN(-3), DIV(7, 2)",
    }
    for name, items in types.items():
        found = bq.query_and_wait(f"SELECT {items} FROM (SELECT NUMERIC '2.5' AS n)")
        assert {field.field_type for field in found.schema} == {name}


def test_a_column_that_is_not_grouped_is_named(rows: Rows) -> None:
    with pytest.raises(BadRequest, match=r"references column kind which is neither grouped nor aggregated at \[1:8\]"):
        rows("SELECT kind, COUNT(*) FROM (SELECT 'x' AS kind)")
