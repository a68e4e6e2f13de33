"""Predictions of the example model for real days of the CDNOW transactions, and bootstraps of them."""

import csv
import itertools
import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from customer_value.bgnbd import Parameters, expected_purchases, fit, probability_alive
from customer_value.transactions import Histories, read_histories

from service import comparison, data_files, drift, gate, spec
from service.data_files import DataFiles
from service.findings import Finding
from service.reference import Reference
from service.spec import ModelSpec
from tools.example_data import read_transactions

COLUMNS = ("customer_id", "probability_alive", "expected_purchases")
EXAMPLE = spec.load(spec.MODELS / "customer_value")
HORIZON_WEEKS = 90 / 7
NUMBERS = itertools.count()


@cache
def transactions() -> tuple[tuple[str, str], ...]:
    """Customer and day of every purchase."""
    rows = csv.DictReader(read_transactions().decode().splitlines())
    return tuple((row["customer_id"], row["purchased_on"]) for row in rows)


@cache
def histories(run_date: date) -> Histories:
    """What was known on a day."""
    known = [row for row in transactions() if row[1] < str(run_date)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("customer_id", "purchased_on"), *known])
        return read_histories(path, run_date)


@cache
def version(trained: date) -> Parameters:
    """What the training of a day learns."""
    return fit(histories(trained))[0]


@cache
def predicted(run_date: date, trained: date) -> pa.Table:
    """The predictions of a day, with the version that was trained on another."""
    known, parameters = histories(run_date), version(trained)
    alive = probability_alive(parameters, known)
    expected = expected_purchases(parameters, known, HORIZON_WEEKS)
    return pa.table([pa.array(known.customer_ids), pa.array(alive), pa.array(expected)], names=list(COLUMNS))


def day(run_date: date) -> pa.Table:
    """The predictions of a day, with the version that is live on it."""
    return predicted(run_date, run_date.replace(day=1))


def bootstrap(table: pa.Table, random: np.random.Generator) -> pa.Table:
    """Customers drawn with replacement, so that their number varies, too; each draw is a customer of its own."""
    times = random.poisson(1, table.num_rows)
    drawn = table.take(pa.array(np.repeat(np.arange(table.num_rows), times)))
    again = np.concatenate([np.arange(n) for n in times])
    names = [f"{name}.{n}" for name, n in zip(drawn["customer_id"].to_pylist(), again, strict=True)]
    return drawn.set_column(0, "customer_id", pa.array(names))


@dataclass
class Judged:
    """What the gate says of one delivery."""

    findings: list[Finding]
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> set[str]:
        return {finding.rule for finding in self.findings}


class Gate:
    """The gate of a model over Parquet files of one folder, with the model's own limits."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection, model: ModelSpec = EXAMPLE) -> None:
        self.folder, self.connection, self.model = folder, connection, model

    def file(self, name: str, table: pa.Table) -> DataFiles:
        # A name of its own: DuckDB keeps what it read of a file that is written anew within the same second.
        path = self.folder / f"{name}-{next(NUMBERS)}.parquet"
        pyarrow.parquet.write_table(table, path)
        return DataFiles((path,), "parquet")

    def reference(self, table: pa.Table, run_date: date) -> Reference:
        """As `reference.latest_earlier` learns it from the warehouse."""
        columns = drift.compared(self.model.columns, self.model.entity_key)
        source = self.file("earlier", table).relation()
        deciles = self.connection.execute(drift.quantiles_sql(drift.DUCKDB, columns, source)).fetchone() or ()
        edges = [drift.edges_of(values) for values in deciles]
        counts = self.connection.execute(drift.counts_sql(drift.DUCKDB, columns, edges, source)).fetchone() or ()
        return Reference(run_date=run_date, rows=table.num_rows, shapes=drift.shapes(edges, counts))

    def judge(self, made: pa.Table, due: pa.Table, earlier: pa.Table, run_date: date) -> Judged:
        """Everything that `apply` asks of predictions, in its order."""
        predictions, keys = self.file("made", made), self.file("due", due.select([self.model.entity_key]))
        found = gate.examine(self.connection, predictions, keys, self.model.columns, self.model.entity_key)
        if any(not finding.may_be_forced for finding in found):
            return Judged(found)
        more, report = comparison.compare(
            self.connection,
            predictions,
            self.model.columns,
            self.model.entity_key,
            self.model.gates.delivery,
            self.reference(earlier, run_date - timedelta(days=1)),
        )
        return Judged([*found, *more], report)


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """As a run connects."""
    return data_files.connect(folder)
