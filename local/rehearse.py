"""A stack's life on the local cloud, step by step: start, deploy, run DAGs, stop.

Owns the processes and their logs. Does not own what is shown (display.py) or what a demo tells of it (demo.py).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local import processes
from local.airflow_client import AirflowClient

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300  # Airflow took 100 s on a busy two-core machine; beyond three times that something is wrong
POLL_SECONDS = 0.5
Say = Callable[[str], None]


class StepFailed(Exception):
    """A step ended badly: which, why, and the file that tells the rest."""

    def __init__(self, step: str, reason: str, log: Path | None) -> None:
        super().__init__(f"{step}: {reason}" + (f"\n  log: {log}" if log else ""))


@dataclass(frozen=True)
class DagRun:
    """A DAG run that ended: its state and its task instances as Airflow tells them."""

    dag_id: str
    run_id: str
    run_date: str
    state: str
    tasks: list[dict[str, Any]]


class Rehearsal:
    """One local cloud with its Airflow, in one folder.

    Args:
        folder: everything lies below it; `stop` leaves it for reading, `reset` removes it.
    """

    stack = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.env: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}
        self.airflow_url = ""

    def reset(self) -> None:
        """End what an earlier rehearsal left in this folder, and remove the folder.

        Raises:
            StepFailed: the folder cannot be written.
        """
        processes.end(self.folder)
        try:
            shutil.rmtree(self.folder, ignore_errors=False) if self.folder.exists() else None
            self.logs.mkdir(parents=True)
        except OSError as error:
            raise StepFailed(
                "prepare", f"cannot write to folder {str(self.folder)!r}: {error.strerror}", None
            ) from error

    def start_cloud(self, say: Say) -> None:
        """Start the local cloud and learn its environment."""
        first_line = self._start("cloud", "serve", os.environ)
        self.env = {**os.environ, **json.loads(first_line)["env"]}
        say(f"answers at {self.env['STORAGE_ENDPOINT']}")

    def start_airflow(self, say: Say) -> None:
        """Start Airflow; its DAGs appear when the stack has uploaded them."""
        self.airflow_url = json.loads(self._start("airflow", "airflow", self.env))["url"]
        say(f"answers at {self.airflow_url}")

    def deploy(self, say: Say) -> None:
        """`pulumi up`, and read the stack's outputs."""
        command = ["pulumi", "up", "--stack", self.stack, "--yes", "--skip-preview", "--non-interactive"]
        self._run("deploy", command, say)
        shown = self._run("outputs", ["pulumi", "stack", "output", "--stack", self.stack, "--json"], say)
        self.outputs = json.loads(shown)

    def load_example(self, say: Say) -> None:
        """Load the CDNOW transactions as the example's source table."""
        say(self._run("example data", [sys.executable, "tools/example_data.py"], say).strip().splitlines()[-1])

    def airflow(self) -> AirflowClient:
        """A client of the running Airflow."""
        return AirflowClient(self.airflow_url)

    def unpause(self, dag_ids: list[str], say: Say) -> None:
        """Wait until Airflow has read the DAGs, then switch them on."""
        client, deadline = self.airflow(), time.monotonic() + START_SECONDS
        while missing := [d for d in dag_ids if d not in client.dag_ids()]:
            if time.monotonic() > deadline:
                raise StepFailed(
                    "Airflow", f"did not read DAGs {missing}: {client.import_errors()}", self.logs / "airflow.log"
                )
            say(f"waits for Airflow to read {', '.join(missing)}")
            time.sleep(POLL_SECONDS)
        for dag_id in dag_ids:
            client.unpause(dag_id)

    def run_dag(self, dag_id: str, run_date: str, say: Say) -> DagRun:
        """Start a DAG run for a run date and follow it to its end.

        Raises:
            StepFailed: the run did not succeed, or has fewer tasks than its DAG.
        """
        client = self.airflow()
        run_id = client.trigger(dag_id, run_date)
        while (state := client.run_state(dag_id, run_id)) not in ("success", "failed"):
            begun = [f"{t['task_id']} {t['state']}" for t in client.tasks(dag_id, run_id) if t["state"]]
            say(", ".join(begun) or "queued")
            time.sleep(POLL_SECONDS)
        run = DagRun(dag_id, run_id, run_date, state, client.tasks(dag_id, run_id))
        expected = client.task_ids(dag_id)
        if state != "success" or {t["task_id"] for t in run.tasks if t["state"] == "success"} != expected:
            states = ", ".join(f"{t['task_id']} {t['state']}" for t in run.tasks) or "no task at all"
            log = self.folder / "airflow" / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
            raise StepFailed(f"{dag_id} for {run_date}", f"the DAG run ended {state} ({states})", log)
        return run

    def stop(self) -> int:
        """End every process of this folder; the folder stays. Returns how many there were."""
        return processes.end(self.folder)

    def _start(self, name: str, verb: str, env: Mapping[str, str]) -> str:
        """Start `python -m local VERB` for good; return the one line it prints when ready."""
        log = self.logs / f"{name}.log"
        ready = self.logs / f"{name}.ready"
        with log.open("w") as errors, ready.open("w") as out:
            process = self._popen([sys.executable, "-m", "local", verb, "--folder", str(self.folder)], env, out, errors)
        deadline = time.monotonic() + START_SECONDS
        while not (line := ready.read_text()).endswith("\n"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StepFailed(name, f"did not start: {_last_line(log)}", log)
            time.sleep(0.05)
        return line

    def _popen(self, command: list[str], env: Mapping[str, str], out: IO[str], err: IO[str]) -> "subprocess.Popen[str]":
        # Its own session: Ctrl-C at the demo must reach the demo first, which then stops everything in order.
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=processes.marked(self.folder, env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            text=True,
        )

    def _run(self, name: str, command: list[str], say: Say) -> str:
        """Run a program to its end, its output in a log that is shown line by line; return its stdout."""
        log, out = self.logs / f"{name.replace(' ', '-')}.log", self.logs / f"{name.replace(' ', '-')}.out"
        with log.open("w") as errors, out.open("w") as stdout:
            process = self._popen(command, self.env, stdout, errors)
            try:
                while process.poll() is None:
                    say(_last_line(out) or "")
                    time.sleep(0.1)
            except BaseException:
                process.send_signal(signal.SIGINT)  # pulumi gives its lock back on the first Ctrl-C
                process.wait()
                raise
        if process.returncode != 0:
            reason = _error_lines(out, log) or f"ended with code {process.returncode}"
            raise StepFailed(name, f"`{' '.join(command)}` failed: {reason}", out if out.stat().st_size else log)
        return out.read_text()


def _last_line(file: Path) -> str:
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""


def _error_lines(*files: Path) -> str:
    lines = [line.strip() for file in files for line in file.read_text(errors="replace").splitlines()]
    return " ".join(line for line in lines if "error" in line.lower())[:600]
