"""Load jobs: files into tables, all rows or none, with the modes, dispositions and errors of BigQuery."""

import datetime as dt
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, MethodNotImplemented, NotFound
from google.cloud import bigquery, storage
from google.cloud.bigquery import LoadJobConfig, SchemaField

from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

Make = Callable[..., bigquery.Table]
DAY = dt.date(2024, 5, 1)


def parquet(bucket: storage.Bucket, name: str, **columns: Any) -> str:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    bucket.blob(name).upload_from_string(file.getvalue())
    return f"gs://{bucket.name}/{name}"


def text(bucket: storage.Bucket, name: str, content: str | bytes) -> str:
    bucket.blob(name).upload_from_string(content)
    return f"gs://{bucket.name}/{name}"


def load(bq: bigquery.Client, uris: Any, table: str, **configuration: Any) -> bigquery.LoadJob:
    job = bq.load_table_from_uri(uris, table, job_config=LoadJobConfig(**configuration))
    job.result()
    return job


@pytest.fixture
def predictions(make: Make) -> bigquery.Table:
    """A table as the product declares it: partitioned by day, with a filter required."""
    return make(
        "predictions",
        "run_date DATE REQUIRED",
        "id STRING REQUIRED",
        "score FLOAT64",
        time_partitioning=bigquery.TimePartitioning(field="run_date"),
        require_partition_filter=True,
    )


def days(*values: dt.date) -> pa.Array:
    return pa.array(values, pa.date32())


def test_parquet_files_become_a_table(bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows) -> None:
    for i in range(3):
        parquet(bucket, f"in/part-{i}.parquet", id=[f"a{i}", f"b{i}"], n=[i, None])
    parquet(bucket, "other/x.parquet", id=["no"], n=[1])
    job = load(bq, f"gs://{bucket.name}/in/*.parquet", f"{dataset}.t", source_format="PARQUET")
    assert (job.state, job.output_rows, job.input_files, job.location) == ("DONE", 6, 3, "europe-west4")
    assert job.input_file_bytes > 0
    assert job.output_bytes == 6 * 4 + 3 * 8
    assert [(f.name, f.field_type, f.mode) for f in bq.get_table(f"{dataset}.t").schema] == [
        ("id", "STRING", "NULLABLE"),
        ("n", "INTEGER", "NULLABLE"),
    ]
    assert rows(f"SELECT COUNT(*), SUM(n) FROM {dataset}.t") == [(6, 3)]


def test_a_load_replaces_exactly_one_partition(
    bq: bigquery.Client, predictions: bigquery.Table, bucket: storage.Bucket, rows: Rows
) -> None:
    name = f"{predictions.dataset_id}.predictions"
    rows(f"INSERT INTO {name} VALUES ('2024-05-01', 'old', 1), ('2024-05-02', 'other', 2)")
    uri = parquet(bucket, "p.parquet", run_date=days(DAY, DAY), id=["a", "b"], score=[0.5, None])
    options = {
        "source_format": "PARQUET",
        "schema": predictions.schema,
        "write_disposition": "WRITE_TRUNCATE",
        "create_disposition": "CREATE_NEVER",
    }
    assert load(bq, uri, f"{name}$20240501", **options).output_rows == 2
    assert rows(f"SELECT id FROM {name} WHERE run_date > '2000-01-01' ORDER BY id") == [("a",), ("b",), ("other",)]
    assert load(bq, uri, f"{name}$20240501", **options).output_rows == 2
    assert bq.get_table(f"{name}$20240501").num_rows == 2
    found = bq.get_table(name)
    assert (found.schema, found.require_partition_filter) == (predictions.schema, True), "a load must not cause drift"


def test_rows_of_another_day_are_refused_and_nothing_changes(
    bq: bigquery.Client, predictions: bigquery.Table, bucket: storage.Bucket, rows: Rows
) -> None:
    name = f"{predictions.dataset_id}.predictions"
    rows(f"INSERT INTO {name} VALUES ('2024-05-01', 'old', 1)")
    uri = parquet(bucket, "p.parquet", run_date=days(DAY, dt.date(2024, 5, 2)), id=["a", "b"], score=[1.0, 2.0])
    job = bq.load_table_from_uri(
        uri, f"{name}$20240501", job_config=LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    )
    with pytest.raises(
        BadRequest, match="Some rows belong to different partitions rather than destination partition 20240501"
    ):
        job.result()
    assert (job.state, job.error_result["reason"]) == ("DONE", "invalid")
    assert rows(f"SELECT id FROM {name} WHERE run_date > '2000-01-01'") == [("old",)]


def test_a_null_in_a_required_column_is_refused(
    bq: bigquery.Client, predictions: bigquery.Table, bucket: storage.Bucket, rows: Rows
) -> None:
    name = f"{predictions.dataset_id}.predictions"
    uri = parquet(bucket, "p.parquet", run_date=days(DAY), id=pa.array([None], pa.string()), score=[1.0])
    with pytest.raises(BadRequest, match="Required field id cannot be null"):
        load(bq, uri, name, source_format="PARQUET", schema=predictions.schema)
    without = parquet(bucket, "q.parquet", run_date=days(DAY), score=[1.0])
    with pytest.raises(BadRequest, match=r"no column 'id', which is REQUIRED|Required field id is missing"):
        load(bq, without, name, source_format="PARQUET")
    assert rows(f"SELECT COUNT(*) FROM {name} WHERE run_date > '2000-01-01'") == [(0,)]


def test_dispositions_decide_what_becomes_of_old_rows(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri, table = parquet(bucket, "x.parquet", n=[1]), f"{dataset}.t"
    with pytest.raises(NotFound, match="Not found: Table"):
        load(bq, uri, table, source_format="PARQUET", create_disposition="CREATE_NEVER")
    load(bq, uri, table, source_format="PARQUET", write_disposition="WRITE_EMPTY")
    with pytest.raises(Conflict, match="Already Exists: Table"):
        load(bq, uri, table, source_format="PARQUET", write_disposition="WRITE_EMPTY")
    load(bq, uri, table, source_format="PARQUET", write_disposition="WRITE_APPEND")
    assert rows(f"SELECT COUNT(*) FROM {table}") == [(2,)]
    load(bq, uri, table, source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    assert rows(f"SELECT COUNT(*) FROM {table}") == [(1,)]
    load(bq, uri, table, source_format="PARQUET")
    assert rows(f"SELECT COUNT(*) FROM {table}") == [(2,)], "without a disposition rows are appended"


def test_truncating_with_another_schema_replaces_the_schema(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    table = f"{dataset}.t"
    load(bq, parquet(bucket, "a.parquet", n=[1]), table, source_format="PARQUET")
    load(bq, parquet(bucket, "b.parquet", s=["x"]), table, source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    assert [f.name for f in bq.get_table(table).schema] == ["s"]
    assert rows(f"SELECT * FROM {table}") == [("x",)]


def test_truncating_the_data_alone_keeps_the_schema(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    table = f"{dataset}.t"
    rows(f"CREATE TABLE {table} (n INT64 OPTIONS(description='kept')) AS SELECT 1 AS n")
    only_data = {"source_format": "PARQUET", "write_disposition": "WRITE_TRUNCATE_DATA"}
    with pytest.raises(BadRequest, match="Provided Schema does not match"):
        load(bq, parquet(bucket, "b.parquet", s=["x"]), table, **only_data)
    load(bq, parquet(bucket, "a.parquet", n=[2]), table, **only_data)
    assert (rows(f"SELECT * FROM {table}"), bq.get_table(table).schema[0].description) == ([(2,)], "kept")


def test_decimals_are_loaded_as_numeric_alone(bq: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    uri = parquet(bucket, "x.parquet", n=pa.array([Decimal("1.25")], pa.decimal128(38, 20)))
    load(bq, uri, f"{dataset}.t", source_format="PARQUET", decimal_target_types=["NUMERIC"])
    with pytest.raises(MethodNotImplemented, match="decimalTargetTypes"):
        load(bq, uri, f"{dataset}.u", source_format="PARQUET", decimal_target_types=["NUMERIC", "STRING"])


def test_new_columns_need_an_option(bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows) -> None:
    table = f"{dataset}.t"
    load(bq, parquet(bucket, "a.parquet", n=[1]), table, source_format="PARQUET")
    wider = parquet(bucket, "b.parquet", n=[2], s=["x"])
    with pytest.raises(BadRequest, match=r"Cannot add fields \(field: s\)"):
        load(bq, wider, table, source_format="PARQUET")
    load(bq, wider, table, source_format="PARQUET", schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert rows(f"SELECT n, s FROM {table} ORDER BY n") == [(1, None), (2, "x")]


def test_a_parquet_column_of_another_type_is_refused(bq: bigquery.Client, make: Make, bucket: storage.Bucket) -> None:
    table = make("t", "n FLOAT64")
    with pytest.raises(
        BadRequest, match="Parquet column 'n' has type INT64 which does not match the target cpp_type DOUBLE"
    ):
        load(
            bq,
            parquet(bucket, "x.parquet", n=[1]),
            f"{table.dataset_id}.t",
            source_format="PARQUET",
            schema=table.schema,
        )


def test_a_missing_file_fails_the_job(bq: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="Not found: URI gs://"):
        load(bq, f"gs://{bucket.name}/none.parquet", f"{dataset}.t", source_format="PARQUET")


def test_a_broken_file_fails_the_job_and_changes_nothing(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    load(bq, parquet(bucket, "good.parquet", n=[1]), f"{dataset}.t", source_format="PARQUET")
    broken = text(bucket, "bad.parquet", b"PAR1 not really")
    with pytest.raises(BadRequest, match="Error while reading data"):
        load(bq, broken, f"{dataset}.t", source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    assert rows(f"SELECT n FROM {dataset}.t") == [(1,)]


def test_a_load_into_a_missing_dataset_is_no_job(bq: bigquery.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="Not found: Dataset"):
        load(bq, f"gs://{bucket.name}/x", "nowhere.t")


# --- CSV and JSON

PEOPLE = [SchemaField("name", "STRING"), SchemaField("born", "DATE"), SchemaField("n", "INT64")]


def test_csv_options(bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows) -> None:
    content = "name;born;n\n'Ann; B.';2001-02-03;\\N\n'two\nlines';2002-03-04;5\n"
    load(
        bq, text(bucket, "x.csv", content), f"{dataset}.t", schema=PEOPLE, skip_leading_rows=1, field_delimiter=";",
        quote_character="'", null_marker="\\N", allow_quoted_newlines=True,
    )  # fmt: skip
    assert rows(f"SELECT * FROM {dataset}.t ORDER BY born") == [
        ("Ann; B.", dt.date(2001, 2, 3), None),
        ("two\nlines", dt.date(2002, 3, 4), 5),
    ]


def test_an_empty_csv_value_is_null_and_a_quoted_one_is_empty(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    schema = [SchemaField("a", "STRING"), SchemaField("b", "STRING")]
    load(bq, text(bucket, "x.csv", 'x,\ny,""\n'), f"{dataset}.t", schema=schema)
    assert rows(f"SELECT * FROM {dataset}.t ORDER BY a") == [("x", None), ("y", "")]


def test_bad_csv_rows_are_counted_against_a_limit(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri = text(bucket, "x.csv", "a,2001-01-01,1\nb,no date,2\nc,2001-01-03,x\nd,2001-01-04,4\n")
    with pytest.raises(BadRequest, match="too many errors"):
        load(bq, uri, f"{dataset}.t", schema=PEOPLE, max_bad_records=1)
    job = load(bq, uri, f"{dataset}.t", schema=PEOPLE, max_bad_records=2)
    assert job.output_rows == 2
    assert "no date" in job.errors[0]["message"]
    assert rows(f"SELECT name FROM {dataset}.t ORDER BY 1") == [("a",), ("d",)]


def test_csv_rows_of_another_width_count_as_bad(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri = text(bucket, "x.csv", "a,2001-01-01,1\nb\nc,2001-01-03,x\nd,2001-01-04,4,more\n")
    with pytest.raises(BadRequest, match="errors: 3; max bad: 2"):
        load(bq, uri, f"{dataset}.t", schema=PEOPLE, max_bad_records=2)
    job = load(bq, uri, f"{dataset}.t", schema=PEOPLE, max_bad_records=3)
    assert (job.output_rows, len(job.errors)) == (1, 3)
    assert rows(f"SELECT name FROM {dataset}.t") == [("a",)]


def test_several_texts_may_stand_for_null(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    configuration = LoadJobConfig(schema=[SchemaField("a", "INT64"), SchemaField("b", "STRING")])
    configuration._properties["load"]["nullMarkers"] = ["NA", "-"]
    uri = text(bucket, "x.csv", 'NA,x\n1,-\n2,"NA"\n')
    bq.load_table_from_uri(uri, f"{dataset}.t", job_config=configuration).result()
    assert rows(f"SELECT * FROM {dataset}.t ORDER BY a") == [(None, "x"), (1, None), (2, "NA")]
    configuration.null_marker = "?"
    with pytest.raises(BadRequest, match="Only one of"):
        bq.load_table_from_uri(uri, f"{dataset}.t", job_config=configuration)


def test_csv_rows_of_another_width_are_refused(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    short, long = text(bucket, "s.csv", "a,2001-01-01\n"), text(bucket, "l.csv", "a,2001-01-01,1,extra\n")
    for uri in (short, long):
        with pytest.raises(BadRequest, match="Error while reading data"):
            load(bq, uri, f"{dataset}.t", schema=PEOPLE)
    load(bq, short, f"{dataset}.t", schema=PEOPLE, allow_jagged_rows=True)
    load(bq, long, f"{dataset}.t", schema=PEOPLE, ignore_unknown_values=True)
    assert rows(f"SELECT name, n FROM {dataset}.t ORDER BY n") == [("a", None), ("a", 1)]


def test_gzipped_files_are_read(bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows) -> None:
    load(bq, text(bucket, "x.csv.gz", gzip.compress(b"a,2001-01-01,1\n")), f"{dataset}.t", schema=PEOPLE)
    assert rows(f"SELECT name FROM {dataset}.t") == [("a",)]


def test_a_schema_is_detected_on_demand(bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows) -> None:
    uri = text(bucket, "x.csv", "name,born,score,on\nann,2001-02-03,1.5,true\nbob,2002-03-04,2,false\n")
    load(bq, uri, f"{dataset}.t", autodetect=True)
    assert [(f.name, f.field_type) for f in bq.get_table(f"{dataset}.t").schema] == [
        ("name", "STRING"), ("born", "DATE"), ("score", "FLOAT"), ("on", "BOOLEAN"),
    ]  # fmt: skip
    assert rows(f"SELECT name, score FROM {dataset}.t ORDER BY name") == [("ann", 1.5), ("bob", 2.0)]
    lines = text(bucket, "x.json", '{"id": 1, "tags": ["a"], "s": {"k": "v"}}\n')
    load(bq, lines, f"{dataset}.j", autodetect=True, source_format="NEWLINE_DELIMITED_JSON")
    assert rows(f"SELECT id, tags, s.k FROM {dataset}.j") == [(1, ["a"], "v")]
    with pytest.raises(BadRequest, match="No schema specified on job or table"):
        load(bq, uri, f"{dataset}.none")


def test_lines_of_json_with_everything_in_them(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    schema = [
        SchemaField("s", "STRING"), SchemaField("i", "INT64"), SchemaField("f", "FLOAT64"), SchemaField("b", "BOOL"),
        SchemaField("n", "NUMERIC"), SchemaField("big", "BIGNUMERIC"), SchemaField("y", "BYTES"), SchemaField("d", "DATE"),
        SchemaField("t", "TIME"), SchemaField("dt", "DATETIME"), SchemaField("ts", "TIMESTAMP"), SchemaField("j", "JSON"),
        SchemaField("a", "INT64", "REPEATED"),
        SchemaField("r", "RECORD", fields=[SchemaField("x", "INT64"), SchemaField("l", "STRING", "REPEATED")]),
        SchemaField("rs", "RECORD", "REPEATED", fields=[SchemaField("k", "STRING", "REQUIRED")]),
    ]  # fmt: skip
    full = {
        "s": 'q"u', "i": "9007199254740993", "f": 1.5, "b": True, "n": "12.345", "big": "0.12345678901234567890123456789",
        "y": "/+A=", "d": "2024-05-01", "t": "01:02:03.5", "dt": "2024-05-01T01:02:03", "ts": "2024-05-01T01:02:03Z",
        "j": {"k": [1, None]}, "a": [1, 2], "r": {"x": 1, "l": ["p"]}, "rs": [{"k": "v"}, {"k": "w"}],
    }  # fmt: skip
    uri = text(bucket, "x.json", json.dumps(full) + "\n" + "{}\n")
    load(bq, uri, f"{dataset}.t", source_format="NEWLINE_DELIMITED_JSON", schema=schema)
    found = {row["s"]: dict(row) for row in bq.list_rows(f"{dataset}.t")}
    assert found['q"u'] == {
        "s": 'q"u', "i": 9007199254740993, "f": 1.5, "b": True, "n": Decimal("12.345"),
        "big": Decimal("0.12345678901234567890123456789"), "y": b"\xff\xe0", "d": dt.date(2024, 5, 1),
        "t": dt.time(1, 2, 3, 500_000), "dt": dt.datetime(2024, 5, 1, 1, 2, 3),
        "ts": dt.datetime(2024, 5, 1, 1, 2, 3, tzinfo=dt.UTC), "j": {"k": [1, None]}, "a": [1, 2],
        "r": {"x": 1, "l": ["p"]}, "rs": [{"k": "v"}, {"k": "w"}],
    }  # fmt: skip
    empty = {**dict.fromkeys(found[None]), "a": [], "rs": []}
    assert found[None] == empty
    assert list(bq.list_rows(f"{dataset}.t")) == list(bq.query_and_wait(f"SELECT * FROM {dataset}.t"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"name": "a", "strange": 1}', "No such field: strange"),
        ('{"name": "a", "n": "x"}', "Could not convert value"),
        ('{"name": ["a"]}', "Could not convert value"),
        ('{"name": ', "JSON parsing error"),
        ("[1]", "JSON parsing error"),
    ],
)
def test_a_line_that_does_not_fit_fails_the_load(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, line: str, told: str
) -> None:
    uri = text(bucket, "x.json", '{"name": "ok"}\n' + line + "\n")
    with pytest.raises(BadRequest, match=told) as caught:
        load(bq, uri, f"{dataset}.t", source_format="NEWLINE_DELIMITED_JSON", schema=PEOPLE)
    assert "Row 2" in str(caught.value)


def test_unknown_fields_of_json_are_ignored_on_demand(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri = text(bucket, "x.json", '{"name": "a", "strange": {"deep": [1]}}\n')
    options: dict[str, Any] = {
        "source_format": "NEWLINE_DELIMITED_JSON",
        "schema": PEOPLE,
        "ignore_unknown_values": True,
    }
    load(bq, uri, f"{dataset}.t", **options)
    assert rows(f"SELECT name FROM {dataset}.t") == [("a",)]


def test_an_upload_is_a_load(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    small = io.BytesIO(b"a,2001-01-01,1\n")
    job = bq.load_table_from_file(small, f"{dataset}.t", job_config=LoadJobConfig(schema=PEOPLE))
    assert job.result().output_rows == 1
    many = "".join(f"name{i},2001-01-01,{i}\n" for i in range(400_000)).encode()
    job = bq.load_table_from_file(
        io.BytesIO(many), f"{dataset}.t", size=len(many), job_config=LoadJobConfig(schema=PEOPLE)
    )
    assert job.result().output_rows == 400_000, f"{len(many)} bytes come in several chunks"
    assert rows(f"SELECT COUNT(*), SUM(n) FROM {dataset}.t") == [(400_001, 79_999_800_001)]


def test_a_frame_goes_in_and_comes_out(bq: bigquery.Client, dataset: str) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "n": [1, 2],
            "x": [0.5, None],
            "on": [True, False],
            "at": pd.to_datetime(["2024-05-01 01:02:03.000004", "2024-05-02"], utc=True, format="ISO8601"),
            "day": [dt.date(2024, 5, 1), None],
        }
    )
    job = bq.load_table_from_dataframe(frame, f"{dataset}.t")
    assert job.result().output_rows == 2
    types = {f.name: f.field_type for f in bq.get_table(f"{dataset}.t").schema}
    assert types == {"id": "STRING", "n": "INTEGER", "x": "FLOAT", "on": "BOOLEAN", "at": "TIMESTAMP", "day": "DATE"}
    back = bq.query(f"SELECT * FROM {dataset}.t ORDER BY id").to_dataframe(create_bqstorage_client=False)
    assert back["at"].tolist() == frame["at"].tolist()
    assert back[["id", "n", "on"]].to_numpy().tolist() == frame[["id", "n", "on"]].to_numpy().tolist()
    table = bq.query(f"SELECT * FROM {dataset}.t").to_arrow(create_bqstorage_client=False)
    assert table.num_rows == 2


def test_lists_and_structs_of_parquet_need_list_inference(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri = parquet(bucket, "x.parquet", tags=[["a", "b"], None], s=[{"k": 1}, {"k": None}])
    with pytest.raises(BadRequest, match="enable_list_inference"):
        load(bq, uri, f"{dataset}.t", source_format="PARQUET")
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    load(bq, uri, f"{dataset}.t", source_format="PARQUET", parquet_options=options)
    assert rows(f"SELECT tags, s.k FROM {dataset}.t ORDER BY k") == [([], None), (["a", "b"], 1)]


@pytest.mark.parametrize(
    "configuration", [{"source_format": "AVRO"}, {"source_format": "ORC"}, {"encoding": "UTF-32BE"}]
)
def test_what_a_load_cannot_do_is_refused(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, configuration: dict[str, Any]
) -> None:
    with pytest.raises(MethodNotImplemented, match="does not load"):
        load(bq, f"gs://{bucket.name}/x", f"{dataset}.t", **configuration)


def test_a_load_in_the_wrong_location_does_not_find_the_dataset(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    with pytest.raises(GoogleAPICallError, match="was not found in location US"):
        bq.load_table_from_uri(f"gs://{bucket.name}/x", f"{PROJECT}.{dataset}.t", location="US").result()


def test_booleans_are_loaded_in_all_forms_that_google_documents(
    bq: bigquery.Client, dataset: str, bucket: storage.Bucket, rows: Rows
) -> None:
    uri = text(bucket, "flags.csv", "1,TRUE\n2,t\n3,Yes\n4,1\n5,n\n6,f\n7,no\n8,0\n")
    schema = [SchemaField("id", "INT64"), SchemaField("flag", "BOOL")]
    load(bq, uri, f"{PROJECT}.{dataset}.flags", source_format="CSV", schema=schema)
    assert [flag for (flag,) in rows(f"SELECT flag FROM {dataset}.flags ORDER BY id")] == [True] * 4 + [False] * 4
