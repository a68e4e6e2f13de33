"""Talks to Airflow's REST API as its only user: the one who rehearses.

Does not own the processes of Airflow (airflow.py).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

CALL_SECONDS = 30  # a cold API server took 8 s for its first answers
WARM_UP_SECONDS = 180
PAGE_ROWS = 100


class AirflowRefused(Exception):
    """Airflow answered with an error: which request, its status and its words."""


class AirflowClient:
    """A client of one Airflow.

    Args:
        url: of its API server, as `python -m local airflow` prints it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # trust_env: a proxy of the environment must not stand between two processes of this machine.
        self._http = httpx.Client(base_url=url, timeout=CALL_SECONDS, trust_env=False)
        self._token = ""

    def health(self) -> dict[str, Any]:
        """State and last heartbeat of each component.

        Raises:
            httpx.TransportError: nothing listens there yet.
        """
        return self._checked(self._http.get("/api/v2/monitor/health"))

    def warm_up(self) -> None:
        """Make the API build the part that tasks talk to; else the first task waits for that (9 s, 25 s when busy)."""
        self._checked(self._http.get("/execution/health", timeout=WARM_UP_SECONDS))

    def dag_ids(self) -> list[str]:
        """The DAGs that Airflow has read and not dropped since."""
        return [dag["dag_id"] for dag in self._get("/dags", limit=PAGE_ROWS)["dags"] if not dag["is_stale"]]

    def dag(self, dag_id: str) -> dict[str, Any]:
        """What Airflow knows of a DAG: paused or not, schedule, owners, documentation."""
        return self._get(f"/dags/{dag_id}/details")

    def import_errors(self) -> list[str]:
        """Why DAG files could not be read."""
        return [e["stack_trace"] for e in self._get("/importErrors", limit=PAGE_ROWS)["import_errors"]]

    def task_ids(self, dag_id: str) -> set[str]:
        """The tasks of a DAG; a DAG run that lacks some of them has not done its work, whatever its state."""
        return {task["task_id"] for task in self._get(f"/dags/{dag_id}/tasks")["tasks"]}

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run; repeating it changes nothing."""
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, run_date: str | None = None) -> str:
        """Start a DAG run by hand, for a run date or for today; every call starts another.

        Returns:
            The id of the DAG run.
        """
        conf = {"run_date": run_date} if run_date else {}
        body = {"logical_date": None, "conf": conf}  # null: a second run for the same logical date is refused
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG runs of a DAG, oldest first."""
        rows: list[dict[str, Any]] = self._get(f"/dags/{dag_id}/dagRuns", limit=PAGE_ROWS, order_by="id")["dag_runs"]
        return rows

    def run_state(self, dag_id: str, run_id: str) -> str:
        """`queued`, `running`, `success` or `failed`."""
        return str(self._get(_run_path(dag_id, run_id))["state"])

    def mark(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a DAG run by hand, as the button on the web page does: `success` or `failed`."""
        self._call("PATCH", _run_path(dag_id, run_id), {"state": state})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a DAG run in the order they started: task_id, state, start_date, end_date, duration ..."""
        rows = self._get(f"{_run_path(dag_id, run_id)}/taskInstances", limit=PAGE_ROWS)["task_instances"]
        return sorted(rows, key=lambda row: (row["start_date"] or "9", row["task_id"]))

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The log of one try of a task as text, a line per event."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        content = self._get(path, full_content=True)["content"]
        return "\n".join(_line(entry) for entry in content)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, path: str, **params: str | int | bool) -> dict[str, Any]:
        return self._checked(self._http.get(f"/api/v2{path}", params=params, headers=self._headers()))

    def _call(self, verb: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._checked(self._http.request(verb, f"/api/v2{path}", json=body, headers=self._headers()))

    def _headers(self) -> dict[str, str]:
        if not self._token:
            self._token = self._checked(self._http.get("/auth/token"))["access_token"]
        return {"authorization": f"Bearer {self._token}", "accept": "application/json"}

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            request = f"{answer.request.method} {answer.request.url.path}"
            raise AirflowRefused(f"Airflow answered {request} with {answer.status_code}: {answer.text[:500]}")
        body: dict[str, Any] = answer.json()
        return body


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"  # run ids contain + and :


def _line(entry: Mapping[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    errors = [f"{e.get('exc_type')}: {e.get('exc_value')}" for e in entry.get("error_detail") or []]
    return " ".join([str(entry.get("event", "")), *errors])
