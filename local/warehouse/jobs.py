"""Jobs: what was asked, how far it is, how it ended; each runs in a thread and ends in the transaction of its own work.

A job is on disk before its request is answered: at once, or with its rows if it only reads and is brief. One that a kill
interrupted has changed nothing and is run again.
What a kind of job does is in work.py.
"""

import json
import logging
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from local.warehouse import errors
from local.warehouse.catalog import Catalog, Resource, etag, now_ms
from local.warehouse.database import Database, bound
from local.wire import CloudError

log = logging.getLogger("local")

WORKERS = 8
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
BRIEF_SECONDS = 0.1  # in which most queries end, and need not be written down before
SWEEP_EVERY = 200  # jobs between two removals of expired results
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


# Does a job's work in a transaction, writing what it did into the job's statistics.
Work = Callable[[Job, duckdb.DuckDBPyConnection], None]


class Jobs:
    """All jobs of the warehouse.

    Args:
        work: does a job.
        uploads: files of upload jobs that are not done, named by `uploaded` of the job.
    """

    def __init__(self, database: Database, work: Work, uploads: Path) -> None:
        self._database, self._work, self._uploads = database, work, uploads
        self._lock = threading.Lock()
        self._running: dict[Key, Job] = {}
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="bigquery-job")
        self._submitted = 0
        self._closing = False

    def resume(self) -> None:
        """Run what an earlier process left undone, and drop what has expired."""
        with self._database.writing() as cursor:
            Catalog(cursor).sweep()
            rows = cursor.execute(
                "SELECT resource FROM jobs WHERE state <> 'DONE' AND parent IS NULL ORDER BY created"
            ).fetchall()
        for (text,) in rows:
            resource = json.loads(text)
            job = Job(resource, writes=resource["local"]["writes"])
            if resource["local"]["resumes"]:
                self._start(job)
            else:
                self._fail(job, CloudError(499, "stopped", "The local cloud was stopped in the middle of this script"))

    def submit(self, project: str, plan: Plan, resource: Resource, caller: str, *, brief: bool = False) -> Job:
        """Write a job down and start it.

        Args:
            brief: start it first, and write it down if it has not ended soon; for one that only reads, without an id.

        Raises:
            CloudError: 409 when its id is taken, 400 when it is no id.
        """
        id = str((resource.get("jobReference") or {}).get("jobId") or f"job_{uuid.uuid4().hex}")
        if not JOB_ID.fullmatch(id):
            rule = (
                "Job IDs must be alphanumeric (plus underscores and dashes) and must be at most 1024 characters long."
            )
            raise CloudError(400, "invalid", f'Invalid job ID "{id}". {rule}')
        now = str(now_ms())
        job = Job(
            {
                "jobReference": {"projectId": project, "jobId": id, "location": plan.location},
                "configuration": resource["configuration"],
                "user_email": caller,
                "statistics": {"creationTime": now, "startTime": now},
                "status": {"state": "RUNNING"},
                "local": {**resource.get("local", {}), "writes": plan.writes, "resumes": plan.resumes},
            },
            writes=plan.writes,
            kept=not brief,
        )
        taken = CloudError(409, "duplicate", f"Already Exists: Job {project}:{plan.location}.{id}")
        with self._lock:
            if job.key in self._running:
                raise taken
            self._running[job.key] = job
        if not brief:
            with self._database.single() as cursor:
                added = add(cursor, job)
            if not added:
                with self._lock:
                    del self._running[job.key]
                raise taken
        self._submitted += 1
        self._start(job)
        if brief and not job.done.wait(BRIEF_SECONDS):
            self._keep(job)
        return job

    def _keep(self, job: Job) -> None:
        """Write a job down that turned out not to be brief."""
        with job.lock:
            if not job.kept:
                with self._database.single() as cursor:
                    add(cursor, job)
                job.kept = job.late = True
        if not job.late:
            job.done.wait()  # its transaction is about to end

    def _start(self, job: Job) -> None:
        with self._lock:
            self._running[job.key] = job
        self._threads.submit(self._run, job)

    def _run(self, job: Job) -> None:
        try:
            self._attempt(job)
        except CloudError as error:
            if not self._closing:  # else it is the next process's to run
                self._fail(job, error)
        except Exception:
            log.exception("job %s failed inside the local cloud", ".".join(job.key))
            # Not `internalError`: clients would run the job again for ten minutes.
            fault = "The local warehouse has a bug in this job; see its log"
            self._fail(job, CloudError(501, "notImplemented", fault))
        finally:
            job.cursor = None
            with self._lock:
                self._running.pop(job.key, None)
            uploaded = job.resource["local"].get("uploaded")
            if uploaded and job.resource["status"]["state"] == "DONE":
                (self._uploads / uploaded).unlink(missing_ok=True)
            job.done.set()

    def _attempt(self, job: Job) -> None:
        transaction = self._database.writing if job.writes else self._database.adding
        with transaction() as cursor:
            job.cursor = cursor
            if job.cancelled:
                raise CloudError(499, "stopped", errors.STOPPED)
            try:
                self._work(job, cursor)
            except duckdb.InterruptException as error:
                raise errors.of_query(error) from error
            if self._submitted % SWEEP_EVERY == 0 and job.writes:
                Catalog(cursor).sweep()
            ended = {"state": "DONE"} | {k: v for k, v in job.resource["status"].items() if k == "errors"}
            with job.lock:
                self._end(job, ended)
                if not job.late:
                    self._write(cursor, job)
        if job.late:
            with self._database.single() as cursor:
                save(cursor, job)

    def _fail(self, job: Job, error: CloudError) -> None:
        if job.cancelled and error.reason != "stopped":
            error = CloudError(499, "stopped", errors.STOPPED)
        listed = [{k: e[k] for k in ("reason", "location", "message") if k in e} for e in error.errors]
        ended = {"state": "DONE", "errorResult": {"reason": error.reason, "message": error.message}, "errors": listed}
        with job.lock, self._database.single() as cursor:
            self._end(job, ended)
            self._write(cursor, job)

    @staticmethod
    def _write(cursor: duckdb.DuckDBPyConnection, job: Job) -> None:
        if not (job.kept and save(cursor, job)):
            add(cursor, job)
            job.kept = True

    @staticmethod
    def _end(job: Job, status: Resource) -> None:
        statistics = job.resource["statistics"]
        statistics["endTime"] = str(now_ms())
        statistics["totalSlotMs"] = statistics["finalExecutionDurationMs"] = str(
            int(statistics["endTime"]) - int(statistics["startTime"])
        )
        if "query" in statistics:
            statistics["query"] |= {"totalSlotMs": statistics["totalSlotMs"], "totalPartitionsProcessed": "0"}
        job.resource["status"] = status

    def _find(self, key: Key) -> Resource | None:
        with self._database.reading() as cursor:
            row = cursor.execute(
                bound("SELECT resource FROM jobs WHERE project = ? AND location = ? AND id = ?", *key)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def get(self, project: str, id: str, location: str | None) -> Job:
        """A job. Without a location it is looked for in US and EU, as the API documents.

        Raises:
            CloudError: 404.
        """
        for place in [location] if location else ["US", "EU"]:
            key = (project, place, id)
            with self._lock:
                running = self._running.get(key)
            if running:
                return running
            resource = self._find(key)
            if resource:
                job = Job(resource, writes=False)
                job.done.set()
                return job
        name = f"{project}:{location}.{id}" if location else f"{project}:{id}"
        raise CloudError(404, "notFound", f"Not found: Job {name}")

    def all(self, project: str) -> list[Resource]:
        """All jobs of a project, newest first."""
        with self._database.reading() as cursor:
            rows = cursor.execute(
                bound("SELECT resource FROM jobs WHERE project = ? ORDER BY created DESC, rowid DESC", project)
            ).fetchall()
        return [json.loads(text) for (text,) in rows]

    def cancel(self, job: Job) -> None:
        """Ask a job to stop; it may still end well."""
        job.cancelled = True
        cursor = job.cursor
        if cursor is not None and not job.done.is_set():
            cursor.interrupt()

    def delete(self, job: Job) -> None:
        """Forget a job that is done."""
        if not job.done.is_set():
            raise CloudError(400, "invalid", f"Cannot delete job {job.key[2]!r}: it is running")
        with self._database.writing() as cursor:
            cursor.execute(bound("DELETE FROM jobs WHERE project = ? AND location = ? AND id = ?", *job.key))

    def close(self) -> None:
        """Stop what runs; it is run again by the next process."""
        self._closing = True
        with self._lock:
            running = list(self._running.values())
        for job in running:
            if job.cursor is not None:
                job.cursor.interrupt()
        self._threads.shutdown(wait=True, cancel_futures=True)


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
