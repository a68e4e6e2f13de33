"""The record that a run writes last: no receipt, no success. Also the table of runs, which is derived from receipts.

Does not own what a run does. A receipt is created once and never changed.
"""

import json
import logging
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField
from google.cloud.storage import Bucket

from service import objects, upstream, warehouse_jobs
from service.errors import UpstreamFailed
from service.logs import event
from service.settings import Settings
from service.table import RUNS_SCHEMA

Status = Literal["succeeded", "failed", "superseded"]
FOLDER = "receipts"
PLANS = "plans/"  # of deliveries (delivery.py), one for each run date
TABLE_TIMEOUT_SECONDS = 60  # the table is a convenience and must not hold up a run that is done


@dataclass(kw_only=True)
class Facts:
    """What a run has learnt so far; a receipt of a failure holds as much of it as there is."""

    model_version: str | None = None
    rows: int | None = None
    input_rows: int | None = None
    input_fingerprint: str | None = None
    output_fingerprint: str | None = None
    table: str | None = None
    partition: str | None = None
    load_job: str | None = None
    message: str | None = None
    gate: dict[str, Any] = field(default_factory=dict)  # findings, and every number measured beside its limit
    forced: str | None = None  # why a person overruled the gate
    predicted_at: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    environment_fingerprint: str | None = None  # see model_environment.py
    task: int | None = None  # the one of several tasks that delivered, or failed
    tasks: int | None = None  # that shared the execution, if it was shared


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One execution of a run. `exit_code` is 0, or that of the failure."""

    run_id: str
    execution: str
    model: str
    action: str
    run_date: str
    status: Status
    started_at: datetime
    ended_at: datetime
    code_commit: str | None
    image_digest: str | None
    airflow_run_id: str | None
    airflow_dag_id: str | None = None
    message: str | None
    exit_code: int
    facts: Facts

    @property
    def name(self) -> str:
        """The object's name in the runs bucket."""
        return object_name(self.action, self.run_id, self.execution)

    def document(self) -> dict[str, Any]:
        """The flat form that is stored: one line of JSON."""
        own = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "facts"}
        times = {key: f"{own[key].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" for key in ("started_at", "ended_at")}
        return asdict(self.facts) | own | times


def object_name(action: str, run_id: str, execution: str) -> str:
    """Where the receipt of an execution lies."""
    return f"{FOLDER}/{action}/{run_id}/{execution}.json"


def plan_name(run_date: date) -> str:
    """Where the plan of a run date lies."""
    return f"{PLANS}{run_date}.json"


def write(bucket: Bucket, receipt: Receipt) -> None:
    """Create the receipt; the name must be free.

    Raises:
        UpstreamFailed: another process of the same execution wrote one.
    """
    if not objects.swap_json(bucket, receipt.name, receipt.document(), generation=objects.ABSENT):
        text = f"Execution '{receipt.execution}' has a receipt already: 'gs://{bucket.name}/{receipt.name}'."
        raise UpstreamFailed(text, "Look for a second process of this execution; its receipt stands.")


def read(bucket: Bucket, action: str, run_id: str, execution: str) -> dict[str, Any] | None:
    """The receipt of one execution, or None."""
    return objects.read_json(bucket, object_name(action, run_id, execution))[0]


def of_run(bucket: Bucket, run_id: str) -> list[dict[str, Any]]:
    """The receipts of all executions of a run, in the order of their ends."""
    pattern = f"{FOLDER}/*/{run_id}/*.json"
    found = [json.loads(blob.download_as_bytes()) for blob in bucket.list_blobs(match_glob=pattern)]
    return sorted(found, key=lambda r: str(r["ended_at"]))


def newest(bucket: Bucket, model: str, action: str, run_date: date) -> dict[str, Any] | None:
    """The receipt of a run date that ended last, leaving out those that a newer run superseded.

    An attempt that slept between its delivery and its receipt may end after the run that replaced its rows; so of
    deliveries that succeeded, the one that the plan names counts, whenever it ended.
    """
    prefix = f"{FOLDER}/{action}/{model}-{action}-{run_date}-"
    found = [json.loads(blob.download_as_bytes()) for blob in bucket.list_blobs(prefix=prefix)]
    plan = objects.read_json(bucket, plan_name(run_date))[0] if action == "application" else None
    replaced = {r["load_job"] for r in found if plan and r["status"] == "succeeded"} - {plan and plan["load_job"]}
    standing = [r for r in found if r["status"] != "superseded" and r["load_job"] not in replaced]
    return max(standing, key=lambda r: str(r["ended_at"]), default=None)


def derive_table(client: bigquery.Client, settings: Settings, labels: dict[str, str]) -> None:
    """Replace the table `<model>_runs` by all receipts there are.

    Safe to repeat. A failure is logged and nothing else: the next run derives the whole table again.
    """
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        schema=[SchemaField.from_api_repr(field) for field in RUNS_SCHEMA],
        ignore_unknown_values=True,  # gate, metrics and exit_code stay in the receipt
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        labels=labels,
    )
    uri, table = f"gs://{settings.runs_bucket}/{FOLDER}/*", f"{settings.table}_runs"
    retry = bigquery.DEFAULT_RETRY.with_timeout(TABLE_TIMEOUT_SECONDS)
    job_id = f"{settings.model}-runs-{uuid.uuid4()}"

    def insert() -> bigquery.LoadJob:
        return client.load_table_from_uri(uri, table, job_id=job_id, job_config=config, retry=retry)

    try:
        fault = warehouse_jobs.run_to_end(client, job_id, insert, timeout_seconds=TABLE_TIMEOUT_SECONDS)
        reason = fault.message if fault else None
    except (*upstream.FAILURES, TimeoutError) as error:
        reason = str(error)
    if reason is not None:
        text = f"Table '{table}' could not be derived from the receipts; the next run mends it: {reason}"
        event(text, logging.WARNING)
