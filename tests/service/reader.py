"""A reader who never sleeps: polls a partition while others write, and remembers every different state it saw."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from typing import Any

import pyarrow.parquet

from service import clients, settings
from tests.service.deployments import Deployment

Rows = tuple[tuple[Any, ...], ...]


class Reader:
    """Polls the partition of a run date from a thread of its own, with a client of its own."""

    def __init__(self, deployment: Deployment, day: date) -> None:
        self._query = f"SELECT {columns(deployment)} FROM `{deployment.table}` WHERE run_date = '{day}' ORDER BY 1"
        self._client = clients.connect(settings.read(deployment.env, model=None, runs_model=False)).bigquery
        self.seen: list[Rows] = [self.look()]
        self.polls = 0
        self._enough = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def look(self) -> Rows:
        """The rows of this moment."""
        return tuple(tuple(row.values()) for row in self._client.query_and_wait(self._query))

    @contextmanager
    def polling(self) -> Iterator[None]:
        """Poll throughout."""
        self._thread.start()
        try:
            yield
        finally:
            self._enough.set()
            self._thread.join()
        if self._fault:
            raise self._fault
        self._remember(self.look())

    def _poll(self) -> None:
        try:
            while not self._enough.is_set():
                self._remember(self.look())
                self.polls += 1
        except Exception as error:
            self._fault = error

    def _remember(self, rows: Rows) -> None:
        if rows != self.seen[-1]:
            self.seen.append(rows)


def columns(deployment: Deployment) -> str:
    """What tells the rows of one attempt from those of another, the key first."""
    return f"{deployment.key}, level, model_version, run_id, predicted_at"


def staged(deployment: Deployment, day: date) -> dict[str, Rows]:
    """The rows that each attempt for a run date has made, by the address of its file."""
    prefix = f"output/{deployment.env['MODEL']}-application-{day}-"
    names = columns(deployment).split(", ")
    found = {}
    for blob in deployment.clients.runs.list_blobs(prefix=prefix, match_glob="**.parquet"):
        table = pyarrow.parquet.read_table(BytesIO(blob.download_as_bytes())).select(names)
        rows = sorted(tuple(row[name] for name in names) for row in table.to_pylist())
        found[f"gs://{deployment.clients.runs.name}/{blob.name}"] = tuple(rows)
    return found
