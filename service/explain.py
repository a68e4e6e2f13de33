"""From a row, a run date or a run id back to what made it: receipt, promotion, version, commit, image, gate report.

Reads receipts, manifests and the history of promotions; of the table it reads one row, if a row is asked about.
"""

from collections.abc import Mapping
from datetime import UTC, date
from typing import Any
from urllib.parse import quote

from google.cloud import bigquery

from service import objects, promotions, receipt, versions
from service.clients import Clients
from service.errors import BadData
from service.settings import Settings
from service.spec import ModelSpec

LIST_THEM = "`python -m service check --run-date DATE` names the run of a date; the table of runs lists all."


def of_run(clients: Clients, settings: Settings, run_id: str) -> dict[str, Any]:
    """Explain a run by its last execution that was not superseded.

    Raises:
        BadData: the run left no receipt.
    """
    found = receipt.of_run(clients.runs, run_id)
    if not found:
        raise BadData(f"Run '{run_id}' has no receipt in 'gs://{clients.runs.name}'.", LIST_THEM)
    chosen = next((r for r in reversed(found) if r["status"] != "superseded"), found[-1])
    return _explained(clients, settings, chosen, found)


def of_date(clients: Clients, settings: Settings, action: str, run_date: date) -> dict[str, Any]:
    """Explain the newest run of a run date.

    Raises:
        BadData: the run date has no receipt.
    """
    newest = receipt.newest(clients.runs, settings.model, action, run_date)
    if newest is None:
        text = f"The {action} of '{settings.model}' for {run_date} has no receipt in 'gs://{clients.runs.name}'."
        raise BadData(text, LIST_THEM)
    return _explained(clients, settings, newest, receipt.of_run(clients.runs, newest["run_id"]))


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
        raise _no_row(clients, settings, model, key, run_date)
    made_at = f"{row['predicted_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    found = receipt.of_run(clients.runs, row["run_id"])
    maker = next((r for r in found if r.get("predicted_at") == made_at), None)
    if maker is None:
        maker = _planned(clients, row, run_date, {r["execution"] for r in found})
    return {"row": {name: str(value) for name, value in row.items()}} | _explained(clients, settings, maker, found)


def _no_row(clients: Clients, settings: Settings, model: ModelSpec, key: str, run_date: date) -> BadData:
    """Why there is no row: of the key, or of the whole day."""
    text = f"There is no prediction for '{key}' on {run_date} in '{settings.table}'"
    last = receipt.newest(clients.runs, settings.model, "application", run_date)
    if last is None:
        return BadData(f"{text}: the model was not applied to that day.", LIST_THEM)
    if last["status"] != "succeeded":
        to_do = f"Ask why: python -m service explain --run-date {run_date}"
        return BadData(f"{text}: the last run of that day has {last['status']}.", to_do)
    return BadData(f"{text}.", f"Give a value of '{model.entity_key}' that was in the input of that day.")


def _planned(clients: Clients, row: Mapping[str, Any], run_date: date, known: set[str]) -> dict[str, Any]:
    """What the plan of a delivery tells of an execution that died after it, before its receipt.

    Raises:
        BadData: the plan is of another run, too.
    """
    plan, _ = objects.read_json(clients.runs, receipt.plan_name(run_date))
    if plan and plan["run_id"] == row["run_id"] and plan["execution"] not in known:
        died = "No receipt: the execution died between its delivery and its receipt. This is what its plan says."
        return plan | {"status": None, "run_date": str(run_date), "message": died}
    text = f"Neither a receipt of run '{row['run_id']}' nor the plan of {run_date} tells of the rows made at"
    raise BadData(f"{text} {row['predicted_at']}.", "Run the date again; the table is complete.")


def _airflow(settings: Settings, chosen: dict[str, Any]) -> str | None:
    """Where Airflow shows the DAG run: its page, or as much as is known; None for a run by hand."""
    dag_id, run_id = chosen.get("airflow_dag_id"), chosen.get("airflow_run_id")
    if not dag_id or not run_id:
        return run_id
    base = (settings.airflow_url or "").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"


def _explained(
    clients: Clients, settings: Settings, chosen: dict[str, Any], all_of_run: list[dict[str, Any]]
) -> dict[str, Any]:
    holder = _holder(clients, chosen)
    explained: dict[str, Any] = {"summary": _summary(chosen, holder), "run": chosen, "table_holds_run": holder}
    explained["executions"] = [{key: r[key] for key in ("execution", "status", "ended_at")} for r in all_of_run]
    explained["log"] = f'labels.run_id="{chosen["run_id"]}"'
    explained["airflow"] = _airflow(settings, chosen)
    version = chosen["model_version"]
    if version is not None:
        manifest = versions.read(clients.models, version)
        explained["version"] = {name: value for name, value in manifest.__dict__.items() if name != "files"}
        explained["promotions"] = [p.document() for p in promotions.history(clients.models) if p.to_version == version]
    return explained


def _holder(clients: Clients, chosen: Mapping[str, Any]) -> str | None:
    """The run whose delivery the partition of a run date holds; None for a training, and before the first."""
    if chosen.get("action") == "training":
        return None
    plan, _ = objects.read_json(clients.runs, receipt.plan_name(date.fromisoformat(chosen["run_date"])))
    return str(plan["run_id"]) if plan and plan["state"] == "delivered" else None


def _summary(chosen: Mapping[str, Any], holder: str | None) -> str:
    """The whole in a sentence or two."""
    text = f"Run '{chosen['run_id']}' has {chosen['status'] or 'left no receipt'}"
    if chosen["model_version"]:
        text += f", version '{chosen['model_version']}'"
    if chosen.get("code_commit"):
        text += f", code {chosen['code_commit']}, image {chosen['image_digest']}"
    if chosen.get("forced"):
        text += f"; the gate was overruled: {chosen['forced']}"
    if holder and holder != chosen["run_id"]:
        text += f". The table holds the predictions of run '{holder}'"
    elif holder:
        text += ". The table holds its predictions"
    return f"{text}. {chosen['message']}" if chosen.get("message") else f"{text}."
