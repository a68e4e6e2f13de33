"""Long-running operations of Cloud Run: a name under which a client learns how its call ended."""

import uuid
from typing import Any

from local.execution import SUCCEEDED
from local.run_store import EXECUTION, JOB, OPERATION, Resource, RunStore
from local.wire import Answer, Call, CloudError

# Clients cannot read an operation whose metadata does not name its type.
_TYPES = {
    JOB: "type.googleapis.com/google.cloud.run.v2.Job",
    EXECUTION: "type.googleapis.com/google.cloud.run.v2.Execution",
}
ABORTED, NOT_FOUND = 10, 5  # google/rpc/code.proto


class Operations:
    """Operations on record."""

    def __init__(self, store: RunStore) -> None:
        self._store = store

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
        name = call.path.removeprefix("/v2/")
        operation = self._store.get(OPERATION, name)
        if operation is None:
            raise CloudError(404, "notFound", f"Operation {name!r} not found")
        if "execution" not in operation:
            return Answer(body=operation)
        execution = self._store.get(EXECUTION, operation["execution"])
        if execution is None:
            error = {"code": NOT_FOUND, "message": f"Execution {operation['execution']!r} was deleted"}
            return Answer(body={"name": name, "done": True, "error": error})
        return Answer(body=self._of_execution(name, execution))

    def _of_execution(self, name: str, execution: Resource) -> dict[str, Any]:
        typed = {"@type": _TYPES[EXECUTION], **execution}
        operation: dict[str, Any] = {"name": name, "metadata": typed}
        if "completionTime" not in execution:
            return operation
        completed = execution["conditions"][0]
        if completed["state"] == SUCCEEDED or completed.get("executionReason") == "CANCELLED":
            # A cancelled execution ends its operation without an error (apache/airflow#57791).
            return operation | {"done": True, "response": typed}
        return operation | {"done": True, "error": {"code": ABORTED, "message": completed["message"]}}


def _new_name(resource: Resource) -> str:
    place = "/".join(resource["name"].split("/")[:4])
    return f"{place}/operations/{uuid.uuid4()}"
