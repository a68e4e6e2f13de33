"""Waiting for what other processes do, without a guess how long it takes."""

import time
from collections.abc import Callable
from typing import Any

WAIT_SECONDS = 180


def until(ready: Callable[[], Any]) -> Any:
    """Wait for something that another process does; fails after a time that only a broken machine needs."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := ready()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found
