"""One JSON line on stderr per event, in the form that Cloud Logging reads from a container's streams.

Does not own what is worth a line. Data goes to stdout, log lines never do.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from google.cloud.logging_v2.handlers import StructuredLogHandler

log = logging.getLogger("service")


class _Handler(StructuredLogHandler):
    """Without the library's line about itself, which would stand before the first of ours."""

    def emit_instrumentation_info(self) -> None:
        """Say nothing."""


@contextmanager
def to_stderr(labels: Mapping[str, str]) -> Iterator[None]:
    """Send this process's log lines to stderr, each with the labels; afterwards logging is as before.

    The libraries' warnings (retries, deprecations) come the same way, so that no line is bare text.
    """
    handler = _Handler(labels=dict(labels), stream=sys.stderr)  # type: ignore[no-untyped-call]  # not typed there
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
