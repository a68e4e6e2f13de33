"""What the tasks of a prediction DAG do: start a job execution, wait for it, check its receipt, clean up.

Does not own the DAG or its JSON (predictions.py), Google's clients and what their errors mean (platform_calls.py), nor
the work itself: that is the job's. Google's packages are imported in the functions, because a DAG file is parsed every
few seconds and they cost seconds to import.
"""

import hashlib
import importlib.util
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from google.cloud.run_v2 import Execution, ExecutionsClient

    import platform_calls
else:
    # By its place, as predictions.py loads this file: each stack has a release of its own.
    _spec = importlib.util.spec_from_file_location(f"{__name__}_calls", Path(__file__).with_name("platform_calls.py"))
    platform_calls = importlib.util.module_from_spec(_spec)
    sys.modules[_spec.name] = platform_calls
    _spec.loader.exec_module(platform_calls)

log = logging.getLogger(__name__)

# `start` would take the execution that has succeeded, so clearing this run's tasks changes nothing.
CLEAR = "To do the work again, start a new run of this DAG for the same run date; clearing this one repeats the check."
DEPLOY = "Deploy the stack with `pulumi up`, which makes and grants it; then clear this task."
# The clients' own default is to wait for ever.
CALL_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """One DAG run as the job knows it.

    `id` names the run in receipts and tables; the same DAG run and run date always have the same one.
    """

    model: str
    action: str
    date: str  # YYYY-MM-DD
    airflow_run_id: str
    dag_id: str | None = None
    began: datetime | None = None  # when the DAG run began; a cleared or backfilled one begins anew, with the same id

    @property
    def id(self) -> str:
        """`<model>-<action>-<run date>-<8 hex>`: legal in job ids, labels and object names."""
        return f"{self.model}-{self.action}-{self.date}-{hashlib.sha256(self.airflow_run_id.encode()).hexdigest()[:8]}"

    def receipt(self, execution: str) -> str:
        """Name of the object that an execution of this run writes last."""
        return f"receipts/{self.action}/{self.id}/{execution.rpartition('/')[2]}.json"

    @property
    def plan(self) -> str:
        """Name of the object that says whose delivery the partition of this date holds."""
        return f"plans/{self.date}.json"


def run_date(param: str | None, logical_date: datetime | None, run_after: datetime, timezone: str) -> str:
    """The day a run is for: the `run_date` parameter, else the day on which the schedule was due, in its time zone.

    A run started by hand has no logical date; `{{ ds }}` is then undefined, and the clock would be wrong in a backfill.
    """
    return param or (logical_date or run_after).astimezone(ZoneInfo(timezone)).date().isoformat()


@platform_calls.explained()
def start(job: str, image_digest: str, args: Sequence[str], run: Run) -> str:
    """Run the job once and return the name of its execution.

    Safe to repeat: an execution of the same run that runs, or has succeeded since the DAG run began, is taken instead
    of a second one. Does nothing after the call that runs the job, so that no failure here can lose sight of a running
    execution.

    Raises:
        AirflowFailException: the job is not there or not to be seen, or would run another image than this DAG's.
    """
    from google.api_core.exceptions import Forbidden, NotFound
    from google.cloud import run_v2

    jobs, executions = platform_calls.run_clients()
    try:
        image = jobs.get_job(name=job, timeout=CALL_SECONDS).template.template.containers[0].image
    except NotFound as error:
        raise AirflowFailException(f"There is no job {job!r}. {DEPLOY}") from error
    except Forbidden as error:  # also the answer for a job that is gone, because its grants went with it
        text = f"There is no job {job!r}, or Airflow may not see it: {error.message}"
        raise AirflowFailException(f"{text} {platform_calls.advice(error, DEPLOY)}") from error
    for execution in _executions_of(executions, job, run):
        if not execution.completion_time or (_succeeded(execution) and _is_of_now(execution, run)):
            log.info("Run %s has execution %s already: taking it", run.id, execution.name)
            return str(execution.name)
    if image.rpartition("@")[2] != image_digest:
        raise AirflowFailException(
            f"Job {job!r} runs image {image!r}, but this DAG was deployed with {image_digest!r}. A deployment is under "
            "way or half done: when `pulumi up` has ended and the DAG files have arrived, clear this task."
        )
    names = {"RUN_ID": run.id, "AIRFLOW_RUN_ID": run.airflow_run_id}
    if run.dag_id:
        names["AIRFLOW_DAG_ID"] = run.dag_id
    override = run_v2.RunJobRequest.Overrides.ContainerOverride(
        args=[*args, "--run-date", run.date],
        env=[run_v2.EnvVar(name=name, value=value) for name, value in names.items()],
    )
    overrides = run_v2.RunJobRequest.Overrides(container_overrides=[override])
    try:
        operation = jobs.run_job(request=run_v2.RunJobRequest(name=job, overrides=overrides), timeout=CALL_SECONDS)
    except Forbidden as error:
        text = f"Airflow may not run job {job!r} with a run date of its own: {error.message}"
        raise AirflowFailException(f"{text} {platform_calls.advice(error, DEPLOY)}") from error
    # Never operation.result(): it needs a permission on the whole project, and this task would wait for the job.
    return str(operation.metadata.name)


@platform_calls.explained()
def has_succeeded(execution: str, runs_bucket: str, run: Run) -> bool:
    """Whether an execution has succeeded; False while it runs, and when the platform does not answer for the moment.

    The sensor's timeout bounds how long "for the moment" lasts.

    Raises:
        AirflowFailException: it failed, was cancelled, or is gone; with the reason and the run's own last words.
    """
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import RefreshError, TransportError

    _, executions = platform_calls.run_clients()
    answers = (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError)
    transient = (*answers, requests.RequestException, RefreshError, TransportError)
    try:
        found = executions.get_execution(name=execution, timeout=CALL_SECONDS)
    except exceptions.NotFound as error:
        raise AirflowFailException(f"Execution {execution!r} is gone. Clear `start` to run again.") from error
    except transient as error:
        log.warning("Cloud Run did not answer, asking again: %s %s", error, platform_calls.advice(error, ""))
        return False
    if not found.completion_time:
        log.info("Execution %s runs", execution)
        return False
    if not _succeeded(found):
        words = _last_words(found, runs_bucket, run)
        reason = _reason(found)
        raise AirflowFailException(
            f"Execution {execution!r} ended: {reason} {platform_calls.advice(reason, '')}\n{words}"
        )
    return True


@platform_calls.explained()
def check(execution: str, runs_bucket: str, table: str | None, run: Run) -> dict[str, Any]:
    """Verify what an execution delivered, by its receipt and the partition's metadata; reads no data.

    Args:
        table: `project.dataset.table` of the predictions, or None for a training, whose receipt must name a version.

    Returns:
        What the teardown takes as proof: the receipt's model version and row count.

    Raises:
        AirflowFailException: no receipt, or one that tells of something else than a complete run.
    """
    receipt = _read_object(runs_bucket, run.receipt(execution))
    place = f"gs://{runs_bucket}/{run.receipt(execution)}"
    if receipt is None:
        raise AirflowFailException(f"The execution succeeded, but there is no receipt at {place!r}. {CLEAR}")
    expected = {
        "status": "succeeded",
        "run_id": run.id,
        "run_date": run.date,
        "execution": execution.rpartition("/")[2],
    }
    for field, value in expected.items():
        if receipt.get(field) != value:
            reason = f"{field} is {receipt.get(field)!r}, expected {value!r}; message: {receipt.get('message')!r}"
            raise AirflowFailException(f"Receipt {place!r}: {reason}. {CLEAR}")
    if not receipt.get("model_version"):
        raise AirflowFailException(f"Receipt {place!r} names no model version. {CLEAR}")
    if table:
        _check_partition(f"{table}${run.date.replace('-', '')}", receipt.get("rows"), place)
        _check_plan(runs_bucket, run, receipt, place)
    return {"model_version": receipt["model_version"], "rows": receipt.get("rows")}


@platform_calls.explained()
def finish(execution: str | None, verified: Mapping[str, Any] | None, job: str, run: Run) -> None:
    """Cancel what still runs, then give the verdict on the whole DAG run.

    Args:
        execution: what `start` returned; None when it died, then the execution is looked for by the run's id.
        verified: what `check` returned; None when it did not get that far.

    Raises:
        AirflowFailException: nothing was verified. Without it a run marked failed by hand would end green.
    """
    _, executions = platform_calls.run_clients()
    if execution:
        _cancel(executions, execution)
    else:
        for found in _executions_of(executions, job, run):
            _cancel(executions, found.name)
    if verified is None:
        raise AirflowFailException("Nothing was verified: see the first failed task of this run")
    log.info("Run %s is verified: %s", run.id, dict(verified))


def _cancel(executions: "ExecutionsClient", name: str) -> None:
    """Cancel an execution unless it has ended or is gone."""
    from google.api_core import exceptions

    try:
        if executions.get_execution(name=name, timeout=CALL_SECONDS).completion_time:
            return
        log.warning("Execution %s still runs: cancelling it", name)
        executions.cancel_execution(name=name, timeout=CALL_SECONDS)
    except exceptions.NotFound:
        log.warning("Execution %s is gone", name)
    except exceptions.ClientError:
        # It may have ended between the two calls; only then is a refusal to cancel it no fault.
        if not executions.get_execution(name=name, timeout=CALL_SECONDS).completion_time:
            raise


def _check_partition(partition: str, rows: int | None, place: str) -> None:
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    client = bigquery.Client(**platform_calls.client_options("BIGQUERY_ENDPOINT"))
    try:
        delivered = client.get_table(partition, timeout=CALL_SECONDS).num_rows
    except NotFound as error:
        text = f"No table {partition!r}, but receipt {place!r} says {rows!r} rows."
        raise AirflowFailException(f"{text} Deploy the stack with `pulumi up`, then start a new run.") from error
    if delivered != rows:
        text = f"Partition {partition!r} has {delivered!r} rows, receipt {place!r} says {rows!r}."
        raise AirflowFailException(f"{text} See who else writes to the table. {CLEAR}")


def _check_plan(runs_bucket: str, run: Run, receipt: Mapping[str, Any], place: str) -> None:
    """See that no other run has delivered this date since: its rows may be as many."""
    plan = _read_object(runs_bucket, run.plan) or {}
    if not plan or plan.get("load_job") != receipt.get("load_job"):
        text = (
            f"Receipt {place!r} tells of load job {receipt.get('load_job')!r}, but 'gs://{runs_bucket}/{run.plan}' of "
        )
        text += f"{plan.get('load_job')!r}, by run {plan.get('run_id')!r}: the partition is that run's."
        raise AirflowFailException(f"{text} If its rows are not to stand, start a new run of this DAG for the date.")


def _executions_of(executions: "ExecutionsClient", job: str, run: Run) -> Iterator["Execution"]:
    """The executions of a job that were started for a run."""
    for execution in executions.list_executions(parent=job, timeout=CALL_SECONDS):
        names = {e.name: e.value for c in execution.template.containers for e in c.env}
        if names.get("RUN_ID") == run.id:
            yield execution


def _succeeded(execution: "Execution") -> bool:
    return bool(execution.completion_time) and execution.succeeded_count >= max(execution.task_count, 1)


def _is_of_now(execution: "Execution", run: Run) -> bool:
    """Whether an execution belongs to this going of a DAG run, not to one before it was cleared or backfilled again."""
    return run.began is None or execution.create_time >= run.began


def _reason(execution: "Execution") -> str:
    completed = next((c for c in execution.conditions if c.type_ == "Completed"), None)
    return f"{completed.execution_reason.name}, {completed.message}" if completed else "no reason given"


def _last_words(execution: "Execution", runs_bucket: str, run: Run) -> str:
    """What a failed execution says of itself; Airflow may read receipts, not logs."""
    where = f"Log: {execution.log_uri}"
    receipt = _read_object(runs_bucket, run.receipt(execution.name))
    if receipt is None:
        return f"It left no receipt, so it ended before it could tell why. {where}"
    return f"Its receipt says ({receipt.get('status')}): {receipt.get('message')}\n{where}"


def _read_object(runs_bucket: str, name: str) -> dict[str, Any] | None:
    from google.api_core.exceptions import NotFound
    from google.cloud.storage import Client

    bucket = Client(**platform_calls.client_options("STORAGE_ENDPOINT")).bucket(runs_bucket)
    try:
        value = json.loads(bucket.blob(name).download_as_bytes(timeout=CALL_SECONDS))
    except NotFound:
        return None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise AirflowFailException(f"'gs://{runs_bucket}/{name}' is not a JSON object. {CLEAR}")
    return value
