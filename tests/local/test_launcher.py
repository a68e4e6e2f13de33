"""The program between the local cloud and a task ends all of it, whatever happens to whom."""

import os
import signal
import subprocess
import sys
import uuid

import psutil
import pytest

from local.attempt import LAUNCHER

IGNORES_SIGTERM = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["setsid", "sleep", "300"])
print("ready", flush=True)
time.sleep(300)
"""
TIDIES_UP = """
import signal, sys, time
def tidy(number, frame):
    print("tidied", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, tidy)
print("ready", flush=True)
time.sleep(300)
"""


class Launched:
    """A launcher as the local cloud starts it, with a mark on everything below it."""

    def __init__(self, *program: str, grace_seconds: float = 0.2) -> None:
        self.mark = uuid.uuid4().hex
        status_read, status_write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(status_write), str(grace_seconds), *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(status_write,),
            env=os.environ | {"MARK": self.mark},
        )
        os.close(status_write)
        self._status = os.fdopen(status_read)

    def ready(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"

    def ended(self) -> str:
        """What it reported, once it has ended."""
        self.process.communicate()
        with self._status:
            return self._status.read()

    def reported(self) -> str:
        """What it reports, while the local cloud, which standard input stands for, is still there."""
        return self._status.read()

    def left(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MARK") == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.mark.parametrize(
    ("code", "status"), [("pass", "exit 0"), ("raise SystemExit(3)", "exit 3"), ("import os; os.abort()", "signal 6")]
)
def test_it_reports_how_the_program_ended(code: str, status: str) -> None:
    launched = Launched(sys.executable, "-c", code)
    assert launched.process.wait() == 0
    assert launched.ended() == status


def test_an_order_lets_the_program_tidy_up() -> None:
    launched = Launched(sys.executable, "-c", TIDIES_UP, grace_seconds=20)
    launched.ready()
    assert launched.process.stdin
    launched.process.stdin.write(b"t")
    launched.process.stdin.flush()
    assert launched.process.stdout
    assert launched.process.stdout.read() == b"tidied\n"
    assert launched.ended() == "exit 7"


def test_sigterm_to_the_launcher_is_such_an_order() -> None:
    launched = Launched(sys.executable, "-c", TIDIES_UP, grace_seconds=20)
    launched.ready()
    launched.process.terminate()
    assert launched.process.wait() == 0
    assert launched.ended() == "exit 7"


def test_what_ignores_the_order_is_killed_with_all_it_started() -> None:
    launched = Launched(sys.executable, "-c", IGNORES_SIGTERM)
    launched.ready()
    assert len(launched.left()) == 3
    launched.process.terminate()
    launched.process.wait()
    assert launched.ended() == f"signal {signal.SIGKILL}"
    assert not launched.left()


def test_when_the_local_cloud_is_gone_everything_dies_at_once() -> None:
    launched = Launched(sys.executable, "-c", IGNORES_SIGTERM, grace_seconds=300)
    launched.ready()
    assert launched.process.stdin
    launched.process.stdin.close()
    launched.process.wait()
    assert not launched.left()


def test_a_program_that_ends_takes_what_it_left_in_the_background_along() -> None:
    launched = Launched("sh", "-c", "setsid sleep 300 & echo ready")
    assert launched.process.wait() == 0
    assert launched.ended() == "exit 0"
    assert not launched.left()


def test_an_order_to_end_that_comes_before_the_program_has_begun_is_not_lost() -> None:
    launched = Launched("sleep", "300", grace_seconds=60)  # a lost order would end it by SIGKILL, a minute later
    assert launched.process.stdin
    launched.process.stdin.write(b"x")
    launched.process.stdin.flush()
    assert launched.reported() == "signal 15"
    assert launched.ended() == "", "it reports once"
    assert launched.left() == []
