"""The formula of service/fingerprint.py, computed three ways."""

import hashlib
import itertools
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.cloud import bigquery
from google.cloud.storage import Bucket
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service import data_files, fingerprint
from service.data_files import DataFiles

KINDS: dict[str, st.SearchStrategy[Any]] = {
    "STRING": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FLOAT64": st.floats(),
    "NUMERIC": st.decimals(-(10**28), 10**28, places=9, allow_nan=False),
    "BOOL": st.booleans(),
    "DATE": st.dates(),
    "TIMESTAMP": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
}
COLUMNS = [(f"a_{kind}", kind) for kind in KINDS]
ROWS = st.lists(st.tuples(*(st.none() | strategy for strategy in KINDS.values())), max_size=4)
# Doubles at which the formula takes another way.
EDGES: list[float | None] = [
    2.0**-30,
    math.nextafter(2.0**-30, 0),
    5e-324,
    2.0**31 - 1,
    2.0**32 - 1,
    math.nextafter(2.0**32 - 1, math.inf),
]
EDGES += [0.0, math.inf, math.nan, 1.7e308, None]
EDGE_ROWS = [(f"{value}", None, value, None, None, None, None) for value in EDGES]
DUCKDB = {"STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38, 9)", "BOOL": "BOOLEAN"}
DUCKDB |= {"DATE": "DATE", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE"}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """A DuckDB as the service makes it, with one table of all types."""
    made = data_files.connect(tmp_path_factory.mktemp("duckdb"))
    made.execute(f"CREATE TABLE t ({', '.join(f'{data_files.name(n)} {DUCKDB[k]}' for n, k in COLUMNS)})")
    return made


@pytest.fixture
def warehouse(owner: dict[str, str]) -> str:
    """The name of a table in a dataset of its own."""
    client = bigquery.Client(project=owner["GOOGLE_CLOUD_PROJECT"])
    client.create_dataset("fingerprints", exists_ok=True)
    return f"{client.project}.fingerprints.t"


def in_duckdb(connection: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> str:
    connection.execute("DELETE FROM t")
    for row in rows:
        # As text: the Python client takes Decimal and dates beyond its own range for other types.
        given_as = [v if v is None or isinstance(v, str) else f"{v!s}" for v in row]
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", given_as)
    return fingerprint.text(*connection.execute(fingerprint.duckdb_sql(COLUMNS, "t")).fetchone() or ())


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS)
def test_duckdb_and_python_agree(connection: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> None:
    assert in_duckdb(connection, rows) == fingerprint.of_rows(COLUMNS, rows)


# Without shrinking: an example costs a load job.
@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
@given(rows=st.lists(st.tuples(*(st.none() | strategy for strategy in KINDS.values())), min_size=5, max_size=40))
def test_the_warehouse_agrees(
    connection: duckdb.DuckDBPyConnection, bucket: Bucket, warehouse: str, tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    """By the way that predictions take: DuckDB, Parquet, a load job, a query."""
    rows = [*rows, *EDGE_ROWS]
    known = in_duckdb(connection, rows)
    connection.execute(f"COPY t TO '{tmp_path}/t.parquet'")
    bucket.blob("t.parquet").upload_from_filename(f"{tmp_path}/t.parquet")
    client = bigquery.Client(project=bucket.client.project)
    schema = [bigquery.SchemaField(name, kind) for name, kind in COLUMNS]
    config = bigquery.LoadJobConfig(source_format="PARQUET", schema=schema, write_disposition="WRITE_TRUNCATE")
    client.load_table_from_uri(f"gs://{bucket.name}/t.parquet", warehouse, job_config=config).result()
    (answer,) = client.query_and_wait(fingerprint.bigquery_sql(COLUMNS, f"`{warehouse}`"))
    assert fingerprint.text(*answer) == known == fingerprint.of_rows(COLUMNS, rows)


def test_doubles_at_the_edges_are_told_apart(connection: duckdb.DuckDBPyConnection) -> None:
    values = {*EDGES, *(-value for value in EDGES if value and not math.isnan(value))}
    told = {in_duckdb(connection, [("", None, value, None, None, None, None)]) for value in values}
    assert len(told) == len(values)


def test_the_order_of_rows_does_not_matter_and_each_value_does() -> None:
    columns = [("k", "STRING"), ("v", "FLOAT64")]
    rows = [("a", 0.1), ("b", None)]
    known = fingerprint.of_rows(columns, rows)
    assert fingerprint.of_rows(columns, rows[::-1]) == known
    assert fingerprint.of_rows(columns, [("a", math.nextafter(0.1, 1)), ("b", None)]) != known, "the last bit counts"
    assert fingerprint.of_rows(columns, [*rows, ("b", None)]) != known, "a repeated row counts"


def test_values_do_not_run_into_each_other() -> None:
    columns = [("x", "STRING"), ("y", "STRING")]
    told = {
        fingerprint.of_rows(columns, [row])
        for row in [("ab", "c"), ("a", "bc"), ("abc", ""), ("abc", None), (None, "abc")]
    }
    assert len(told) == 5, "their places and the number of NULL keep them apart"


@pytest.mark.parametrize(
    ("kind", "value", "numbers"),
    [
        ("INT64", -7, (0, -7)),
        ("INT64", -(2**31) - 1, (-1, -1)),
        ("FLOAT64", 1.5, (2**30 + 2**29, 0, 0)),
        ("FLOAT64", -(2.0**-30) - 2.0**-82, (-1, -1, 0)),
        ("FLOAT64", 2.0**31 - 1, (18 * 2**30 % (2**31 - 19), 0, 0)),
        ("FLOAT64", -0.0, (0, 0, 0)),
        ("FLOAT64", None, (0, 0, 7_046_029_254)),
        ("TIMESTAMP", datetime(1970, 1, 2, tzinfo=UTC), (40, 500_654_080)),
        ("INT64", None, (fingerprint.NULL // 2**31, fingerprint.NULL % 2**31)),
        ("STRING", None, (7_046_029_254,)),
    ],
)
def test_the_numbers_are_as_documented(kind: str, value: object, numbers: tuple[int, ...]) -> None:
    assert fingerprint._in_python(kind, value) == numbers


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("STRING", "añ😀", "añ😀"),
        ("FLOAT64", 2.0**40, "1099511627776"),
        ("FLOAT64", math.nan, "nan"),
        ("FLOAT64", -math.inf, "-inf"),
        ("NUMERIC", Decimal("-1.5"), "-1.500000000"),
        ("BOOL", True, "true"),
        ("DATE", date(1997, 10, 1), "1997-10-01"),
    ],
)
def test_what_is_no_number_is_the_digest_of_its_text(kind: str, value: object, written: str) -> None:
    digest = hashlib.md5(written.encode(), usedforsecurity=False).digest()
    number = int(digest[::-1].hex()[-8:], 16)
    assert fingerprint._in_python(kind, value) == ((0, 0, number) if kind == "FLOAT64" else (number,))


def test_values_exchanged_between_rows_change_it() -> None:
    columns = [("k", "STRING"), ("v", "FLOAT64"), ("n", "INT64")]
    rows = [(f"key {at}", at / 7, at) for at in range(40)]
    known = fingerprint.of_rows(columns, rows)
    for one, other in itertools.pairwise(rows):
        rest = [row for row in rows if row not in (one, other)]
        exchanged = [(one[0], other[1], one[2]), (other[0], one[1], other[2])]
        assert fingerprint.of_rows(columns, [*rest, *exchanged]) != known


def test_the_fingerprints_of_parts_add_up() -> None:
    columns = [("k", "STRING"), ("v", "FLOAT64")]
    rows = [(f"key {at}", 1 / (at + 1)) for at in range(10)]
    parts = [
        fingerprint.of_rows(columns, rows[:3]),
        fingerprint.of_rows(columns, []),
        fingerprint.of_rows(columns, rows[3:]),
    ]
    assert fingerprint.combined(parts) == fingerprint.of_rows(columns, rows)


def test_an_input_with_types_of_its_own_is_fingerprinted(tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    with data_files.connect(tmp_path) as connection:
        connection.execute(f"COPY (SELECT [1, 2] AS l, TIME '10:00' AS t, 1.5::FLOAT AS f) TO '{path}'")
        files = DataFiles((path,), "parquet")
        columns = [(n, fingerprint.kind_of_duckdb(k)) for n, k in data_files.columns(connection, files).items()]
        assert [kind for _, kind in columns] == ["STRING", "STRING", "FLOAT64"]
        rows, *_ = connection.execute(fingerprint.duckdb_sql(columns, files.relation())).fetchone() or ()
    assert rows == 1
