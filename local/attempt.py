"""One attempt of one task: a process with its output, its time limit and its end.

Does not own retries, counts or records (executions.py), or what a line of output means (job_output.py).
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launcher.py")
KILL_SECONDS = 10.0  # a killed process is gone at once, unless the kernel holds it
GRACE_SECONDS = 10.0  # from SIGTERM to SIGKILL, as Cloud Run gives it
MAX_LINE_BYTES = 40 << 10  # a longer line becomes several entries; six times as long in JSON, it still fits one
OUTPUTS = ("stdout", "stderr")
_STATUS = "status"

Sink = Callable[[str, list[bytes]], None]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: with an exit code or by a signal; with neither when its launcher was killed."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False

    @property
    def lost(self) -> bool:
        """Nobody saw it end, so some of it may still run."""
        return self.exit_code is None and self.signal is None

    @property
    def succeeded(self) -> bool:
        """Exit code 0 in time."""
        return self.exit_code == 0 and not self.timed_out


class Attempt:
    """A process that was started, below a launcher that ends all of it.

    Args:
        argv: the program and its arguments.
        env: its whole environment.
        folder: its working directory.
        timeout_seconds: from now on; None for no limit.
        sink: gets whole lines, from the thread that calls `wait`.
        after: a command to run at the very end, however that comes.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        timeout_seconds: float | None,
        sink: Sink,
        after: Sequence[str] = (),
    ) -> None:
        status_read, status_write = os.pipe()
        self._status = os.fdopen(status_read, "rb", buffering=0)
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(status_write), str(GRACE_SECONDS)]
        launch += ["--after", json.dumps(list(after))] if after else []
        try:
            self._process = subprocess.Popen(
                [*launch, *argv],
                env=dict(env),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(status_write,),
                start_new_session=True,  # Ctrl-C at the server's terminal is the server's to handle
            )
        finally:
            os.close(status_write)
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._lines = {name: _Lines(name, sink) for name in OUTPUTS}
        self._timed_out = False
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Ask it to end: SIGTERM, then SIGKILL after the grace period. Safe from any thread, and to repeat."""
        self._order(b"t")

    def kill(self) -> None:
        """End it by SIGKILL, as a machine that fails; returns when nothing of it runs any more."""
        self._order(b"k")
        self._ended.wait(KILL_SECONDS)

    def _order(self, byte: bytes) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):  # it has ended already
            assert self._process.stdin  # noqa: S101 - for mypy: it is a pipe
            self._process.stdin.write(byte)

    def wait(self) -> Ending:
        """Pass its output on until it, and every process it started, has ended."""
        try:
            report = self._pass_on()
            for lines in self._lines.values():
                lines.end()
        finally:
            self._close()  # should this be left by an exception, the launcher ends the task
            self._process.wait()
            self._ended.set()
        return self._ending(report.decode())

    def _pass_on(self) -> bytes:
        """Read until every stream has ended, or the launcher without a report; returns the report."""
        report, ended = b"", False
        with selectors.DefaultSelector() as selector:
            for name, stream in self._streams().items():
                selector.register(stream, selectors.EVENT_READ, name)
            while selector.get_map() and (report or not ended):
                for key, _ in selector.select(self._rest()):
                    chunk = os.read(key.fd, MAX_LINE_BYTES)
                    if not chunk:
                        selector.unregister(key.fileobj)
                        ended = ended or key.data == _STATUS
                    elif key.data == _STATUS:
                        report += chunk
                    else:
                        self._lines[key.data].feed(chunk)
        return report

    def _rest(self) -> float | None:
        """Seconds to the time limit, which is enforced here; None once it was."""
        if self._timed_out or self._deadline is None:
            return None
        rest = self._deadline - time.monotonic()
        if rest > 0:
            return rest
        self._timed_out = True
        self.stop()
        return None

    def _streams(self) -> dict[str, IO[bytes]]:
        assert self._process.stdout  # noqa: S101 - for mypy: both are pipes
        assert self._process.stderr  # noqa: S101
        return {"stdout": self._process.stdout, "stderr": self._process.stderr, _STATUS: self._status}

    def _close(self) -> None:
        with self._lock:
            assert self._process.stdin  # noqa: S101 - for mypy: it is a pipe
            for stream in (*self._streams().values(), self._process.stdin):
                stream.close()

    def _ending(self, report: str) -> Ending:
        kind, _, number = report.partition(" ")
        return Ending(
            exit_code=int(number) if kind == "exit" else None,
            signal=int(number) if kind == "signal" else None,
            timed_out=self._timed_out,
        )


class _Lines:
    """Puts the pieces of one stream together to lines."""

    def __init__(self, name: str, sink: Sink) -> None:
        self._name, self._sink, self._rest = name, sink, b""

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) >= MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self._pass(lines)

    def end(self) -> None:
        self._pass([self._rest])
        self._rest = b""

    def _pass(self, lines: list[bytes]) -> None:
        if wanted := [line.rstrip(b"\r") for line in lines if line.strip()]:
            self._sink(self._name, wanted)
