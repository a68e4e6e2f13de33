"""Finds and ends what belongs to one local cloud, by a mark in each process's environment.

Airflow's children rename themselves and leave their session, so neither names nor process groups find them all.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

# Not LOCAL_CLOUD_FOLDER: that is also set in a person's shell after `python -m local env`.
MARK = "LOCAL_CLOUD_PROCESS_OF"
TERM_SECONDS = 10
KILL_SECONDS = 5
KILL_ROUNDS = 5  # a process may start another while we look; with SIGKILL few get a second chance


def marked(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment that marks the process, and all it starts, as part of the cloud in `folder`."""
    return {**env, MARK: str(folder.resolve())}


def survivors(folder: Path) -> list[psutil.Process]:
    """Marked processes that run now, other than this one and those it descends from."""
    mine = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in mine and _mark(p) == str(folder.resolve())]


def end(folder: Path, *, term_seconds: float = TERM_SECONDS) -> int:
    """End every marked process: SIGTERM, then SIGKILL after a grace period. Safe to repeat.

    Returns:
        How many there were.
    """
    found = survivors(folder)
    for process in found:
        _signal(process, kill=False)
    psutil.wait_procs(found, timeout=term_seconds)
    for _ in range(KILL_ROUNDS):
        if not (left := survivors(folder)):
            break
        for process in left:
            _signal(process, kill=True)
        psutil.wait_procs(left, timeout=KILL_SECONDS)
    return len(found)


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK) if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return None  # another user's process, or one that just ended: not ours


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return  # it ended by itself in the meantime
