"""Runs jobs: each in a thread, ending in the transaction of its own work.

A job is on disk before its request is answered: at once, or with its rows if it only reads and is brief. One that a kill
interrupted has changed nothing and is run again.
Does not own what a job is (job_records.py) or does (work.py).
"""

import logging
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from local.warehouse import errors, job_records
from local.warehouse.catalog import Catalog, Resource, now_ms
from local.warehouse.database import Database
from local.warehouse.job_records import Job, Key, Plan
from local.wire import CloudError

log = logging.getLogger("local")

WORKERS = 8
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
BRIEF_SECONDS = 0.1  # in which most queries end, and need not be written down before
SWEEP_EVERY = 200  # jobs between two removals of expired results

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
            left = job_records.unfinished(cursor)
        for resource in left:
            job = Job(resource, writes=resource["local"]["writes"])
            if resource["local"]["resumes"]:
                self._start(job)
            else:
                self._fail(job, CloudError(499, "stopped", "The local cloud was stopped in the middle of this script"))

    def submit(self, project: str, plan: Plan, resource: Resource, caller: str, *, brief: bool = False) -> Job:
        """Write a job down and start it.

        Args:
            brief: start it first, and write it down if it has not ended soon; for one that only reads, and whose id nobody chose.

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
                added = job_records.add(cursor, job)
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
                    job_records.add(cursor, job)
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
                job_records.save(cursor, job)

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
        if not (job.kept and job_records.save(cursor, job)):
            job_records.add(cursor, job)
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

    def get(self, project: str, id: str, location: str | None) -> Job:
        """A job. Without a location it is looked for in US and EU, as the API documents.

        Raises:
            CloudError: 404.
        """
        for place in [location] if location else ["US", "EU"]:
            found = self.find(project, id, place)
            if found:
                return found
        name = f"{project}:{location}.{id}" if location else f"{project}:{id}"
        raise CloudError(404, "notFound", f"Not found: Job {name}")

    def find(self, project: str, id: str, location: str) -> Job | None:
        """A job, or None."""
        key = (project, location, id)
        with self._lock:
            running = self._running.get(key)
        if running:
            return running
        with self._database.reading() as cursor:
            resource = job_records.find(cursor, key)
        if not resource:
            return None
        job = Job(resource, writes=False)
        job.done.set()
        return job

    def all(self, project: str) -> list[Resource]:
        """All jobs of a project, newest first."""
        with self._database.reading() as cursor:
            return job_records.of_project(cursor, project)

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
            job_records.forget(cursor, job)

    def close(self) -> None:
        """Stop what runs; it is run again by the next process."""
        self._closing = True
        with self._lock:
            running = list(self._running.values())
        for job in running:
            if job.cursor is not None:
                job.cursor.interrupt()
        self._threads.shutdown(wait=True, cancel_futures=True)
