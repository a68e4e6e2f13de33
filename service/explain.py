"""From a row, a run date or a run id back to what made it: receipt, promotion, version, commit, image, gate report.

Reads receipts, manifests and the history of promotions; of the table it reads one row, if a row is asked about.
"""

from datetime import UTC, date
from typing import Any

from google.cloud import bigquery

from service import promotions, receipt, versions
from service.clients import Clients
from service.errors import BadData
from service.settings import Settings
from service.spec import ModelSpec

LIST_THEM = "`python -m service check --run-date DATE` names the run of a date; the table of runs lists all."


def of_run(clients: Clients, run_id: str) -> dict[str, Any]:
    """Explain a run by its last execution that was not superseded.

    Raises:
        BadData: the run left no receipt.
    """
    found = receipt.of_run(clients.runs, run_id)
    if not found:
        raise BadData(f"Run '{run_id}' has no receipt in 'gs://{clients.runs.name}'.", LIST_THEM)
    chosen = next((r for r in reversed(found) if r["status"] != "superseded"), found[-1])
    return _explained(clients, chosen, found)


def of_date(clients: Clients, settings: Settings, action: str, run_date: date) -> dict[str, Any]:
    """Explain the newest run of a run date.

    Raises:
        BadData: the run date has no receipt.
    """
    newest = receipt.newest(clients.runs, settings.model, action, run_date)
    if newest is None:
        text = f"The {action} of '{settings.model}' for {run_date} has no receipt in 'gs://{clients.runs.name}'."
        raise BadData(text, LIST_THEM)
    return _explained(clients, newest, receipt.of_run(clients.runs, newest["run_id"]))


def of_row(clients: Clients, settings: Settings, model: ModelSpec, key: str, run_date: date) -> dict[str, Any]:
    """Explain the prediction for one key and run date.

    Raises:
        BadData: there is no such row, or no receipt of the delivery that made it.
    """
    query = f"SELECT * FROM `{settings.table}` WHERE run_date = @run_date"  # noqa: S608 - names of the stack and schema
    query += f" AND CAST(`{model.entity_key}` AS STRING) = @key"
    parameters = [
        bigquery.ScalarQueryParameter("run_date", "DATE", run_date),
        bigquery.ScalarQueryParameter("key", "STRING", key),
    ]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    row = next((dict(row) for row in clients.bigquery.query_and_wait(query, job_config=config)), None)
    if row is None:
        text = f"There is no prediction for '{key}' on {run_date} in '{settings.table}'."
        raise BadData(text, f"Give a value of '{model.entity_key}' that was in the input of that day.")
    made_at = f"{row['predicted_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    found = receipt.of_run(clients.runs, row["run_id"])
    maker = next((r for r in found if r.get("predicted_at") == made_at), None)
    if maker is None:
        text = f"No receipt of run '{row['run_id']}' tells of the rows that were made at {made_at}: the execution ended"
        raise BadData(f"{text} between its delivery and its receipt.", "Run the date again; the table is complete.")
    return {"row": {name: str(value) for name, value in row.items()}} | _explained(clients, maker, found)


def _explained(clients: Clients, chosen: dict[str, Any], all_of_run: list[dict[str, Any]]) -> dict[str, Any]:
    explained: dict[str, Any] = {"run": chosen}
    explained["executions"] = [{key: r[key] for key in ("execution", "status", "ended_at")} for r in all_of_run]
    explained["log"] = f'labels.run_id="{chosen["run_id"]}"'
    version = chosen["model_version"]
    if version is not None:
        manifest = versions.read(clients.models, version)
        explained["version"] = {name: value for name, value in manifest.__dict__.items() if name != "files"}
        explained["promotions"] = [p.document() for p in promotions.history(clients.models) if p.to_version == version]
    return explained
