"""Runs one task's program and leaves nothing of it behind, even when the local cloud is killed.

A program between the local cloud and the task:
`python -I -S launcher.py STATUS_FD GRACE_SECONDS [--after JSON_LIST] PROGRAM ...`. The command after `--after` is run
at the very end, however that comes: for what the program may leave that is no process below it, such as a container.
Standard input is a pipe from the local cloud: a byte on it, or SIGTERM, means "end the task politely"; the byte `k`
means SIGKILL for all of it at once, and so does the pipe's end: the local cloud is gone. How the program ended is
written to STATUS_FD: `exit 3`, `signal 9`.
Standard library only, since it runs without the environment's packages.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

CONTROL = 0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
CANNOT_START = 127  # as a shell says it
LINUX = sys.platform == "linux"


def main() -> int:
    """Run until the program has ended and no process of it is left."""
    status_fd, grace_seconds, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    after: list[str] = []
    if command[0] == "--after":
        after, command = json.loads(command[1]), command[2:]
    os.set_inheritable(status_fd, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans become children of this process, so that none escapes
    wake = _wake_on_signals()
    child = _start(command)
    status = _wait(child, wake, grace_seconds)
    _end_the_rest(child)
    if after:
        quiet = subprocess.DEVNULL
        subprocess.run(after, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    with contextlib.suppress(BrokenPipeError):  # the local cloud is gone
        os.write(status_fd, status.encode())
    return 0


def _wake_on_signals() -> int:
    """A pipe that gets one byte, its number, for each signal; so that one select waits for everything."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return wake_read


def _start(command: list[str]) -> int:
    # Held back until the child takes it as any program does: our handler, which it inherits, would swallow it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return child
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should this launcher be killed
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.dup2(os.open(os.devnull, os.O_RDONLY), CONTROL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - a shell would only be one more process to end
    except OSError as error:
        print(f"Cannot start {command[0]!r}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(CANNOT_START)


def _wait(child: int, wake: int, grace_seconds: float) -> str:
    """How the program ended, once it has, by itself or by order."""
    deadline: float | None = None
    watched = [CONTROL, wake]
    while True:
        rest = None if deadline is None else max(deadline - time.monotonic(), 0)
        ready, _, _ = select.select(watched, [], [], rest)
        ordered = wake in ready and signal.SIGTERM in os.read(wake, 64)
        gone = False
        if CONTROL in ready:
            gone = os.read(CONTROL, 1) in (b"", b"k")
            ordered = ordered or not gone
        if (status := _ended(child)) is not None:
            return status
        if gone or rest == 0:
            _kill_all(child)
            watched, deadline = [wake], None
        elif ordered and deadline is None:
            os.kill(child, signal.SIGTERM)  # to the program itself, as a container's first process gets it
            deadline = time.monotonic() + grace_seconds


def _ended(child: int) -> str | None:
    """Reap whatever has ended; the status of the program when it is among that."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        if pid == 0:
            return None


def _end_the_rest(child: int) -> None:
    """Kill and reap until no process is left below this one."""
    while True:
        _kill_all(child)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _kill_all(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    for pid in _descendants() if LINUX else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants() -> list[int]:
    """Every process below this one, in whatever session it may be."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return list(found - {os.getpid()})


def _prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
