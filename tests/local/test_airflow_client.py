"""Calls to Airflow whose answers come before their effect."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.airflow_client import AirflowClient, AirflowRefused


@contextmanager
def answering(completed: Iterator[str | None], cancellation: int = 200) -> Iterator[AirflowClient]:
    """An Airflow that knows one backfill, and tells at each question when that was completed."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(cancellation, {})

        def do_GET(self) -> None:
            self._answer(
                200, {"access_token": "t"} if self.path == "/auth/token" else {"completed_at": next(completed)}
            )

        def _answer(self, status: int, body: dict[str, str | None]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with closing(AirflowClient(f"http://127.0.0.1:{server.server_port}")) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_backfill_is_closed_when_airflow_has_written_it_down() -> None:
    """Airflow answers a cancellation before it commits: another backfill at once was refused with 409."""
    answers = iter([None, None, "2026-11-23T13:42:00Z", "not asked for"])
    with answering(answers) as client:
        client.close_backfill(1)
    assert list(answers) == ["not asked for"]


def test_a_backfill_that_airflow_has_closed_itself_is_closed() -> None:
    answers = iter(["2026-11-23T13:42:00Z"])
    with answering(answers, cancellation=409) as client:
        client.close_backfill(1)
    assert list(answers) == [], "it was asked"


def test_a_backfill_that_cannot_be_closed_is_told_in_airflows_words() -> None:
    with answering(iter([None]), cancellation=403) as client, pytest.raises(AirflowRefused, match="403"):
        client.close_backfill(1)
