"""The partition that a delivery is compared with: that of the latest earlier run date.

Which dates there are is told by the plans of deliveries, and what they hold by the table itself. Does not own the
comparison (`comparison.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from google.cloud import bigquery

from service import data_files, drift
from service.columns import Column
from service.receipt import PLANS
from service.run import Run


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An earlier partition: its number of rows, and for the columns that were asked for how their values spread."""

    run_date: date
    rows: int
    shapes: list[drift.Shape]


def latest_earlier(run: Run, columns: Sequence[Column]) -> Reference | None:
    """The partition of the latest run date before the run's that holds rows, None when there is none.

    Reads metadata, and the compared columns of that one partition.
    """
    for day in _earlier_dates(run):
        rows = run.clients.bigquery.get_table(f"{run.settings.table}${day:%Y%m%d}").num_rows
        if rows:
            return Reference(run_date=day, rows=rows, shapes=_shapes(run, columns, day))
    return None


def _earlier_dates(run: Run) -> Iterator[date]:
    """The run dates before the run's for which a delivery was ever planned, latest first."""
    blobs = run.clients.runs.list_blobs(prefix=PLANS, end_offset=f"{PLANS}{run.run_date}.json")
    names = sorted((str(blob.name) for blob in blobs), reverse=True)
    return (date.fromisoformat(name.removeprefix(PLANS).removesuffix(".json")) for name in names)


def _shapes(run: Run, columns: Sequence[Column], day: date) -> list[drift.Shape]:
    if not columns:
        return []
    table = f"`{run.settings.table}`"
    where = f"run_date = {data_files.literal(str(day))}"
    deciles = _answer(run, drift.quantiles_sql(drift.BIGQUERY, columns, table, where))
    edges = [drift.edges_of(values) for values in deciles]
    return drift.shapes(edges, _answer(run, drift.counts_sql(drift.BIGQUERY, columns, edges, table, where)))


def _answer(run: Run, query: str) -> Sequence[Any]:
    config = bigquery.QueryJobConfig(labels=run.labels, use_query_cache=False)
    row = next(iter(run.clients.bigquery.query_and_wait(query, job_config=config)))
    return list(row.values())
