"""Attempts of the service as processes of their own, with a wire between each and the local cloud that can be tripped.

Owns how an attempt is started, and how it is killed, stopped, woken or met by somebody else's deed at one of its API
requests. The service is the real one, in a process forked from one that has imported it already; nothing is patched.
"""

import contextlib
import http.client
import itertools
import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import connection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from service import cli
from tests.service.deployments import Deployment, Ended

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
NUMBERS = itertools.count()
END_SECONDS = 120  # only a broken machine needs them
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What happens at one of the API requests of an attempt.

    Attributes:
        do: a signal for the attempt, or somebody else's deed. Killed before a request, the cloud never sees it; stopped
            before a request, it goes on when the attempt is woken.
        index: of the request, from 0; or the first whose verb and path contain `match`, after `skip` of them.
    """

    do: "int | Callable[[], object]"
    index: int = -1
    match: str = ""
    skip: int = 0
    when: str = "before"

    def is_at(self, index: int, requests: list[str], when: str) -> bool:
        """Whether it is due at a request, told the ones so far."""
        if self.when != when or not self.match:
            return self.when == when and index == self.index
        return self.match in requests[index] and sum(self.match in request for request in requests[:index]) == self.skip


class Attempt:
    """One process that performs one verb.

    Args:
        folder: an empty or absent one for its words and scratch.
        trips: each happens once.
        file_bytes: no file of it may grow larger, as on a disk that is full.
    """

    def __init__(
        self,
        deployment: Deployment,
        *arguments: str,
        folder: Path,
        trips: tuple[Trip, ...] = (),
        file_bytes: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.requests: list[str] = []
        self.begun, self.stopped, self._awake, self._known = (threading.Event() for _ in range(4))
        self._trips, self._lock = list(trips), threading.Lock()
        self._words = folder / f"attempt-{next(NUMBERS)}"
        self._words.mkdir(parents=True)
        self._upstream = urlsplit(deployment.env["STORAGE_ENDPOINT"])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        given = deployment.env | dict(env or {}) | {"STORAGE_ENDPOINT": url, "BIGQUERY_ENDPOINT": url}
        self._process = CONTEXT.Process(target=_perform, args=(arguments, given, self._words, file_bytes), daemon=True)
        self._process.start()
        self._known.set()

    def wake(self) -> None:
        """Let a stopped attempt go on."""
        self._signal(signal.SIGCONT)
        self._awake.set()

    def ended(self) -> Ended:
        """Wait for its end; the code of one that was killed is the signal's number, negative."""
        self._process.join(END_SECONDS)
        code = self._process.exitcode
        assert code is not None, f"it does not end; its requests: {self.requests}"
        self._server.shutdown()
        self._server.server_close()
        out, err = ((self._words / name).read_text() for name in ("out", "err"))
        lines = [json.loads(line) for line in err.splitlines() if line.endswith("}")]  # a killed one's last may be cut
        return Ended(code, out, lines)

    def until_stopped_or_ended(self) -> None:
        """Wait until a trip has stopped it, or it has ended without reaching that."""
        while not self.stopped.wait(0.02) and self._process.is_alive():
            pass

    def strike(self, index: int, when: str) -> bool:
        """Do what is due at a request, deeds before signals; whether the request is to be forgotten."""
        self._known.wait()
        with self._lock:
            due = [trip for trip in self._trips if trip.is_at(index, self.requests, when)]
            self._trips = [trip for trip in self._trips if trip not in due]
        for trip in due:
            if callable(trip.do):
                trip.do()
        signals = [trip.do for trip in due if not callable(trip.do)]
        for number in signals:
            self._signal(number)
            if number == signal.SIGSTOP:
                self.stopped.set()
                self._awake.wait()
        return signal.SIGKILL in signals

    def number(self, request: str) -> int:
        """Count a request."""
        with self._lock:
            self.requests.append(request)
            self.begun.set()
            return len(self.requests) - 1

    def forward(self, verb: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, bytes]:
        """Ask the local cloud."""
        cloud = http.client.HTTPConnection(str(self._upstream.hostname), self._upstream.port, timeout=60)
        with contextlib.closing(cloud):
            cloud.request(verb, path, body=body or None, headers=dict(headers))
            answer = cloud.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self._process.pid or 0), number)
        if number == signal.SIGKILL:
            # Not join(): it takes the exit code away from `ended`, which another thread is waiting in.
            connection.wait([self._process.sentinel], END_SECONDS)


def _handler(attempt: Attempt) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one packet for head and body

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            index = attempt.number(f"{self.command} {unquote(self.path)}")
            self.close_connection = True
            if attempt.strike(index, "before"):
                return
            try:
                status, headers, answer = attempt.forward(self.command, self.path, dict(self.headers), body)
            except (OSError, http.client.HTTPException):
                return  # the cloud cut the connection
            if attempt.strike(index, "after"):
                return
            self.close_connection = False
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with contextlib.suppress(OSError):  # nobody listens any more
                self.wfile.write(answer)
                self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 - http.server calls them so

    return Handler


def _perform(arguments: tuple[str, ...], env: dict[str, str], words: Path, file_bytes: int | None) -> None:
    """What the process does."""
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    os.environ["TMPDIR"] = str(words)
    with (
        (words / "out").open("w", buffering=1) as out,
        (words / "err").open("w", buffering=1) as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli.main(arguments, env)
    sys.exit(code)
