"""Whether a run date is done: the newest receipt says so, and what it names is there.

The form by hand of the task `check` in Airflow; like it, this reads receipts and metadata, no data.
"""

from datetime import date
from typing import Any

from service import receipt, versions
from service.clients import Clients
from service.errors import BadData
from service.settings import Settings

RUN_IT = "Run it again, or start its DAG."


def check(clients: Clients, settings: Settings, action: str, run_date: date) -> dict[str, Any]:
    """Return the receipt that proves the run date.

    Raises:
        BadData: there is no receipt, the newest is of a failure, or its partition or version is not what it says.
    """
    found = receipt.newest(clients.runs, settings.model, action, run_date)
    what = f"The {action} of '{settings.model}' for {run_date}"
    if found is None:
        raise BadData(f"{what} has no receipt in 'gs://{clients.runs.name}'.", RUN_IT)
    if found["status"] != "succeeded":
        raise BadData(f"{what} failed in execution '{found['execution']}': {found['message']}", RUN_IT)
    if action == "training":
        versions.read(clients.models, found["model_version"])
    else:
        partition = f"{found['table']}${found['partition']}"
        rows = clients.bigquery.get_table(partition).num_rows
        if rows != found["rows"]:
            raise BadData(f"{what} delivered {found['rows']} rows, but '{partition}' has {rows}.", RUN_IT)
    return found
