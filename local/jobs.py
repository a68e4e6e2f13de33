"""Cloud Run v2 of the local cloud: the REST methods of jobs, executions and operations.

Does not own what a job may declare (job_spec.py), what runs (executions.py), or images (images.py).
"""

import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local import images, job_spec, log_entry, rfc3339
from local.execution import CANCELLED, FAILED, SUCCEEDED, Platform, condition
from local.executions import Executions, new_record
from local.logging import Logs
from local.operations import Operations
from local.run_store import EXECUTION, JOB, OPERATION, Resource, RunStore
from local.runtime import Runtime
from local.secret_values import Secrets
from local.wire import Answer, Call, CloudError, Method, flag, unknown_method

PAGE_SIZE = 100
_LOCATION = "/v2/projects/{project}/locations/{location}"
_JOBS = _LOCATION + "/jobs"
_EXECUTIONS = _JOBS + "/{job}/executions"
_OPERATIONS = _LOCATION + "/operations"
# How an execution stands, by the state of its first condition; one that runs has begun or not.
_STATUSES = {SUCCEEDED: "EXECUTION_SUCCEEDED", FAILED: "EXECUTION_FAILED"}


class CloudRun:
    """Jobs that the Pulumi program declared, and their executions.

    Args:
        folder: holds their records.
        logs: get what tasks write.
        secrets: what they may read of them.
        runtime: how images are built and tasks run.
        env_for: the environment of a reported service account.
    """

    def __init__(
        self, folder: Path, logs: Logs, *, secrets: Secrets, runtime: Runtime, env_for: Callable[[str], dict[str, str]]
    ) -> None:
        self._store = RunStore(folder)
        self._logs, self._secrets = logs, secrets
        self._executions = Executions(Platform(self._store, logs, secrets, folder / "scratch", runtime, env_for))
        self._operations = Operations(self._store, self._executions.wait)
        self.job_of, self.kill = self._executions.job_of, self._executions.kill

    def methods(self) -> list[Method]:
        """The table of methods."""
        lacks = "volumes, GPUs, several containers"
        return [
            Method("run.jobs.create", "POST", _JOBS, self._create_job, refuses=lacks),
            Method("run.jobs.list", "GET", _JOBS, self._list_jobs),
            Method("run.jobs.run", "POST", _JOBS + "/{job}:run", self._run_job, "overrides", "images named by a tag"),
            Method("run.jobs.get", "GET", _JOBS + "/{job}", self._get_job),
            Method("run.jobs.patch", "PATCH", _JOBS + "/{job}", self._patch_job, refuses=lacks),
            Method("run.jobs.delete", "DELETE", _JOBS + "/{job}", self._delete_job),
            Method("run.executions.list", "GET", _EXECUTIONS, self._list_executions),
            Method("run.executions.cancel", "POST", _EXECUTIONS + "/{execution}:cancel", self._cancel_execution),
            Method("run.executions.get", "GET", _EXECUTIONS + "/{execution}", self._get_execution),
            Method("run.executions.delete", "DELETE", _EXECUTIONS + "/{execution}", self._delete_execution),
            Method("run.operations.list", "GET", _OPERATIONS, self._list_operations, refuses="filters"),
            Method("run.operations.wait", "POST", _OPERATIONS + "/{operation}:wait", self._operations.wait),
            Method("run.operations.get", "GET", _OPERATIONS + "/{operation}", self._operations.get),
            Method("run.operations.delete", "DELETE", _OPERATIONS + "/{operation}", self._operations.delete),
            # Not Google's: where an execution's logUri leads, as plain text for a browser. No bucket can be called "-".
            Method("local.log", "GET", "/-/log/{project}/{execution}", self._read_log, open=True),
        ]

    def close(self) -> None:
        """End what runs and close the file."""
        self._executions.close()
        self._store.close()

    def _create_job(self, call: Call) -> Answer:
        job_id = call.query.get("jobId", "")
        job_spec.check_id(job_id)
        name = f"{_name(call)}/jobs/{job_id}"
        job = _new_job(name, self._declared(call), call.caller)
        if _only_validates(call):
            return self._operations.done(job, JOB)
        if not self._store.add(JOB, job):
            raise CloudError(409, "alreadyExists", f"Job {name!r} already exists")
        return self._operations.done(job, JOB)

    def _get_job(self, call: Call) -> Answer:
        return Answer(body=self._shown_job(self._job(_name(call))))

    def _list_jobs(self, call: Call) -> Answer:
        return _page(self._store, JOB, f"{_name(call)}/jobs/-", "jobs", call, self._shown_job)

    def _patch_job(self, call: Call) -> Answer:
        name, body = _name(call), call.json()
        declared = self._declared(call)
        if flag(call.query, "allowMissing") and self._store.get(JOB, name) is None:
            job_spec.check_id(call.params["job"])
            self._store.add(JOB, _new_job(name, declared, call.caller))
            return self._operations.done(self._job(name), JOB)

        def edit(job: Resource) -> None:
            _check_etag(body.get("etag"), job)
            kept = {key: job[key] for key in ("name", "uid", "createTime", "creator", "generation")}
            job.clear()
            job.update(_dated({**kept, **declared}, call.caller))

        if _only_validates(call):
            self._job(name)
            return self._operations.done(_dated({**self._job(name), **declared}, call.caller), JOB)
        changed = self._store.change(JOB, name, edit)
        return self._operations.done(changed or self._job(name), JOB)

    def _delete_job(self, call: Call) -> Answer:
        job = self._job(_name(call))
        _check_etag(call.query.get("etag"), job)
        if not _only_validates(call):
            for _, execution in self._store.of(EXECUTION, f"{job['name']}/executions/-"):
                self._executions.delete(execution["name"])
            self._store.delete(JOB, job["name"])
        return self._operations.done(job | {"deleteTime": rfc3339.now()}, JOB)

    def _run_job(self, call: Call) -> Answer:
        job, body = self._job(_name(call)), call.json()
        _check_etag(body.get("etag"), job)
        template = job_spec.for_run(job, body.get("overrides") or {})
        images.digest_of(template["template"]["containers"][0]["image"])  # a tag is refused before anything exists
        if body.get("validateOnly"):
            return self._operations.done(new_record(job, template, call.caller), EXECUTION)
        execution = self._executions.start(job, template, call.caller)
        return self._operations.started(self._shown_execution(execution, call))

    def _list_executions(self, call: Call) -> Answer:
        pattern = f"{_name(call)}/executions/-"
        return _page(self._store, EXECUTION, pattern, "executions", call, lambda e: self._shown_execution(e, call))

    def _get_execution(self, call: Call) -> Answer:
        return Answer(body=self._shown_execution(self._execution(_name(call)), call))

    def _cancel_execution(self, call: Call) -> Answer:
        execution = self._execution(_name(call))
        body = call.json()
        _check_etag(body.get("etag"), execution)
        if not body.get("validateOnly"):
            execution = self._executions.cancel(execution["name"], call.caller)
        return self._operations.started(self._shown_execution(execution, call))

    def _delete_execution(self, call: Call) -> Answer:
        execution = self._execution(_name(call))
        _check_etag(call.query.get("etag"), execution)
        if not _only_validates(call):
            self._executions.delete(execution["name"])
        return self._operations.done(execution | {"deleteTime": rfc3339.now()}, EXECUTION)

    def _list_operations(self, call: Call) -> Answer:
        if call.query.get("filter"):
            raise CloudError(501, "notImplemented", "The local cloud does not support filters of operations")
        return _page(self._store, OPERATION, f"{_name(call)}/operations/-", "operations", call, self._operations.shown)

    def _read_log(self, call: Call) -> Answer:
        label = f'labels."run.googleapis.com/execution_name"="{call.params["execution"]}"'
        entries = self._logs.find(call.params["project"], label)
        lines = (
            f"{e['timestamp']} {e.get('severity', 'DEFAULT'):8} {log_entry.message(e)}\n".encode() for e in entries
        )
        return Answer(body=lines, headers={"content-type": "text/plain; charset=utf-8"})

    def _declared(self, call: Call) -> Resource:
        declared = job_spec.declared(call.json())
        self._secrets.check(call.params["project"], declared["template"]["template"])
        return declared

    def _job(self, name: str) -> Resource:
        job = self._store.get(JOB, name)
        if job is None:
            raise CloudError(404, "notFound", f"Job {name!r} not found")
        return job

    def _execution(self, name: str) -> Resource:
        execution = self._store.get(EXECUTION, name)
        if execution is None:
            raise CloudError(404, "notFound", f"Execution {name!r} not found")
        return execution

    def _shown_job(self, job: Resource) -> Resource:
        executions = self._store.of(EXECUTION, f"{job['name']}/executions/-")
        if not executions:
            return job
        newest = executions[0][1]
        latest = {key: newest[key] for key in ("name", "createTime", "completionTime") if key in newest}
        reference = latest | {"completionStatus": _completion_status(newest)}
        return job | {"executionCount": len(executions), "latestCreatedExecution": reference}

    def _shown_execution(self, execution: Resource, call: Call) -> Resource:
        _, project, *_, id = execution["name"].split("/")
        return execution | {"logUri": f"{call.base_url}/-/log/{project}/{id}"}


def _name(call: Call) -> str:
    """The full name of the resource that the path names, without collection or verb behind it."""
    kinds = ("project", "location", "job", "execution")
    if any(":" in call.params.get(kind, "") for kind in kinds):  # a method of Google's that is not in the table
        raise unknown_method(call)
    return "/".join(f"{kind}s/{call.params[kind]}" for kind in kinds if kind in call.params)


def _completion_status(execution: Resource) -> str:
    completed = execution["conditions"][0]
    if completed.get("executionReason") == CANCELLED:
        return "EXECUTION_CANCELLED"
    running = "EXECUTION_RUNNING" if "startTime" in execution else "EXECUTION_PENDING"
    return _STATUSES.get(completed["state"], running)


def _new_job(name: str, declared: Resource, caller: str) -> Resource:
    fixed = {"name": name, "uid": str(uuid.uuid4()), "createTime": rfc3339.now(), "creator": caller, "generation": "0"}
    return _dated({**fixed, **declared}, caller)


def _dated(job: Resource, caller: str) -> Resource:
    """A job as it is after a change; on the local cloud it is ready at once."""
    generation = str(int(job["generation"]) + 1)
    return job | {
        "generation": generation,
        "observedGeneration": generation,
        "updateTime": rfc3339.now(),
        "lastModifier": caller,
        "terminalCondition": condition("Ready", SUCCEEDED),
        "etag": f'"{secrets.token_hex(8)}"',
    }


def _only_validates(call: Call) -> bool:
    return flag(call.query, "validateOnly")


def _check_etag(etag: Any, resource: Resource) -> None:
    if etag and etag != resource["etag"]:
        raise CloudError(409, "aborted", f"{resource['name']!r} was changed in the meantime: its etag is not {etag}")


def _page(
    store: RunStore, kind: str, pattern: str, key: str, call: Call, show: Callable[[Resource], Resource]
) -> Answer:
    """One page of a list; its token is the position of its last resource, so that new ones shift no page."""
    size, token = call.query.get("pageSize", "0"), call.query.get("pageToken", "0")
    if not size.isdigit() or not token.isdigit():
        raise CloudError(400, "badRequest", f"pageSize {size!r} or pageToken {token!r} is not valid")
    wanted = min(int(size) or PAGE_SIZE, PAGE_SIZE)
    found = store.of(kind, pattern, before=int(token) or None, limit=wanted + 1)
    body: dict[str, Any] = {key: [show(resource) for _, resource in found[:wanted]]}
    if len(found) > wanted:
        body["nextPageToken"] = str(found[wanted - 1][0])
    return Answer(body=body)
