"""The population stability index: its value, its bins, and what chance explains."""

import random
from pathlib import Path

import pytest
from google.cloud import bigquery

from service import data_files, drift
from service.columns import Column
from service.drift import Shape
from tests.service.deployments import Deployment


def column(name: str, kind: str = "FLOAT64") -> Column:
    return Column(name=name, type=kind, mode="NULLABLE", description="x")


def test_the_index_is_the_textbooks() -> None:
    # (0.5 - 0.4) ln(0.5 / 0.4) + (0.5 - 0.6) ln(0.5 / 0.6)
    now, then = Shape((1.0,), (0, 50, 50)), Shape((1.0,), (0, 40, 60))
    assert drift.index(now, then) == pytest.approx(0.0405465, abs=1e-6)
    assert drift.index(then, then) == 0


def test_an_empty_bin_counts_as_half_a_row() -> None:
    assert drift.index(Shape((), (0, 10)), Shape((), (5, 5))) == pytest.approx(
        (0.05 - 0.5) * -2.302585 + 0.5 * 0.693147, abs=1e-5
    )


def test_a_value_that_many_share_lies_inside_a_bin() -> None:
    assert drift.edges_of([0, 1, 1, 1, 3]) == (0.5, 2.0)
    assert drift.edges_of([2, 2, 2]) == pytest.approx((1.8, 2.2))
    assert drift.edges_of([0, 0]) == (-0.1, 0.1)
    assert drift.edges_of([]) == drift.edges_of(None) == ()


def test_chance_explains_much_of_few_rows_and_little_of_many() -> None:
    def of(rows: int) -> float:
        shape = Shape(tuple(range(9)), (0, *[rows // 10] * 10))
        return drift.by_chance(shape, shape)

    # chi-square with nine degrees of freedom exceeds 46.0 or so once in a million
    assert of(1000) == pytest.approx(46.0 * 2 / 1000, rel=0.02)
    assert of(10) > 5
    assert of(1_000_000) < 0.0002


def test_both_dialects_count_alike(deployment: Deployment, tmp_path: Path) -> None:
    seeded = random.Random(5)  # noqa: S311 - no secret
    rows = [
        {"share": None if at % 9 == 0 else seeded.gauss(0, 3), "visits": at % 4, "price": f"{at / 8:.3f}"}
        for at in range(400)
    ]
    columns = [column("share"), column("visits", "INT64"), column("price", "NUMERIC")]
    schema = [bigquery.SchemaField(c.name, c.type) for c in columns]
    warehouse, table = deployment.clients.bigquery, f"{deployment.env['DATASET']}.spread"
    config = bigquery.LoadJobConfig(schema=schema)
    warehouse.load_table_from_json(rows, table, job_config=config).result()

    def asked(query: str) -> list[object]:
        return list(next(iter(warehouse.query_and_wait(query))).values())

    deciles = asked(drift.quantiles_sql(drift.BIGQUERY, columns, f"`{table}`"))
    edges = [drift.edges_of(values) for values in deciles]  # type: ignore[arg-type]  # rows of a query are untyped
    there = drift.shapes(edges, asked(drift.counts_sql(drift.BIGQUERY, columns, edges, f"`{table}`")))  # type: ignore[arg-type]
    with data_files.connect(tmp_path) as connection:
        connection.execute("CREATE TABLE spread (share DOUBLE, visits BIGINT, price DECIMAL(38, 9))")
        connection.executemany("INSERT INTO spread VALUES (?, ?, ?)", [list(row.values()) for row in rows])
        own = connection.execute(drift.quantiles_sql(drift.DUCKDB, columns, "spread")).fetchone() or ()
        assert [drift.edges_of(values) for values in own] == edges
        here = drift.shapes(
            edges, connection.execute(drift.counts_sql(drift.DUCKDB, columns, edges, "spread")).fetchone() or ()
        )
    assert here == there
    assert [shape.rows for shape in here] == [400, 400, 400]
    assert here[0].counts[0] == 45, "rows without a value are a bin of their own"
