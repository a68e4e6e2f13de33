"""One execution of a Cloud Run job while it runs: its tasks, their retries, and what its record says at each moment.

Does not own how one process runs (attempt.py), or executions that have ended (executions.py).
"""

import logging
import secrets
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import job_spec, rfc3339, strays
from local.attempt import Attempt, Ending
from local.job_output import TaskLog
from local.logging import Logs
from local.metadata import reported
from local.run_store import EXECUTION, Resource, RunStore
from local.runtime import Runtime, Task
from local.secret_values import Secrets, account
from local.wire import CloudError

log = logging.getLogger("local")

TASKS_AT_ONCE = 16  # where the job sets no parallelism: what a laptop bears
CANCELLED = "CANCELLED"  # of ExecutionReason
SUCCEEDED, FAILED, RECONCILING = "CONDITION_SUCCEEDED", "CONDITION_FAILED", "CONDITION_RECONCILING"


@dataclass(frozen=True)
class Platform:
    """What all executions share.

    Attributes:
        secrets: what jobs may read of them.
        scratch: home directories of tasks, removed when they end.
        runtime: how tasks start.
        env_for: the environment of a reported service account.
    """

    store: RunStore
    logs: Logs
    secrets: Secrets
    scratch: Path
    runtime: Runtime
    env_for: Callable[[str], dict[str, str]]


@dataclass(frozen=True)
class Stop:
    """Why an execution is to end before its work is done."""

    message: str
    reason: str = ""  # of ExecutionReason, where there is one


class RunningExecution:
    """Runs the tasks of an execution in threads of its own, and keeps its record true.

    Args:
        record: of an execution that is kept already.
        ended: called at the very end.
    """

    def __init__(self, platform: Platform, record: Resource, ended: Callable[[], None]) -> None:
        self._platform, self._record, self._ended = platform, record, ended
        self.name: str = record["name"]
        _, self._project, _, self._location, _, self._job, _, self._id = self.name.split("/")
        self._task: Resource = record["template"]
        self._declared: dict[str, str] = {}  # of the job, with the values of its secrets
        self._stop: Stop | None = None
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=self._id, daemon=True)

    def start(self) -> None:
        """Begin, and return."""
        self._thread.start()

    def stop(self, stop: Stop) -> None:
        """End all tasks, SIGTERM first; the first reason counts. Returns at once."""
        with self._lock:
            self._stop = self._stop or stop
            for attempt in self._attempts.values():
                attempt.stop()

    def kill(self, task: str) -> None:
        """End a task that runs by SIGKILL; returns when it is dead.

        Args:
            task: as its token names it.
        """
        with self._lock:
            attempt = self._attempts.get(task)
        if attempt:
            attempt.kill()

    def join(self, seconds: float | None = None) -> None:
        """Wait until it has ended, or so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._run_tasks()
        except Exception as error:
            # Whatever happens here, the record must not say "running" for ever.
            log.exception("execution %s could not be run", self.name)
            self.stop(Stop(f"The local cloud could not run it: {error}"))
        finally:
            self._finish()
            self._ended()

    def _run_tasks(self) -> None:
        try:
            self._platform.runtime.prepare(self._task["containers"][0]["image"])
            self._declared = self._platform.secrets.resolved(self._project, self._task)
        except CloudError as error:
            self._log(0, 0).system(error.message, "ERROR")
            self.stop(Stop(error.message))
            return
        self._change(lambda record: record.update(startTime=rfc3339.now()))
        count = self._record["taskCount"]
        at_once = min(self._record.get("parallelism") or TASKS_AT_ONCE, count)
        with ThreadPoolExecutor(at_once, thread_name_prefix=self._id) as pool:
            list(pool.map(lambda index: self._run_task(index), range(count)))

    def _run_task(self, index: int) -> None:
        if self._stop:
            return
        self._count(runningCount=1)
        succeeded, fault = False, ""
        for number in range(self._task["maxRetries"] + 1):
            ending = self._attempt(index, number) if not self._stop else None
            if ending is None:
                break
            if succeeded := ending.succeeded:
                break
            fault = self._fault(ending)
            self._log(index, number).system(fault, "ERROR")
            if number < self._task["maxRetries"] and not self._stop:
                self._count(retriedCount=1)
        cancelled = self._stop and self._stop.reason == CANCELLED
        if succeeded and not cancelled:  # a task may heed the SIGTERM of a cancellation with exit code 0
            self._count(runningCount=-1, succeededCount=1)
        elif self._stop:
            self._count(runningCount=-1)
        else:
            self._count(runningCount=-1, failedCount=1)
            # As on Cloud Run: the first task that fails for good ends the execution.
            message = f"Task {self._id}-task{index} failed with message: {fault}"
            self.stop(Stop(message, "NON_ZERO_EXIT_CODE"))

    def _attempt(self, index: int, number: int) -> Ending | None:
        """Run a task once; None when the execution was stopped before."""
        home = self._platform.scratch / self._id / f"{index}-{number}"
        task = Task(
            container=self._task["containers"][0],
            name=f"{self._id}-{index}-{number}-{secrets.token_hex(4)}",
            home=home,
            environment=self._environment(index, number),
        )
        with self._lock:
            if self._stop:
                return None
            home.mkdir(parents=True)
            program = self._platform.runtime.program(task)
            attempt = Attempt(
                program.argv,
                env=program.env,
                folder=program.folder,
                after=program.after,
                timeout_seconds=job_spec.seconds(self._task["timeout"], "timeout"),
                sink=self._log(index, number).lines,
            )
            self._attempts[self._task_name(index, number)] = attempt
        try:
            ending = attempt.wait()
        finally:
            with self._lock:
                del self._attempts[self._task_name(index, number)]
        if ending.lost:
            mine = {name: task.environment[name] for name in (strays.EXECUTION, "CLOUD_RUN_TASK_INDEX")}
            self._platform.runtime.end_strays(mine)
        shutil.rmtree(home, ignore_errors=True)  # what a task made unremovable costs space, no more
        return ending

    def _environment(self, index: int, number: int) -> dict[str, str]:
        declared = self._declared
        given = self._platform.env_for(
            f"{reported(account(self._project, self._task))}+{self._task_name(index, number)}"
        )
        # The cloud's own project is a default; where a job declares one, its tables are there.
        given["GOOGLE_CLOUD_PROJECT"] = declared.get("GOOGLE_CLOUD_PROJECT", given["GOOGLE_CLOUD_PROJECT"])
        platform = {
            "CLOUD_RUN_JOB": self._job,
            "CLOUD_RUN_EXECUTION": self._id,
            "CLOUD_RUN_TASK_INDEX": str(index),
            "CLOUD_RUN_TASK_COUNT": str(self._record["taskCount"]),
            "CLOUD_RUN_TASK_ATTEMPT": str(number),
        }
        return {**declared, **given, **platform}

    def _task_name(self, index: int, number: int) -> str:
        """What a task's token says beside its account, so that the local cloud knows who calls."""
        return f"{self._id}.{index}.{number}"

    def _fault(self, ending: Ending) -> str:
        if ending.timed_out:
            return f"The configured timeout of {self._task['timeout']} was reached."
        if ending.exit_code is not None:
            return f"The container exited with an error (exit code {ending.exit_code})."
        if ending.signal is not None:
            return f"The container was ended by {signal.Signals(ending.signal).name}."
        return "The container was killed from outside."

    def _log(self, index: int, number: int) -> TaskLog:
        return TaskLog(self._platform.logs, self._project, self._location, self._job, self._id, index, number)

    def _change(self, edit: Callable[[Resource], None]) -> None:
        def edit_and_date(record: Resource) -> None:
            edit(record)
            record["updateTime"] = rfc3339.now()

        self._platform.store.change(EXECUTION, self.name, edit_and_date)

    def _count(self, **changes: int) -> None:
        def edit(record: Resource) -> None:
            for name, change in changes.items():
                record[name] = record.get(name, 0) + change

        self._change(edit)

    def _finish(self) -> None:
        stop = self._stop
        self._change(lambda record: finish(record, stop))
        shutil.rmtree(self._platform.scratch / self._id, ignore_errors=True)


def finish(record: Resource, stop: Stop | None) -> None:
    """Write the end of an execution into its record: what its counts, and a reason to stop, make of it."""
    now = rfc3339.now()
    missing = record["taskCount"] - record.get("succeededCount", 0) - record.get("failedCount", 0)
    if missing:
        never_began = "startTime" not in record and not (stop and stop.reason)
        record["failedCount" if never_began else "cancelledCount"] = missing
    record.update(completionTime=now, runningCount=0, reconciling=False)
    if record.get("succeededCount", 0) == record["taskCount"]:
        took = rfc3339.seconds_between(record["startTime"], now)
        ended = condition("Completed", SUCCEEDED, f"Execution completed successfully in {took:.2f}s.")
    else:
        why = stop or Stop("Not all tasks succeeded.")
        ended = condition("Completed", FAILED, why.message, why.reason)
    record["conditions"] = [ended, condition("Started", SUCCEEDED if "startTime" in record else FAILED)]


def condition(kind: str, state: str, message: str = "", reason: str = "") -> dict[str, Any]:
    """A condition as the API writes it."""
    kept = {name: value for name, value in {"message": message, "executionReason": reason}.items() if value}
    return {"type": kind, "state": state, "lastTransitionTime": rfc3339.now(), **kept}
