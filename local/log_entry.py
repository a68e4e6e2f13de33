"""One log entry: what the service demands of it, and what it adds before it keeps it."""

import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from local import rfc3339
from local.log_comparison import FIELDS, SEVERITIES, severity_rank

MAX_BYTES = 256 * 1024  # the real service's limit for one entry
PAYLOADS = {"textPayload": str, "jsonPayload": dict, "protoPayload": dict}
PARENTS = r"(?:projects|organizations|folders|billingAccounts)/[^/]+"
# Accepted and dropped, as by the real service: written by it, not by clients.
OUTPUT_ONLY = frozenset({"receiveTimestamp", "metadata"})
_LOG_NAME = re.compile(rf"({PARENTS})/logs/([^/]+)")
_LOG_ID = re.compile(r"[\w/.-]{1,511}")
_count = itertools.count()
_NAMES = {rank: name for name, rank in SEVERITIES.items()}


@dataclass(frozen=True)
class Row:
    """An entry as it is kept: its JSON, and what it is found and ordered by."""

    log_name: str
    timestamp: str  # normal form
    insert_id: str
    entry: dict[str, Any]

    @property
    def parent(self) -> str:
        """The project (or organization ...) whose log it is."""
        return self.log_name.partition("/logs/")[0]


def complete(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Row:
    """Check an entry and fill in what the writer left out.

    Args:
        entry: a LogEntry in JSON.
        defaults: `logName`, `resource` and `labels` of the write request.

    Raises:
        ValueError: what is wrong, with the field.
    """
    unknown = sorted(set(entry) - FIELDS - OUTPUT_ONLY)
    if unknown:
        raise ValueError(f"Unknown field {unknown[0]!r} of LogEntry")
    full = {key: value for key, value in entry.items() if value is not None and key not in OUTPUT_ONLY}
    _check_payload(full)
    name = log_name(full.get("logName") or defaults.get("logName") or "")
    received = rfc3339.now()
    timestamp = str(full.get("timestamp") or received)
    full |= {
        "logName": name,
        "resource": _resource(full.get("resource") or defaults.get("resource")),
        "timestamp": rfc3339.shortest(timestamp),
        "receiveTimestamp": rfc3339.shortest(received),
        "insertId": str(full.get("insertId") or new_insert_id()),
    }
    _settle(full, "labels", _labels(defaults.get("labels")) | _labels(full.get("labels")))
    _settle(full, "severity", _severity(full.get("severity", 0)))
    if (size := len(json.dumps(full))) > MAX_BYTES:
        raise ValueError(f"Log entry with size {size} bytes exceeds maximum size of {MAX_BYTES} bytes")
    return Row(name, rfc3339.normal(timestamp), full["insertId"], full)


def new_insert_id() -> str:
    """Grows with each call: entries of one instant are ordered by it."""
    return f"{time.time_ns():016x}{next(_count) & 0xFFFFFF:06x}"


def message(entry: Mapping[str, Any]) -> str:
    """What a person reads of an entry: its text, or the message of its payload and what else that says."""
    if "textPayload" in entry:
        return str(entry["textPayload"])
    payload = entry.get("jsonPayload") or entry.get("protoPayload") or {}
    rest = {key: value for key, value in payload.items() if key != "message"}
    return f"{payload.get('message', '')} {json.dumps(rest, ensure_ascii=False) if rest else ''}".strip()


def log_name(text: str) -> str:
    """The canonical spelling of `projects/P/logs/ID`, with the id percent-encoded.

    Raises:
        ValueError: not a log's name.
    """
    match = _LOG_NAME.fullmatch(text)
    if not match or not _LOG_ID.fullmatch(unquote(match[2])):
        raise ValueError(f"Log name {text!r} is not projects/PROJECT/logs/LOG_ID with a URL-encoded LOG_ID")
    return f"{match[1]}/logs/{quote(unquote(match[2]), safe='')}"


def _check_payload(entry: Mapping[str, Any]) -> None:
    present = [key for key in PAYLOADS if key in entry]
    if len(present) > 1:
        raise ValueError(f"A log entry has one payload, not {' and '.join(present)}")
    for key in present:
        if not isinstance(entry[key], PAYLOADS[key]):
            raise ValueError(f"{key} must be {'a string' if PAYLOADS[key] is str else 'an object'}")


def _resource(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.get("type"):
        raise ValueError("A log entry needs a monitored resource: resource.type is missing")
    return {"type": str(value["type"]), "labels": _labels(value.get("labels"))}


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict | None) or any(not isinstance(v, str) for v in (value or {}).values()):
        raise ValueError(f"Labels must map texts to texts, not {value!r}")
    return dict(value or {})


def _severity(value: Any) -> str:
    """The name, or `""` for DEFAULT, which protobuf's JSON leaves out."""
    rank = severity_rank(str(value))
    if rank not in _NAMES:
        raise ValueError(f"{value!r} is no severity")
    return _NAMES[rank] if rank else ""


def _settle(entry: dict[str, Any], key: str, value: Any) -> None:
    """Keep what is not empty."""
    entry.pop(key, None)
    if value:
        entry[key] = value
