"""Long-running operations of Cloud Run: a name under which a client learns how its call ended."""

import uuid
from collections.abc import Callable
from typing import Any

from local import job_spec
from local.execution import CANCELLED, SUCCEEDED
from local.run_store import EXECUTION, JOB, OPERATION, Resource, RunStore
from local.wire import Answer, Call, CloudError

# Clients cannot read an operation whose metadata does not name its type.
_TYPES = {
    JOB: "type.googleapis.com/google.cloud.run.v2.Job",
    EXECUTION: "type.googleapis.com/google.cloud.run.v2.Execution",
}
MAX_WAIT_SECONDS = 60.0  # a client asks again, so that no thread here is held for long
ABORTED, NOT_FOUND = 10, 5  # google/rpc/code.proto


class Operations:
    """Operations on record.

    Args:
        await_end: waits for an execution, by its name, so many seconds at most.
    """

    def __init__(self, store: RunStore, await_end: Callable[[str, float], None]) -> None:
        self._store, self._await_end = store, await_end

    def done(self, resource: Resource, kind: str) -> Answer:
        """Answer with an operation that has ended well; `resource` is its response."""
        typed = {"@type": _TYPES[kind], **resource}
        operation = {"name": _new_name(resource), "metadata": typed, "done": True, "response": typed}
        self._store.add(OPERATION, operation)
        return Answer(body=operation)

    def started(self, execution: Resource) -> Answer:
        """Answer with an operation that ends when an execution ends."""
        operation = {"name": _new_name(execution), "execution": execution["name"]}
        self._store.add(OPERATION, operation)
        return Answer(body=self._of_execution(operation["name"], execution))

    def get(self, call: Call) -> Answer:
        """How an operation stands now."""
        return Answer(body=self.shown(self._find(call)))

    def wait(self, call: Call) -> Answer:
        """How it stands when it is done, or when the time of the request is over."""
        operation, given = self._find(call), call.json().get("timeout")
        seconds = MAX_WAIT_SECONDS if given is None else min(job_spec.seconds(given, "timeout"), MAX_WAIT_SECONDS)
        if "execution" in operation:
            self._await_end(operation["execution"], seconds)
        return Answer(body=self.shown(operation))

    def delete(self, call: Call) -> Answer:
        """Forget it; what it began goes on."""
        self._store.delete(OPERATION, self._find(call)["name"])
        return Answer(body={})

    def shown(self, operation: Resource) -> dict[str, Any]:
        """An operation on record, as it stands now."""
        if "execution" not in operation:
            return operation
        execution = self._store.get(EXECUTION, operation["execution"])
        if execution is None:
            error = {"code": NOT_FOUND, "message": f"Execution {operation['execution']!r} was deleted"}
            return {"name": operation["name"], "done": True, "error": error}
        return self._of_execution(operation["name"], execution)

    def _find(self, call: Call) -> Resource:
        name = call.path.removeprefix("/v2/").removesuffix(":wait")
        operation = self._store.get(OPERATION, name)
        if operation is None:
            raise CloudError(404, "notFound", f"Operation {name!r} not found")
        return operation

    def _of_execution(self, name: str, execution: Resource) -> dict[str, Any]:
        typed = {"@type": _TYPES[EXECUTION], **execution}
        operation: dict[str, Any] = {"name": name, "metadata": typed}
        if "completionTime" not in execution:
            return operation
        completed = execution["conditions"][0]
        if completed["state"] == SUCCEEDED or completed.get("executionReason") == CANCELLED:
            # A cancelled execution ends its operation without an error (apache/airflow#57791).
            return operation | {"done": True, "response": typed}
        return operation | {"done": True, "error": {"code": ABORTED, "message": completed["message"]}}


def _new_name(resource: Resource) -> str:
    place = "/".join(resource["name"].split("/")[:4])
    return f"{place}/operations/{uuid.uuid4()}"
