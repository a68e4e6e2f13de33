"""Compares predictions in the table's form with an earlier partition, under the limits of model.yaml.

Does not own rules for single values and keys (`gate.py`), nor where the earlier partition is (`reference.py`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from service import data_files, drift
from service.columns import Column
from service.data_files import DataFiles
from service.findings import Finding
from service.gate_limits import DeliveryLimits
from service.reference import Reference


def compare(
    connection: duckdb.DuckDBPyConnection,
    predictions: DataFiles,
    columns: Sequence[Column],
    key: str,
    limits: DeliveryLimits,
    reference: Reference | None,
) -> tuple[list[Finding], dict[str, Any]]:
    """Measure shares of nulls, drift and the change of the number of rows.

    Args:
        predictions: typed as schema.json says.
        reference: shapes of the columns that `drift.compared` names; None on a model's first run date.

    Returns:
        The findings, and the report: every number that was measured, beside its limit.
    """
    rows, shares = _null_shares(connection, predictions, columns)
    report: dict[str, Any] = {"rows": rows, "columns": {}, "reference": None}
    findings = []
    for column, share in zip(columns, shares, strict=True):
        if column.mode == "NULLABLE":
            limit = limits.null_share(column.name)
            report["columns"][column.name] = {"null_share": share, "maximum_null_share": limit}
            if share > limit:
                findings.append(_null_finding(column.name, share, limit, rows))
    if reference is not None:
        findings += _row_change(rows, reference, limits, report)
        findings += _drift(connection, predictions, drift.compared(columns, key), limits, reference, report)
    return findings, report


def _null_shares(
    connection: duckdb.DuckDBPyConnection, predictions: DataFiles, columns: Sequence[Column]
) -> tuple[int, list[float]]:
    counts = ", ".join(f"count(*) - count({data_files.name(column.name)})" for column in columns)
    rows, *nulls = connection.execute(data_files.select(f"count(*), {counts}", predictions.relation())).fetchone() or ()
    return rows, [count / rows if rows else 0.0 for count in nulls]


def _null_finding(column: str, share: float, limit: float, rows: int) -> Finding:
    text = f"Column '{column}' has no value in {share:.1%} of {rows} rows; at most {limit:.1%} may lack one."
    return Finding(rule="null_share", column=column, count=round(share * rows), examples=(), message=text)


def _row_change(rows: int, reference: Reference, limits: DeliveryLimits, report: dict[str, Any]) -> Iterator[Finding]:
    change = rows / reference.rows - 1
    report["reference"] = {"run_date": str(reference.run_date), "rows": reference.rows}
    report |= {"row_change": change, "maximum_row_change": limits.maximum_row_change}
    if abs(change) > limits.maximum_row_change:
        text = f"There are {rows} predictions after {reference.rows} for {reference.run_date}"
        message = f"{text}, a change of {change:+.1%}; at most {limits.maximum_row_change:.1%} is allowed."
        yield Finding(rule="row_change", column=None, count=abs(rows - reference.rows), examples=(), message=message)


def _drift(
    connection: duckdb.DuckDBPyConnection,
    predictions: DataFiles,
    columns: Sequence[Column],
    limits: DeliveryLimits,
    reference: Reference,
    report: dict[str, Any],
) -> Iterator[Finding]:
    """Drift beyond the limit, unless so few rows drift so far by chance."""
    if not columns:
        return
    edges = [shape.edges for shape in reference.shapes]
    query = drift.counts_sql(drift.DUCKDB, columns, edges, predictions.relation())
    now = drift.shapes(edges, connection.execute(query).fetchone() or ())
    for column, new, old in zip(columns, now, reference.shapes, strict=True):
        if not new.rows:
            continue  # an empty delivery is the business of the keys
        index, chance, limit = drift.index(new, old), drift.by_chance(new, old), limits.drift(column.name)
        measured = {"drift": index, "maximum_drift": limit, "drift_by_chance": chance}
        report["columns"][column.name] = report["columns"].get(column.name, {}) | measured
        if index > max(limit, chance):
            text = f"Column '{column.name}' drifted by {index:.3f} from {reference.run_date}; {limit:g} is allowed"
            message = f"{text}, and chance explains {chance:.3f}."
            yield Finding(rule="drift", column=column.name, count=new.rows, examples=(), message=message)
