"""What the demo tells at its end: predictions, the model, the DAG runs, and how right the model was.

Reads the warehouse and the buckets through the official clients, as anybody could.
"""

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage
from requests import RequestException
from rich import box
from rich.console import Console
from rich.table import Table

from local.programs import StepFailed
from local.rehearse import DagRun, Rehearsal

SHOWN_PREDICTIONS = 10
UNLIMITED = 1000  # columns
HORIZON_DAYS = 90  # as in the model's application.json

PREDICTIONS = """
SELECT customer_id AS customer, probability_alive AS alive, expected_purchases AS expected,
  model_version AS version, run_id AS `run id`
FROM `{table}` WHERE run_date = @run_date ORDER BY expected_purchases DESC, customer_id LIMIT {limit}
"""
# A purchase is a customer's day with at least one transaction, as the model counts them.
DECILES = """
WITH actual AS (
  SELECT customer_id, COUNT(DISTINCT purchased_on) AS purchases FROM `{source}`
  WHERE purchased_on >= @run_date AND purchased_on < DATE_ADD(@run_date, INTERVAL {days} DAY) GROUP BY customer_id
), ranked AS (
  SELECT NTILE(10) OVER (ORDER BY p.expected_purchases DESC, p.customer_id) AS decile,
    p.expected_purchases, COALESCE(a.purchases, 0) AS purchases
  FROM `{table}` AS p LEFT JOIN actual AS a ON a.customer_id = p.customer_id WHERE p.run_date = @run_date
)
SELECT decile, COUNT(*) AS customers, SUM(expected_purchases) AS expected, SUM(purchases) AS actual
FROM ranked GROUP BY decile ORDER BY decile
"""


def show(rehearsal: Rehearsal, model: str, runs: list[DagRun], console: Console) -> None:
    """Print the report of a finished demo; `runs` holds the training first.

    Raises:
        StepFailed: the warehouse or the buckets refused a question.
    """
    try:
        _show(rehearsal, model, runs, console)
    except (GoogleAPIError, RequestException) as error:
        raise StepFailed("report", str(error), rehearsal.logs / "cloud.log") from error


def show_addresses(rehearsal: Rehearsal, console: Console, *, stop: str | None) -> None:
    """Print where the running parts answer, and how to look into them.

    Args:
        stop: a short command that stops them, if there is one.
    """
    folder, environment = _shown(rehearsal.folder), _shown(Path(sys.prefix))
    rows = {
        "Airflow": [rehearsal.airflow_url],
        "local cloud": [rehearsal.env["STORAGE_ENDPOINT"]],
        "look around": [
            f"source {environment}/bin/activate",
            f'eval "$(python -m tools.job_environment --folder {folder})"',
            "python -m local executions",
            "python -m local logs --filter 'severity>=WARNING'",
            "python -m local query 'SELECT run_id, status, rows FROM predictions.customer_value_runs'",
            "python -m service explain --run-date 1997-10-02 --key 0157",
            f"pulumi preview --stack {rehearsal.stack}",
        ],
        "stop": [stop or f"python -m local.demo --stop --folder {folder}"],
    }
    for name, lines in rows.items():
        for at, line in enumerate(lines):
            console.print(f"{'' if at else name:12} {line}", markup=False, highlight=False, soft_wrap=True)


def _shown(path: Path) -> str:
    """A path as a shell in this directory takes it, the shorter way."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _show(rehearsal: Rehearsal, model: str, runs: list[DagRun], console: Console) -> None:
    project, table = rehearsal.env["GOOGLE_CLOUD_PROJECT"], rehearsal.outputs["tables"][model]
    endpoint = {"api_endpoint": rehearsal.env["BIGQUERY_ENDPOINT"]}
    client = bigquery.Client(project, credentials=AnonymousCredentials(), client_options=endpoint)
    run_date = bigquery.ScalarQueryParameter("run_date", "DATE", runs[-1].run_date)
    config = bigquery.QueryJobConfig(query_parameters=[run_date])

    sql = PREDICTIONS.format(table=table, limit=SHOWN_PREDICTIONS)
    rows = [dict(row) for row in client.query_and_wait(sql, job_config=config)]
    _print(f"Predictions for {runs[-1].run_date} in {table}", rows, console)
    fitted = _metrics(rehearsal, rehearsal.outputs["buckets"][model]["models"], rows[0]["version"])
    _print(f"Version {rows[0]['version']}", [{"fitted": k, "value": v} for k, v in fitted.items()], console)
    _print("DAG runs", [_run_row(run) for run in runs], console)

    sql = DECILES.format(table=table, source=f"{project}.example_shop.transactions", days=HORIZON_DAYS)
    deciles = [dict(row) for row in client.query_and_wait(sql, job_config=config)]
    total = {key: sum(row[key] for row in deciles) for key in ("customers", "expected", "actual")}
    title = f"Expected and actual purchases in the {HORIZON_DAYS} days from {runs[-1].run_date}"
    _print(title, [*deciles, {"decile": "all", **total}], console)
    console.print("A customer with one purchase has a probability of 1 of being alive in this model.", style="dim")
    console.print(f"\nEverything of this demo lies in {rehearsal.folder}\nLogs: {rehearsal.logs}\n", soft_wrap=True)


def _metrics(rehearsal: Rehearsal, bucket: str, version: str) -> dict[str, Any]:
    """What the training of a version measured; the example's model puts its parameters there, too."""
    endpoint = {"api_endpoint": rehearsal.env["STORAGE_ENDPOINT"]}
    project = rehearsal.env["GOOGLE_CLOUD_PROJECT"]
    client = storage.Client(project, credentials=AnonymousCredentials(), client_options=endpoint)
    metrics: dict[str, Any] = json.loads(
        client.bucket(bucket).blob(f"versions/{version}/metrics.json").download_as_text()
    )
    return metrics


def _run_row(run: DagRun) -> dict[str, Any]:
    times = {task["task_id"]: _seconds(task) for task in run.tasks}
    return {"DAG": run.dag_id, "run date": run.run_date, "state": run.state, **times}


def _seconds(task: dict[str, Any]) -> str:
    start, end = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
    return f"{(end - start).total_seconds():.1f} s"


def _print(title: str, rows: list[dict[str, Any]], console: Console) -> None:
    """Print a table; where it is too wide, a value that all rows share stands once, below the title."""
    console.print()
    console.print(title, style="bold", highlight=False, soft_wrap=True)
    table = _table(rows)
    if console.measure(table, options=console.options.update_width(UNLIMITED)).maximum > console.width:
        shared = {name: value for name, value in rows[0].items() if all(row[name] == value for row in rows)}
        for name, value in shared.items():
            console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
        table = _table([{name: value for name, value in row.items() if name not in shared} for row in rows])
    console.print(table)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
