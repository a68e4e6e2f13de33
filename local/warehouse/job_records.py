"""What a job is, and how it is written down.

Does not own how jobs run (jobs.py) or what they do (work.py).
"""

import json
import threading
from dataclasses import dataclass, field

import duckdb

from local.warehouse.catalog import Resource, etag
from local.warehouse.database import bound

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Plan:
    """Where a job runs, and how."""

    location: str
    writes: bool  # changes what others may change, and so waits its turn
    resumes: bool = True  # a kill leaves nothing of it, so that it can run again


@dataclass
class Job:
    """One job: its resource, and while it runs what is needed to wait for it or to stop it."""

    resource: Resource
    writes: bool  # changes what others may change, and so waits its turn
    done: threading.Event = field(default_factory=threading.Event)
    cursor: duckdb.DuckDBPyConnection | None = None
    cancelled: bool = False
    kept: bool = True  # is on disk, or will be with the transaction of its work
    late: bool = False  # was put there after that transaction began, which does not see it
    lock: threading.Lock = field(default_factory=threading.Lock)  # of the two above

    @property
    def key(self) -> Key:
        """What names it: project, location, id."""
        ref = self.resource["jobReference"]
        return ref["projectId"], ref["location"], ref["jobId"]

    @property
    def configuration(self) -> Resource:
        """`configuration.query`, `.load`, `.copy` or `.extract`."""
        outer = self.resource["configuration"]
        found: Resource = outer[outer["jobType"].lower()]
        return found

    @property
    def error(self) -> Resource | None:
        """`status.errorResult`."""
        found: Resource | None = self.resource["status"].get("errorResult")
        return found


def presented(resource: Resource, base_url: str) -> Resource:
    """A job as a request answers it."""
    ref = resource["jobReference"]
    link = f"{base_url}/bigquery/v2/projects/{ref['projectId']}/jobs/{ref['jobId']}?location={ref['location']}"
    shown = {k: v for k, v in resource.items() if k != "local"}
    id = f"{ref['projectId']}:{ref['location']}.{ref['jobId']}"
    return {"kind": "bigquery#job", "etag": etag(shown), "id": id, "selfLink": link, **shown}


def add(cursor: duckdb.DuckDBPyConnection, job: Job) -> bool:
    """Write a new job down; False when its id is taken."""
    project, location, id = job.key
    statistics, state = job.resource["statistics"], job.resource["status"]["state"]
    created, parent = int(statistics["creationTime"]), statistics.get("parentJobId")
    values = [project, location, id, state, created, parent, json.dumps(job.resource), project, location, id]
    taken = "FROM jobs WHERE project = ? AND location = ? AND id = ?"
    sql = f"INSERT INTO jobs SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS ({taken})"
    row = cursor.execute(bound(sql, *values)).fetchone()
    return bool(row and row[0])


def save(cursor: duckdb.DuckDBPyConnection, job: Job) -> bool:
    """Write down what has become of a job; False when it was not written down before."""
    sql = "UPDATE jobs SET state = ?, resource = ? WHERE project = ? AND location = ? AND id = ?"
    row = cursor.execute(bound(sql, job.resource["status"]["state"], json.dumps(job.resource), *job.key)).fetchone()
    return bool(row and row[0])


def find(cursor: duckdb.DuckDBPyConnection, key: Key) -> Resource | None:
    """The resource of a job, or None."""
    sql = "SELECT resource FROM jobs WHERE project = ? AND location = ? AND id = ?"
    row = cursor.execute(bound(sql, *key)).fetchone()
    return json.loads(row[0]) if row else None


def of_project(cursor: duckdb.DuckDBPyConnection, project: str) -> list[Resource]:
    """The resources of all jobs of a project, newest first."""
    sql = "SELECT resource FROM jobs WHERE project = ? ORDER BY created DESC, rowid DESC"
    return [json.loads(text) for (text,) in cursor.execute(bound(sql, project)).fetchall()]


def unfinished(cursor: duckdb.DuckDBPyConnection) -> list[Resource]:
    """The resources of jobs that a kill interrupted, oldest first; the statements of a script belong to the script."""
    sql = "SELECT resource FROM jobs WHERE state <> 'DONE' AND parent IS NULL ORDER BY created"
    return [json.loads(text) for (text,) in cursor.execute(sql).fetchall()]


def forget(cursor: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Remove what was written of a job."""
    cursor.execute(bound("DELETE FROM jobs WHERE project = ? AND location = ? AND id = ?", *job.key))
