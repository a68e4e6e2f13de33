"""Applies a model to past days through Airflow's own backfill, and verifies every day by receipt and partition.

Owns what the command line of Airflow leaves to be wrong: the last day, days that ran before, days before the first
version, runs without tasks. Promotes nothing: each day gets the version that was live on it. Does not own which
deployment is meant (deployment.py) or what a good day is (`service/check.py`).
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from local.airflow_client import AirflowClient, AirflowRefused
from service import check, promotions, upstream
from service.clients import Clients
from service.errors import BadData, BadUsage, ServiceError, UpstreamFailed
from service.settings import Settings
from tools import deployment

POLL_SECONDS = 1
ENDED = ("success", "failed")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """One model's days, both ends included, and where their runs and results are found."""

    airflow: AirflowClient
    dag_id: str
    clients: Clients
    settings: Settings
    zone: ZoneInfo
    first: date
    last: date
    at_once: int | None = None  # days of one backfill of Airflow's; None for all

    def span(self) -> tuple[datetime, datetime]:
        """From the first moment of the first day to the last one of the last day.

        Airflow leaves out what comes after the end's time of day, so the end is the day after, less a moment.
        """
        end = datetime.combine(self.last + timedelta(days=1), clock_time.min, self.zone) - timedelta(seconds=1)
        return datetime.combine(self.first, clock_time.min, self.zone), end

    def day(self, logical_date: str | datetime) -> date:
        """The run date of a logical date."""
        when = datetime.fromisoformat(logical_date) if isinstance(logical_date, str) else logical_date
        return when.astimezone(self.zone).date()


def perform(backfill: Backfill, say: Say) -> int:
    """Run every day that the schedule was due on, one after the other, and verify each.

    Safe to repeat: a day that ran before runs again, and its partition is replaced. A day that fails does not stop the
    others.

    Returns:
        How many days were verified.

    Raises:
        BadUsage: it cannot begin; nothing was started.
        BadData: some days are not as they should be; the text names each.
    """
    due = _due(backfill)
    say(f"{backfill.dag_id}: {len(due)} days, {due[0]} to {due[-1]}")
    at_once, faults = backfill.at_once or len(due), list[str]()
    for at in range(0, len(due), at_once):
        days = due[at : at + at_once]
        piece = replace(backfill, first=days[0], last=days[-1])
        faults += _done(piece, days, say)
        say(f"{at + len(days)} of {len(due)} days, {len(faults)} of them not done")
    if faults:
        text = f"{len(faults)} of {len(due)} days are not done:\n" + "\n".join(faults)
        raise BadData(text, "Mend what each says, then run the same command for those days.")
    return len(due)


def _done(backfill: Backfill, due: list[date], say: Say) -> list[str]:
    """Run one backfill of Airflow's to its end; what is wrong with its days."""
    started = backfill.airflow.backfill(backfill.dag_id, *backfill.span())
    runs = _followed(backfill, len(due), say)
    backfill.airflow.close_backfill(started["id"])
    found = [backfill.day(run["logical_date"]) for run in runs]
    faults = [f"{day} has no DAG run" for day in due if day not in found]
    for day, run in zip(found, runs, strict=True):
        fault, told = _verified(backfill, day, run, datetime.fromisoformat(started["created_at"]))
        say(told)
        faults += [f"{day}: {fault}"] if fault else []
    return faults


def _due(backfill: Backfill) -> list[date]:
    """The days to run.

    Raises:
        BadUsage: no version was live on the first of them, the DAG is paused, a run is under way, or there is none.
    """
    if backfill.last < backfill.first:
        raise BadUsage(f"FROM '{backfill.first}' is after TO '{backfill.last}'.", "Exchange them.")
    known = [promotion.effective_date for promotion in promotions.history(backfill.clients.models)]
    if not known or str(backfill.first) < min(known):
        text = f"No version of '{backfill.settings.model}' is live on {backfill.first}"
        text += f": the first one is from {min(known)}." if known else ", nor on any other day."
        first = f"begin with FROM={min(known)}, or train first" if known else "train first"
        to_do = f"The earliest day that has a version is what a backfill can begin with: {first}: trigger the training"
        raise BadUsage(text, f"{to_do} DAG with run_date {backfill.first}.")
    if backfill.airflow.dag(backfill.dag_id)["is_paused"]:
        text = f"DAG '{backfill.dag_id}' is paused, so its runs would wait for ever."
        raise BadUsage(text, "Unpause it, then run the same command.")
    span = backfill.span()
    for run in backfill.airflow.runs_between(backfill.dag_id, *span):
        if run["state"] not in ENDED:
            text = f"Run '{run['dag_run_id']}' of '{backfill.dag_id}' is {run['state']}; a backfill would leave it out."
            raise BadUsage(text, "Wait for its end, then run the same command.")
    due = sorted(backfill.day(logical) for logical in backfill.airflow.due(backfill.dag_id, *span))
    if not due:
        text = f"The schedule of '{backfill.dag_id}' was never due from {backfill.first} to {backfill.last}."
        raise BadUsage(text, "Give days that are past and that its cron expression names.")
    return due


def _followed(backfill: Backfill, due: int, say: Say) -> list[dict[str, Any]]:
    """The DAG runs of all days, when each has ended."""
    told: set[str] = set()
    while True:
        runs = backfill.airflow.runs_between(backfill.dag_id, *backfill.span())
        ended = [run for run in runs if run["state"] in ENDED]
        for run in ended:
            if run["dag_run_id"] not in told:
                told.add(run["dag_run_id"])
                say(f"{backfill.day(run['logical_date'])}  DAG run {run['state']}")
        if len(ended) == len(runs) >= due:
            return runs
        if backfill.airflow.dag(backfill.dag_id)["is_paused"]:
            text = f"DAG '{backfill.dag_id}' was paused with {len(ended)} of {due} days done."
            raise UpstreamFailed(text, "Unpause it; Airflow then goes on with the days that are left.")
        time.sleep(POLL_SECONDS)


def _verified(backfill: Backfill, day: date, run: dict[str, Any], since: datetime) -> tuple[str | None, str]:
    """What is wrong with a day, and a line about it."""
    tasks = backfill.airflow.tasks(backfill.dag_id, run["dag_run_id"])
    states = {task["task_id"]: task["state"] for task in tasks}
    wanted = backfill.airflow.task_ids(backfill.dag_id)
    if run["state"] != "success" or not states or states != dict.fromkeys(wanted, "success"):
        listed = ", ".join(f"{name} {state}" for name, state in sorted(states.items())) or "no task at all"
        return f"DAG run '{run['dag_run_id']}' ended {run['state']} ({listed})", f"{day}  failed"
    try:
        receipt = check.check(backfill.clients, backfill.settings, "application", day)
    except BadData as error:
        return str(error), f"{day}  failed"
    if receipt["airflow_run_id"] != run["dag_run_id"] or datetime.fromisoformat(receipt["ended_at"]) < since:
        text = f"the newest receipt, of run '{receipt['run_id']}', is not of this backfill"
        return text, f"{day}  failed"
    shown = f"{len(states)} tasks, {receipt['rows']} rows, version {receipt['model_version']}"
    return None, f"{day}  verified  {shown}  {receipt['run_id']}"


def main(arguments: Iterable[str] | None = None) -> int:
    """Backfill a deployed model: 0 when every day is verified, else the exit code of what went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.backfill",
        description="Apply a model to past days through Airflow's backfill, and verify every day.",
        epilog="example: python -m tools.backfill --model customer_value --from 1997-10-03 --to 1997-10-05",
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="first", type=_date, required=True, help="first run date, as 2024-05-01")
    parser.add_argument("--to", dest="last", type=_date, required=True, help="last run date, included")
    deployment.add_options(parser)
    given = parser.parse_args(None if arguments is None else list(arguments))
    try:
        found = deployment.find(given.stack, given.model, given.folder)
        # Airflow on SQLite may find its database locked while it plans many days, and its scheduler may die of that.
        at_once = 1 if given.stack == deployment.LOCAL else None
        backfill = Backfill(**found.parts("application"), first=given.first, last=given.last, at_once=at_once)
        done = perform(backfill, lambda line: print(line, flush=True))
    except (AirflowRefused, httpx.HTTPError) as error:
        return _refused(UpstreamFailed(f"Airflow: {error}", "See that it runs, and that you may use its API."))
    except Exception as error:
        fault = upstream.translated(error)
        if fault is None:
            raise
        return _refused(fault)
    print(f"{done} days verified; what is live is as it was")
    return 0


def _refused(error: ServiceError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01") from error


if __name__ == "__main__":
    sys.exit(main())
