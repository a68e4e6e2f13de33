"""Which processes belong to a local cloud, and that ending them ends no other."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from local import processes

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(20)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(20)",
]


def started(folder: Path, command: list[str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, env=processes.marked(folder, os.environ), stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_only_the_processes_of_the_folder_are_ended(tmp_path: Path) -> None:
    mine, other = started(tmp_path / "a", SLEEP), started(tmp_path / "b", SLEEP)
    assert processes.end(tmp_path / "a") == 1
    assert not psutil.pid_exists(mine.pid)
    assert other.poll() is None, "another folder's process must be left alone"
    assert processes.end(tmp_path / "b") == 1
    other.wait()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, STUBBORN)
    processes.end(tmp_path, term_seconds=0.2)
    assert not psutil.pid_exists(process.pid)


def test_ending_nothing_is_fine(tmp_path: Path) -> None:
    assert processes.end(tmp_path) == 0
