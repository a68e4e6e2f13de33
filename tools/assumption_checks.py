"""The checks of tools/assumptions.yaml that a machine can make: read-only calls of Google's clients on a stack.

Endpoints come from the environment, so that the same calls run against the local cloud.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import google.auth
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, logging, run_v2, storage
from google.cloud.bigquery.retry import DEFAULT_RETRY as BIGQUERY_RETRY
from google.cloud.storage.retry import DEFAULT_RETRY as STORAGE_RETRY

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
RETRY_SECONDS = 20.0  # the clients' own two to ten minutes would let a person wait for a wrong endpoint
WELL_DONE = "Well done."


class NotYet(Exception):
    """The check could not be made; the text says why, and what to do first."""


class Violated(Exception):
    """The platform does otherwise; the text says what was seen."""


@dataclass(frozen=True)
class Deployment:
    """A deployed stack: where it is, what it exported, and credentials to look at it."""

    project: str
    region: str
    outputs: Mapping[str, Any]
    credentials: Any


def credentials() -> Any:
    """Those of the person who asks.

    Raises:
        NotYet: there are none.
    """
    try:
        found, _ = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        raise NotYet(f"no credentials: {error} Run `gcloud auth application-default login`.") from error
    return found


def buckets(deployment: Deployment) -> str:
    """Each model's buckets are closed, versioned and have a lifecycle."""
    client = storage.Client(
        project=deployment.project,
        credentials=deployment.credentials,
        client_options=_endpoint("STORAGE_ENDPOINT", "https://storage.googleapis.com"),
    )
    names = [name for model in deployment.outputs["buckets"].values() for name in model.values()]
    with _asking():
        for name in names:
            bucket = client.get_bucket(name, retry=STORAGE_RETRY.with_timeout(RETRY_SECONDS))
            access = bucket.iam_configuration
            _expect(name, "uniform access", access.uniform_bucket_level_access_enabled, True)
            _expect(name, "public access prevention", access.public_access_prevention, "enforced")
            _expect(name, "versioning", bucket.versioning_enabled, True)
            _expect(name, "a lifecycle", bool(list(bucket.lifecycle_rules)), True)
    return f"{len(names)} buckets are as declared"


def tables(deployment: Deployment) -> str:
    """Each predictions table is partitioned by run date, clustered, and asked for by date."""
    for table in _tables(deployment):
        partitioning = table.time_partitioning
        _expect(str(table), "partition column", partitioning and partitioning.field, "run_date")
        _expect(str(table), "partition filter", table.require_partition_filter, True)
        _expect(str(table), "clustering", bool(table.clustering_fields), True)
    return f"{len(deployment.outputs['tables'])} tables are as declared"


def loads(deployment: Deployment) -> str:
    """A table with REQUIRED columns has rows, so a load of ours was taken."""
    found = {str(table): table.num_rows or 0 for table in _tables(deployment)}
    if not any(found.values()):
        raise NotYet("no predictions yet; run one training and one application, then ask again")
    return ", ".join(f"{name} has {rows} rows" for name, rows in found.items() if rows)


def executions(deployment: Deployment) -> str:
    """An execution that ended says so, and counts its tasks."""
    endpoint = os.environ.get("RUN_ENDPOINT")
    client = run_v2.ExecutionsClient(
        transport="rest",
        credentials=deployment.credentials,
        client_options={"api_endpoint": endpoint} if endpoint else {},
    )
    ended = 0
    with _asking():
        for job in _jobs(deployment):
            for execution in client.list_executions(parent=job, timeout=RETRY_SECONDS):
                if execution.completion_time:
                    ended += 1
                    told = execution.succeeded_count + execution.failed_count + execution.cancelled_count
                    _expect(execution.name, "a count of its tasks", told > 0, True)
    if not ended:
        raise NotYet("no execution has ended yet; run one training, then ask again")
    return f"{ended} executions tell how they ended"


def logs(deployment: Deployment) -> str:
    """A good run's last line is an entry of its job, with the run id as a label."""
    endpoint = os.environ.get("LOGGING_ENDPOINT")
    client = logging.Client(
        project=deployment.project,
        credentials=deployment.credentials,
        client_options={"api_endpoint": endpoint} if endpoint else {},
        _use_grpc=False,
    )
    wanted = f'resource.type="cloud_run_job" AND jsonPayload.message:"{WELL_DONE}"'
    with _asking():
        found = list(client.list_entries(filter_=wanted, max_results=1, order_by="timestamp desc"))
    if not found:
        raise NotYet("no good run's entry yet; run one training, then ask again (entries take seconds)")
    _expect("the entry", "a label run_id", bool((found[0].labels or {}).get("run_id")), True)
    return f"run {found[0].labels['run_id']} ended with {WELL_DONE!r}"


CHECKS: Mapping[str, Callable[[Deployment], str]] = {
    "buckets": buckets, "tables": tables, "loads": loads, "executions": executions, "logs": logs
}  # fmt: skip


def _tables(deployment: Deployment) -> list[bigquery.Table]:
    client = bigquery.Client(
        project=deployment.project,
        credentials=deployment.credentials,
        client_options=_endpoint("BIGQUERY_ENDPOINT", "https://bigquery.googleapis.com"),
    )
    retry = BIGQUERY_RETRY.with_timeout(RETRY_SECONDS)
    with _asking():
        return [client.get_table(name, retry=retry) for name in deployment.outputs["tables"].values()]


def _jobs(deployment: Deployment) -> list[str]:
    parent = f"projects/{deployment.project}/locations/{deployment.region}/jobs"
    names = [name for model in deployment.outputs["jobs"].values() for name in model.values()]
    return [name if name.startswith("projects/") else f"{parent}/{name}" for name in names]


def _endpoint(variable: str, real: str) -> dict[str, str]:
    # Said explicitly: clients left to themselves drop credentials where an emulator's variable is set.
    return {"api_endpoint": os.environ.get(variable) or real}


def _expect(where: str, what: str, seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Violated(f"{what} of {where!r} is {json.dumps(seen)}, not {json.dumps(wanted)}")


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise NotYet(f"Google does not answer: {' '.join(str(error).split())[:300]}") from error
