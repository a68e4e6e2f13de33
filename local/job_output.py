"""What a task's output becomes in Cloud Logging, as Cloud Run's agent does it.

Special fields: https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from local import log_comparison, rfc3339
from local.logging import Logs

_PREFIX = "logging.googleapis.com/"
# Field of a JSON line -> field of the entry, and the type without which it stays where it is.
_MOVED: dict[str, tuple[str, type]] = {
    f"{_PREFIX}insertId": ("insertId", str),
    f"{_PREFIX}spanId": ("spanId", str),
    f"{_PREFIX}trace": ("trace", str),
    f"{_PREFIX}trace_sampled": ("traceSampled", bool),
    f"{_PREFIX}sourceLocation": ("sourceLocation", dict),
    f"{_PREFIX}operation": ("operation", dict),
    "httpRequest": ("httpRequest", dict),
}
_SYSTEM = "varlog/system"


@dataclass(frozen=True)
class TaskLog:
    """Where the lines of one attempt go, and what they are labelled with."""

    logs: Logs
    project: str
    location: str
    job: str
    execution: str
    task_index: int = 0
    task_attempt: int = 0

    def lines(self, stream: str, lines: list[bytes]) -> None:
        """Keep whole lines of `stdout` or `stderr`."""
        self.logs.write([entry(line) for line in lines], self._defaults(stream))

    def system(self, text: str, severity: str) -> None:
        """Keep a message of the platform about the task."""
        self.logs.write([{"textPayload": text, "severity": severity}], self._defaults(_SYSTEM))

    def _defaults(self, log: str) -> dict[str, Any]:
        labels = {"job_name": self.job, "location": self.location, "project_id": self.project}
        return {
            "logName": f"projects/{self.project}/logs/{quote(f'run.googleapis.com/{log}', safe='')}",
            "resource": {"type": "cloud_run_job", "labels": labels},
            "labels": {
                "run.googleapis.com/execution_name": self.execution,
                "run.googleapis.com/task_index": str(self.task_index),
                "run.googleapis.com/task_attempt": str(self.task_attempt),
            },
        }


def entry(line: bytes) -> dict[str, Any]:
    """The entry of one line: a JSON object becomes `jsonPayload` with its special fields moved out, all else text."""
    text = line.decode("utf-8", "replace")
    fields = _json_object(text)
    if fields is None:
        return {"textPayload": text}
    found: dict[str, Any] = {}
    for name, (target, kind) in _MOVED.items():
        if isinstance(value := fields.get(name), kind):
            del fields[name]
            if value:  # Google's handler writes the fields it has nothing for, too
                found[target] = value
    labels = fields.get(f"{_PREFIX}labels")
    if isinstance(labels, Mapping):
        found["labels"] = {str(key): str(value) for key, value in fields.pop(f"{_PREFIX}labels").items()}
    _move(fields, "severity", found, "severity", lambda value: _known_severity(str(value)))
    for name in ("timestamp", "time"):
        _move(fields, name, found, "timestamp", _instant)
    if "timestampSeconds" in fields and "timestamp" not in found:
        pair = {"seconds": fields["timestampSeconds"], "nanos": fields.get("timestampNanos", 0)}
        with contextlib.suppress(ValueError):  # it stays in the payload
            found["timestamp"] = _instant(pair)
            del fields["timestampSeconds"]
            fields.pop("timestampNanos", None)
    return found | {"jsonPayload": fields}


def _move(fields: dict[str, Any], name: str, found: dict[str, Any], target: str, read: Callable[[Any], Any]) -> None:
    """Move a field whose value can be read; one that cannot stays in the payload, where a person sees it."""
    if name not in fields:
        return
    try:
        found[target] = read(fields[name])
    except ValueError:
        return
    del fields[name]


def _instant(value: Any) -> str:
    """A time as text, or as seconds and nanoseconds since 1970."""
    if not isinstance(value, Mapping):
        return rfc3339.shortest(str(value))
    if value.keys() - {"seconds", "nanos"}:
        raise ValueError(value)
    return rfc3339.of_epoch(value.get("seconds", ""), value.get("nanos", 0))


def _known_severity(text: str) -> str:
    if text.upper() not in log_comparison.SEVERITIES:
        raise ValueError(text)
    return text.upper()


def _json_object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
