"""Instants as Google's APIs write them: RFC 3339 in UTC, with up to nanoseconds."""

import re
from datetime import UTC, datetime
from typing import Any

LAST_SECOND = 253_402_300_799  # of the year 9999, the last that protobuf knows
NANOS = 1_000_000_000
_FORM = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:?\d{2}))?"
)  # +0000: as the Logging client has it


def now() -> str:
    """The present instant, with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def normal(text: str) -> str:
    """One spelling per instant, UTC with nine decimals, so that comparing texts compares instants.

    A bare date is its midnight.

    Raises:
        ValueError: not an RFC 3339 instant or date.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a time such as 2024-05-01T12:30:00Z")
    date, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z", "z") else zone
    moment = datetime.fromisoformat(f"{date}T{time or '00:00:00'}{offset}").astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{(fraction or '').ljust(9, '0')}Z"


def shortest(text: str) -> str:
    """An instant as protobuf's JSON writes it: 0, 3, 6 or 9 decimals, as many as needed."""
    whole, _, fraction = normal(text).removesuffix("Z").partition(".")
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def of_epoch(seconds: Any, nanos: Any) -> str:
    """The instant so many seconds and nanoseconds after 1970 began.

    Raises:
        ValueError: they are no whole numbers, or too large.
    """
    second, nano = int(str(seconds)), int(str(nanos))
    if not (0 <= second <= LAST_SECOND and 0 <= nano < NANOS):
        raise ValueError(f"{seconds!r} seconds and {nanos!r} nanoseconds are no time")
    return shortest(f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{nano:09}Z")


def seconds_between(start: str, end: str) -> float:
    """How long it took, from two instants of `now`."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
