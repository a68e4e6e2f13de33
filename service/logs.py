"""One JSON line on stderr per event, in the form that Cloud Logging reads from a container's streams.

Does not own what is worth a line. Data goes to stdout, log lines never do. No line of ours holds a secret or a
value of a row.
"""

import hashlib
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from google.cloud.logging_v2.handlers import StructuredLogHandler

log = logging.getLogger("service")


class _Handler(StructuredLogHandler):
    """Without the library's line about itself, which would stand before the first of ours."""

    def __init__(self, labels: dict[str, str]) -> None:
        super().__init__(labels=labels, stream=sys.stderr)  # type: ignore[no-untyped-call]  # not typed there
        self.labels = labels  # the very dict that the library reads for each line
        self.step_began = time.monotonic()

    def emit_instrumentation_info(self) -> None:
        """Say nothing."""


@contextmanager
def to_stderr(labels: Mapping[str, str]) -> Iterator[None]:
    """Send this process's log lines to stderr, each with the labels; afterwards logging is as before.

    The libraries' warnings (retries, deprecations) come the same way, so that no line is bare text.
    """
    handler = _Handler(dict(labels))
    root = logging.getLogger()
    level = log.level
    root.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        log.setLevel(level)


def event(message: str, severity: int = logging.INFO, **fields: object) -> None:
    """Write one line: a message and, beside it, fields that a query can filter by."""
    log.log(severity, message, extra={"json_fields": fields}, stacklevel=2)


def step(name: str, message: str, **fields: object) -> None:
    """Write the one line of a step that has ended: its name, the seconds since the last one ended, its rows and bytes.

    Args:
        fields: `rows` and `bytes`, where the step has them, and what else a query may filter by.
    """
    now = time.monotonic()
    seconds: float | None = None
    for handler in _handlers():
        seconds, handler.step_began = round(now - handler.step_began, 3), now
    log.info(message, extra={"json_fields": {"step": name, "seconds": seconds, **fields}}, stacklevel=2)


def label(**labels: str) -> None:
    """Add labels to every line from now on, such as the version once it is known."""
    for handler in _handlers():
        handler.labels |= labels


def mark(value: str) -> str:
    """What stands for a row's value in messages, logs and receipts: `#` and 8 hex digits of its SHA-256.

    Whoever may read the table finds the row by it: `SUBSTR(TO_HEX(SHA256(key)), 1, 8)`.
    """
    return f"#{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def bytes_of(folder: Path) -> int:
    """The bytes of all files in a folder, or of one file."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def _handlers() -> list[_Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]
