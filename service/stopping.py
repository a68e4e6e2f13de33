"""SIGTERM and SIGINT as errors, so that what a run has started is ended and its receipt still written.

Does not own what is done then (`run.py`, `model_process.py`).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from service.errors import UpstreamFailed

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise an UpstreamFailed wherever the work is when one of the signals arrives."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        text = f"The run was stopped by {signal.Signals(number).name}: it was cancelled, or over its time limit."
        raise UpstreamFailed(text, "If it needs longer, raise timeout_seconds in model.yaml.")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Let the signals wait until the end of what must not be cut, such as starting a process and noting which."""
    arrived = list[int]()
    before = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for held in arrived:
            signal.raise_signal(held)
