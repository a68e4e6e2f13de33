"""Talks to Airflow's REST API: to a rehearsed one as its only user, to another with a token that is given.

Does not own the processes of Airflow (airflow.py).
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

CALL_SECONDS = 30  # a cold API server took 8 s for its first answers
WARM_UP_SECONDS = 180
PAGE_ROWS = 100
LOCKED_TRIES = 6  # each has waited 5 s for the lock
CLOSING_SECONDS = 120  # four times what Airflow's scheduler takes for it by itself
POLL_SECONDS = 0.2


class AirflowRefused(Exception):
    """Airflow answered with an error: which request, its status and its words."""


class AirflowClient:
    """A client of one Airflow.

    Args:
        url: of its API server, as `python -m local airflow` prints it.
        token: gives a bearer token for each call; without it, the rehearsed Airflow hands one out to anybody.
    """

    def __init__(self, url: str, token: Callable[[], str] | None = None) -> None:
        self.url = url
        # trust_env: a proxy of the environment must not stand between two processes of this machine.
        self._http = httpx.Client(base_url=url, timeout=CALL_SECONDS, trust_env=token is not None)
        self._given, self._token = token, ""

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

    def due(self, dag_id: str, first: datetime, last: datetime) -> list[datetime]:
        """The logical dates that a backfill from one time to another would run, those of finished runs included."""
        found = self._call("POST", "/backfills/dry_run", _backfill(dag_id, first, last))["backfills"]
        return [datetime.fromisoformat(entry["logical_date"]) for entry in found]

    def backfill(self, dag_id: str, first: datetime, last: datetime) -> dict[str, Any]:
        """Start a backfill, one run after the other; runs of the same logical dates that have ended are repeated.

        Returns:
            Among others its `id` and `created_at`.
        """
        for _ in range(LOCKED_TRIES):
            try:
                return self._call("POST", "/backfills", _backfill(dag_id, first, last))
            except AirflowRefused as error:
                if "Database is locked" not in str(error):
                    raise
                locked = error  # Airflow on SQLite, which takes back what it began and wants to be asked again
        raise locked

    def close_backfill(self, backfill_id: int) -> None:
        """Let another backfill of the DAG begin, now that every run of this one has ended.

        Airflow does so by itself within 30 s, and refuses another one until then. What it answers to the cancellation
        may not be in its database yet, or never be, where that is locked; so this waits until it is.
        """
        refused = None
        try:
            self._call("PUT", f"/backfills/{backfill_id}/cancel", {})
        except AirflowRefused as error:
            refused = error
        until = time.monotonic() + CLOSING_SECONDS
        while self._get(f"/backfills/{backfill_id}")["completed_at"] is None:
            if refused or time.monotonic() > until:
                raise refused or AirflowRefused(f"Backfill {backfill_id} is not completed after {CLOSING_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def runs_between(self, dag_id: str, first: datetime, last: datetime) -> list[dict[str, Any]]:
        """The DAG runs whose logical date lies in a time, oldest first; of each logical date there is one at most."""
        span = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat()}
        rows: list[dict[str, Any]] = []
        while len(rows) % PAGE_ROWS == 0:
            page = self._get(
                f"/dags/{dag_id}/dagRuns", limit=PAGE_ROWS, offset=len(rows), order_by="logical_date", **span
            )["dag_runs"]
            if not page:
                break
            rows += page
        return rows

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
        if self._given:
            self._token = self._given()
        elif not self._token:
            self._token = self._checked(self._http.get("/auth/token"))["access_token"]
        return {"authorization": f"Bearer {self._token}", "accept": "application/json"}

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            request = f"{answer.request.method} {answer.request.url.path}"
            raise AirflowRefused(f"Airflow answered {request} with {answer.status_code}: {answer.text[:500]}")
        body: dict[str, Any] = answer.json()
        return body


def _backfill(dag_id: str, first: datetime, last: datetime) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "reprocess_behavior": "completed",
        "max_active_runs": 1,  # in their order: a delivery is compared with the day before
    }


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"  # run ids contain + and :


def _line(entry: Mapping[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    errors = [f"{e.get('exc_type')}: {e.get('exc_value')}" for e in entry.get("error_detail") or []]
    return " ".join([str(entry.get("event", "")), *errors])
