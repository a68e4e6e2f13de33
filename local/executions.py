"""The executions of all Cloud Run jobs: started, cancelled, deleted, and put right after the local cloud was killed."""

import secrets
import shutil
import string
import threading
import uuid

from local import rfc3339
from local.execution import CANCELLED, RECONCILING, Platform, RunningExecution, Stop, condition, finish
from local.job_output import TaskLog
from local.run_store import EXECUTION, Resource
from local.wire import CloudError

_SUFFIX = string.ascii_lowercase + string.digits
ENDED_WITH_THE_CLOUD = Stop("The local cloud ended while this execution ran. Run the job again.")
STOPPED_WITH_THE_CLOUD = Stop("The local cloud was stopped while this execution ran. Run the job again.", CANCELLED)


class Executions:
    """Executions on record, and those that run now.

    Args:
        platform: where records, logs, images and identities come from.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running: dict[str, RunningExecution] = {}
        self._lock = threading.Lock()
        self._recover()

    def start(self, job: Resource, template: Resource, creator: str) -> Resource:
        """Keep a new execution and begin it.

        Args:
            template: an execution template, overrides applied.
            creator: who asked for it.
        """
        record = new_record(job, template, creator)
        while not self._platform.store.add(EXECUTION, record):
            record = new_record(job, template, creator)
        running = RunningExecution(self._platform, record, lambda: self._forget(record["name"]))
        with self._lock:
            self._running[record["name"]] = running
        running.start()
        return record

    def cancel(self, name: str, caller: str) -> Resource:
        """Begin to end an execution.

        Raises:
            CloudError: 404 when there is none, 400 when it has ended.
        """
        stop = Stop(f"The execution was cancelled by {caller}.", CANCELLED)

        def edit(record: Resource) -> None:
            if "completionTime" in record:
                raise CloudError(400, "failedPrecondition", f"Execution {name!r} has ended; it cannot be cancelled")
            record["conditions"] = [condition("Completed", RECONCILING, "Cancelling.", "CANCELLING")]

        record = self._platform.store.change(EXECUTION, name, edit)
        if record is None:
            raise CloudError(404, "notFound", f"Execution {name!r} not found")
        self._stop(name, stop)
        return record

    def wait(self, name: str, seconds: float) -> None:
        """Wait until an execution has ended, or so long."""
        with self._lock:
            running = self._running.get(name)
        if running:
            running.join(seconds)

    def delete(self, name: str) -> None:
        """End an execution if it runs, wait for that, and forget it."""
        if running := self._stop(name, Stop("The execution was deleted.", "DELETED")):
            running.join()
        self._platform.store.delete(EXECUTION, name)

    def job_of(self, task: str) -> str:
        """The name of the job that a running task, as its token names it, belongs to; "" when there is none."""
        running = self._of_task(task)
        return running.name.split("/")[5] if running else ""

    def kill(self, task: str) -> None:
        """End a running task by SIGKILL; returns when it is dead."""
        if running := self._of_task(task):
            running.kill(task)

    def _of_task(self, task: str) -> RunningExecution | None:
        end = f"/executions/{task.partition('.')[0]}"
        with self._lock:
            return next((running for name, running in self._running.items() if name.endswith(end)), None)

    def close(self) -> None:
        """End everything that runs, and wait for it."""
        with self._lock:
            running = list(self._running.values())
        for execution in running:
            execution.stop(STOPPED_WITH_THE_CLOUD)
        for execution in running:
            execution.join()

    def _stop(self, name: str, stop: Stop) -> RunningExecution | None:
        with self._lock:
            running = self._running.get(name)
        if running:
            running.stop(stop)
        return running

    def _forget(self, name: str) -> None:
        with self._lock:
            self._running.pop(name, None)

    def _recover(self) -> None:
        """After a kill: end what is left of the tasks, and fail the executions that were running."""
        platform = self._platform
        left = [record for _, record in platform.store.of(EXECUTION, "-") if "completionTime" not in record]
        if left:
            platform.runtime.end_strays({})
        shutil.rmtree(platform.scratch, ignore_errors=True)
        for record in left:
            platform.store.change(EXECUTION, record["name"], lambda found: finish(found, ENDED_WITH_THE_CLOUD))
            _, project, _, location, _, job, _, id = record["name"].split("/")
            TaskLog(platform.logs, project, location, job, id).system(ENDED_WITH_THE_CLOUD.message, "ERROR")


def new_record(job: Resource, template: Resource, creator: str) -> Resource:
    """An execution before it begins."""
    job_id = job["name"].rpartition("/")[2]
    suffix = "".join(secrets.choice(_SUFFIX) for _ in range(5))
    now = rfc3339.now()
    return {
        "name": f"{job['name']}/executions/{job_id}-{suffix}",
        "uid": str(uuid.uuid4()),
        "creator": creator,
        "generation": "1",
        "observedGeneration": "1",
        "labels": template.get("labels", {}),
        "annotations": template.get("annotations", {}),
        "createTime": now,
        "updateTime": now,
        "launchStage": job["launchStage"],
        "job": job_id,
        **({"parallelism": template["parallelism"]} if "parallelism" in template else {}),
        "taskCount": template["taskCount"],
        "template": template["template"],
        "reconciling": True,
        "conditions": [condition("Completed", RECONCILING, "Waiting for execution to complete.")],
        "etag": f'"{secrets.token_hex(8)}"',
    }
