"""The programs of a rehearsal: started in sessions of their own, watched while they run, ended together.

Owns their logs. Does not own what is started when (rehearse.py), or the search for what survived (processes.py).
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

from local import processes

START_SECONDS = 300  # Airflow took 100 s on a busy two-core machine; beyond three times that something is wrong
INTERRUPT_SECONDS = 5  # for pulumi to give its lock back; it would rather wait for an image that is being built
TERM_SECONDS = 5
REASON_CHARACTERS = 600
Say = Callable[[str], None]


class StepFailed(Exception):
    """A step ended badly: which, why, and the file that tells the rest."""

    def __init__(self, step: str, reason: str, log: Path | None) -> None:
        super().__init__(f"{step}: {reason}" + (f"\n  log: {log}" if log else ""))


class Stopped(KeyboardInterrupt):
    """A step ended early because the rehearsal is to end, not by a fault of its own."""


class Programs:
    """What one rehearsal runs. All of it carries the mark of the rehearsal's folder.

    Args:
        folder: the rehearsal's.
        root: the clone, where programs start.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.logs = folder / "logs"
        self._folder, self._root = folder, root
        self._parts: dict[str, subprocess.Popen[str]] = {}
        self._ending = threading.Event()

    def start(self, name: str, command: list[str], env: Mapping[str, str]) -> str:
        """Start a program for good; return the one line it prints when ready."""
        log, ready = self.logs / f"{name}.log", self.logs / f"{name}.ready"
        with log.open("w") as errors, ready.open("w") as out:
            self._parts[name] = self._popen(command, env, out, errors)
        deadline = time.monotonic() + START_SECONDS
        while not (line := ready.read_text()).endswith("\n"):
            if time.monotonic() > deadline:
                raise StepFailed(name, f"it was not ready in {START_SECONDS} s: {_last_words(log)}", log)
            self.pause(0.05)
        return line

    def run(self, name: str, command: list[str], env: Mapping[str, str], say: Say) -> str:
        """Run a program to its end, `say` being told its last line again and again; return its stdout."""
        log, out = self.logs / f"{name.replace(' ', '-')}.log", self.logs / f"{name.replace(' ', '-')}.out"
        with log.open("w") as errors, out.open("w") as stdout:
            try:
                process = self._popen(command, env, stdout, errors)
            except FileNotFoundError as error:
                raise StepFailed(name, f"there is no program {command[0]!r}. Run `make setup`.", None) from error
            try:
                while process.poll() is None:
                    say(_last_line(out))
                    self.pause(0.1)
            except BaseException:
                _interrupt(process)
                raise
        if process.returncode != 0:
            reason = f"`{' '.join(command)}` ended with code {process.returncode}: {_last_words(out, log)}"
            raise StepFailed(name, reason, out if out.stat().st_size else log)
        return out.read_text()

    def at_once(self, *works: Callable[[], None]) -> None:
        """Do several things in threads; the first failure, or a Ctrl-C meanwhile, ends the others and is raised."""
        with ThreadPoolExecutor(len(works)) as pool:
            doing = [pool.submit(work) for work in works]
            try:
                for done in as_completed(doing):
                    done.result()
            except BaseException:
                self._ending.set()
                raise

    def pause(self, seconds: float) -> None:
        """Wait for a moment.

        Raises:
            Stopped: the rehearsal is to end.
            StepFailed: a program that was started for good has ended.
        """
        if self._ending.wait(seconds):
            raise Stopped
        for name, part in self._parts.items():
            if (code := part.poll()) is not None:
                log = self.logs / f"{name}.log"
                raise StepFailed(name, f"it ended with code {code}: {_last_words(log)}", log)

    def end(self) -> int:
        """End them, and whatever else carries the mark. Returns how many there were."""
        ended = processes.end(self._folder, term_seconds=TERM_SECONDS)
        self._parts.clear()
        return ended

    def _popen(self, command: list[str], env: Mapping[str, str], out: IO[str], err: IO[str]) -> "subprocess.Popen[str]":
        # Its own session: Ctrl-C at the demo must reach the demo first, which then stops everything in order.
        return subprocess.Popen(
            command,
            cwd=self._root,
            env=processes.marked(self._folder, env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            text=True,
        )


def _interrupt(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _lines(*files: Path) -> list[str]:
    return [line.strip() for file in files for line in file.read_text(errors="replace").splitlines()]


def _last_line(*files: Path) -> str:
    return next((line for line in reversed(_lines(*files)) if line), "")


def _last_words(*files: Path) -> str:
    """All errors, each to the next empty line, else the last line; of a long text its begin and its end."""
    errors, inside = [], False
    for line in _lines(*files):
        inside = line.startswith("error:") or (inside and bool(line))
        errors += [line] if inside else []
    text = " ".join(errors) or _last_line(*files) or "it printed nothing"
    return (
        text if len(text) <= REASON_CHARACTERS else f"{text[: REASON_CHARACTERS // 3]} ... {text[-REASON_CHARACTERS:]}"
    )
