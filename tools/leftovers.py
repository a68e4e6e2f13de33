"""What a stack's `destroy` left: in the data plane (buckets, tables, jobs) and in the control plane (all else).

Looks through Google's own clients at whatever endpoints the environment names, and for what no client here knows at the
local cloud's table of declared resources or through gcloud. Does not remove anything.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, run_v2, storage
from google.cloud.bigquery.retry import DEFAULT_RETRY as BIGQUERY_RETRY
from google.cloud.storage.retry import DEFAULT_RETRY as STORAGE_RETRY

from local.declared import Declared
from tools.engine import Stack, ToolFailed

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
SECONDS = 60.0
RETRY_SECONDS = 15.0  # the clients' own two to ten minutes would let a person wait for a wrong endpoint
# What the REST services above list themselves; in the local cloud's table it would only be named twice.
LISTED = ("gcp:storage/bucket:", "gcp:bigquery/dataset:", "gcp:bigquery/table:", "gcp:cloudrunv2/job:")
# Switched on for a project, not for a stack; the program leaves it on.
SHARED = ("gcp:projects/service:Service",)
# Of each: what gcloud lists, and the field that holds the name. They need a login and read access to the project.
LISTS = {
    "service account": (["iam", "service-accounts"], "email"),
    "image repository": (["artifacts", "repositories", "--location={region}"], "name"),
    "Airflow environment": (["composer", "environments", "--locations={region}"], "name"),
    "log metric": (["logging", "metrics"], "name"),
    "alert policy": (["alpha", "monitoring", "policies"], "displayName"),
    "notification channel": (["beta", "monitoring", "channels"], "displayName"),
}


@dataclass(frozen=True, order=True)
class Left:
    """One thing that is there: its plane, kind and name, and whether it carries the stack's label or name."""

    plane: str
    kind: str
    name: str
    ours: bool


def find(stack: Stack) -> list[Left]:
    """Everything in the stack's project that is there, the stack's or not, without what the platform itself keeps.

    Raises:
        ToolFailed: a listing failed, so that nobody knows.
    """
    project, region = stack.config("gcp:project"), stack.config("gcp:region")
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
        listed = [*_storage(stack, project, credentials), *_warehouse(stack, project, credentials)]
        listed += _jobs(stack, project, region, credentials)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        text = f"What is left in project {project!r} cannot be listed: {error}"
        raise ToolFailed(f"{text} Log in: `gcloud auth application-default login`.") from error
    rest = _declared(stack) if _local_folder(stack) else _by_gcloud(stack, project, region)
    return sorted({*listed, *rest})


def _local_folder(stack: Stack) -> Path | None:
    """Folder of the local cloud that the stack is deployed to, if it is."""
    folder = stack.env.get("LOCAL_CLOUD_FOLDER")
    return Path(folder) if folder and "PULUMI_DEBUG_PROVIDERS" in stack.env else None


def _storage(stack: Stack, project: str, credentials: Any) -> Iterator[Left]:
    options = {"api_endpoint": os.environ.get("STORAGE_ENDPOINT") or "https://storage.googleapis.com"}
    client = storage.Client(project=project, credentials=credentials, client_options=options)
    retry = STORAGE_RETRY.with_timeout(RETRY_SECONDS)
    for bucket in client.list_buckets(timeout=SECONDS, retry=retry):
        objects = sum(1 for _ in client.list_blobs(bucket, versions=True, max_results=1000, retry=retry))
        many = "1000 or more" if objects == 1000 else str(objects)
        yield Left("data", f"bucket with {many} object versions", bucket.name, _labelled(stack, bucket.labels))


def _warehouse(stack: Stack, project: str, credentials: Any) -> Iterator[Left]:
    options = {"api_endpoint": os.environ.get("BIGQUERY_ENDPOINT") or "https://bigquery.googleapis.com"}
    client = bigquery.Client(project=project, credentials=credentials, client_options=options)
    retry = BIGQUERY_RETRY.with_timeout(RETRY_SECONDS)
    for dataset in client.list_datasets(timeout=SECONDS, retry=retry):
        ours = _labelled(stack, dataset.labels) or dataset.dataset_id == stack.config("predictions:dataset")
        yield Left("data", "dataset", dataset.dataset_id, ours)
        for table in client.list_tables(dataset.reference, timeout=SECONDS, retry=retry):
            mine = ours or _labelled(stack, table.labels)
            yield Left("data", table.table_type.lower(), f"{dataset.dataset_id}.{table.table_id}", mine)


def _jobs(stack: Stack, project: str, region: str, credentials: Any) -> Iterator[Left]:
    endpoint = os.environ.get("RUN_ENDPOINT")
    options = {"api_endpoint": endpoint} if endpoint else {}
    client = run_v2.JobsClient(transport="rest", credentials=credentials, client_options=options)
    for job in client.list_jobs(parent=f"projects/{project}/locations/{region}", timeout=SECONDS):
        yield Left("data", "job", job.name.rpartition("/")[2], _labelled(stack, job.labels))


def _declared(stack: Stack) -> Iterator[Left]:
    folder = _local_folder(stack)
    assert folder  # noqa: S101 (asked before)
    declared = Declared(folder / "declared")
    try:
        rows = declared.all()
    finally:
        declared.close()
    for row in rows:
        if not row.token.startswith(LISTED) and row.token not in SHARED:
            ours = _labelled(stack, row.properties.get("labels")) or _named(stack, row.id)
            yield Left("control", row.token.rpartition(":")[2], row.id, ours)


def _by_gcloud(stack: Stack, project: str, region: str) -> Iterator[Left]:
    for kind, (words, field) in LISTS.items():
        words = [word.format(region=region) for word in words]
        options = [word for word in words if word.startswith("--")]
        command = ["gcloud", *(w for w in words if w not in options), "list", *options, f"--project={project}"]
        for found in _listing([*command, "--format=json"]):
            ours = _labelled(stack, found.get("labels")) or _labelled(stack, found.get("userLabels"))
            yield Left("control", kind, str(found.get(field)), ours or _named(stack, str(found.get(field))))


def _listing(command: list[str]) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolFailed("There is no program 'gcloud'. Install the Google Cloud CLI, then run this again.") from error
    if done.returncode:
        text = f"`{' '.join(command)}` failed, so nobody knows what is left: {done.stderr.strip()[-500:]}"
        raise ToolFailed(f"{text}\nLog in: `gcloud auth login`.")
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def _labelled(stack: Stack, labels: Any) -> bool:
    return bool(labels) and dict(labels).get("stack") == stack.name


def _named(stack: Stack, name: str) -> bool:
    """Accounts, repositories and metrics carry the stack's name as a word of theirs."""
    words = name.replace("/", "-").replace("@", "-").replace("_", "-").replace(" ", "-").replace("(", "-")
    return stack.name in words.replace(")", "-").split("-")
