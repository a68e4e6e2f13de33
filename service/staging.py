"""Puts a file of predictions into the runs bucket, ready to be loaded, and takes its fingerprint meanwhile.

The upload waits for the network and the fingerprint for the processor, so at once they take little more than the longer
of them. Does not own what is done with the file (`delivery.py`, `tasks.py`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from service import data_files, objects, predictions
from service.predictions import Content
from service.run import Run


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A file in the bucket under a name that nobody writes again, and what it holds."""

    uri: str
    generation: int
    rows: int
    fingerprint: str


def stage(run: Run, content: Content, name: str) -> StagedFile:
    """Upload predictions under a name that only this attempt uses, so that a load by name loads this generation."""
    with _fingerprinting(run, content) as answer:
        # Here and not in the thread, so that a signal cuts the upload.
        generation = objects.create_file(run.clients.runs, name, content.path)
        rows, fingerprint = answer()
    uri = f"gs://{run.clients.runs.name}/{name}"
    return StagedFile(uri=uri, generation=generation, rows=rows, fingerprint=fingerprint)


@contextmanager
def _fingerprinting(run: Run, content: Content) -> Iterator[Callable[[], tuple[int, str]]]:
    """Take the fingerprint in a thread; yields what waits for it. Who leaves without the answer gives it up."""
    with data_files.connect(run.folder) as connection, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(predictions.fingerprinted, run, connection, content)
        try:
            yield asked.result
        finally:
            connection.interrupt()
