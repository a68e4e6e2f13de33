"""A stack's life on the local cloud, step by step: start, deploy, run DAGs, stop.

Does not own the folder (rehearsal_folder.py), the programs and their logs (programs.py), what is shown (display.py) or
what a demo tells of it (demo.py).
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import yaml

from local import reader, rehearsal_folder, rfc3339
from local.airflow_client import AirflowClient, AirflowRefused
from local.programs import REASON_CHARACTERS, START_SECONDS, Programs, Say, StepFailed

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.5
LAST_WORDS_SECONDS = 20  # a part that failed says so only after it has ended its own processes


@dataclass(frozen=True)
class DagRun:
    """A DAG run that ended: its state and its task instances as Airflow tells them."""

    dag_id: str
    run_id: str
    run_date: str
    state: str
    tasks: list[dict[str, Any]]

    def states(self) -> dict[str, str | None]:
        """The state of each task."""
        return {task["task_id"]: task["state"] for task in self.tasks}


class Rehearsal:
    """One local cloud with its Airflow, in one folder.

    Args:
        folder: everything lies below it; `stop` leaves it for reading, the next `reset` empties it.
        root: the clone that is rehearsed.
    """

    stack = "local"

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.root = folder.resolve(), root
        self.programs = Programs(self.folder, root)
        self.logs = self.programs.logs
        self.env: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}
        self.airflow_url = ""
        self._held: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether `reset` has taken the folder, so that what runs in it is this rehearsal's."""
        return self._held is not None

    def reset(self) -> None:
        """Take the folder, end what an earlier rehearsal left in it, and empty it.

        Raises:
            StepFailed: the folder cannot be used; nothing in it was touched unless it is a rehearsal's.
        """
        try:
            self._held = rehearsal_folder.hold(self.folder)
            self.programs.end()
            rehearsal_folder.clear(self.folder)
        except rehearsal_folder.FolderRefused as error:
            raise StepFailed("prepare", str(error), None) from error
        self.logs.mkdir()

    def start_cloud(self, say: Say) -> None:
        """Start the local cloud for the stack's project, and learn its environment."""
        stack = yaml.safe_load((self.root / f"Pulumi.{self.stack}.yaml").read_text())
        own_programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        env = {**os.environ, "PATH": own_programs}
        # Said explicitly: the person's shell may name another project.
        command = self._local("serve", "--project", stack["config"]["gcp:project"])
        ready = json.loads(self.programs.start("cloud", command, env))
        self.env = {**env, **ready["env"]}
        say(f"answers at {self.env['STORAGE_ENDPOINT']}; jobs run as {ready['jobs']}")

    def start_airflow(self, say: Say) -> None:
        """Start Airflow; its DAGs appear when the stack has uploaded them."""
        self.airflow_url = json.loads(self.programs.start("airflow", self._local("airflow"), self.env))["url"]
        say(f"answers at {self.airflow_url}")

    def deploy(self, say: Say, glance: Say = lambda _: None) -> None:
        """`pulumi up`, and read the stack's outputs.

        Args:
            say: told what was made.
            glance: told each line of Pulumi as it passes.
        """
        up = ["pulumi", "up", "--stack", self.stack, "--yes", "--skip-preview", "--non-interactive"]
        printed = self.programs.run("deploy", up, self.env, glance)
        show = ["pulumi", "stack", "output", "--stack", self.stack, "--json"]
        self.outputs = json.loads(self.programs.run("outputs", show, self.env, lambda _: None))
        resources = printed.rpartition("Resources:")[2].partition("Duration:")[0].splitlines()
        say(", ".join(line.strip(" +") for line in resources if line.strip()))

    def load_example(self, say: Say) -> None:
        """Load the CDNOW transactions as the example's source table."""
        command = [sys.executable, "tools/example_data.py"]
        say(self.programs.run("example data", command, self.env, say).strip())

    def at_once(self, *works: Callable[[], None]) -> None:
        """Do several things in threads; the first failure, or a Ctrl-C meanwhile, ends the others and is raised."""
        self.programs.at_once(*works)

    def unpause(self, dag_ids: list[str], say: Say) -> None:
        """Wait until Airflow has read the DAGs, then switch them on.

        Raises:
            StepFailed: Airflow did not read them, or it ended.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._airflow("DAGs") as client:
            while missing := [d for d in dag_ids if d not in client.dag_ids()]:
                if time.monotonic() > deadline:
                    reason = f"Airflow did not read {missing} in {START_SECONDS} s: {client.import_errors()}"
                    raise StepFailed("DAGs", reason, self.folder / "airflow" / "dag-processor.log")
                say(f"waits for Airflow to read {', '.join(missing)}")
                self.programs.pause(POLL_SECONDS)
            for dag_id in dag_ids:
                client.unpause(dag_id)

    def run_dag(self, dag_id: str, run_date: str, say: Say) -> DagRun:
        """Start a DAG run for a run date and follow it to its end.

        Raises:
            StepFailed: the run did not succeed, or has fewer tasks than its DAG.
        """
        began = rfc3339.now()
        run = self.follow_dag(dag_id, run_date, say)
        with self._airflow(dag_id) as client:
            if (
                run.state == "success"
                and run.states()
                and run.states() == dict.fromkeys(client.task_ids(dag_id), "success")
            ):
                return run
            states = ", ".join(f"{task} {state}" for task, state in run.states().items()) or "no task at all"
            reason = f"the DAG run ended {run.state} ({states})"
            if failed := next((task for task in run.tasks if task["state"] == "failed"), None):
                words = client.log(dag_id, run.run_id, failed["task_id"], failed["try_number"])
                reason += f"; {failed['task_id']} says: {_exception(words)}"
        reason = "\n".join([reason, *self._denials(began)])
        log = self.folder / "airflow" / "logs" / f"dag_id={dag_id}" / f"run_id={run.run_id}"
        raise StepFailed(f"{dag_id} for {run_date}", reason, log)

    def _denials(self, since: str) -> list[str]:
        """Who lacked what, in the local cloud's own words: Google's often leave that out."""
        try:
            return reader.denials(self.env, since)
        except (reader.ReadFailed, httpx.HTTPError) as error:
            return [f"The local cloud does not tell what it denied: {error}"]

    def follow_dag(self, dag_id: str, run_date: str, say: Say) -> DagRun:
        """Start a DAG run for a run date and wait for its end, good or bad."""
        with self._airflow(dag_id) as client:
            run_id, state = client.trigger(dag_id, run_date), ""
            while state not in ("success", "failed"):
                self.programs.pause(POLL_SECONDS)
                state, tasks = client.run_state(dag_id, run_id), client.tasks(dag_id, run_id)
                begun = {task["task_id"]: task["state"] for task in tasks if task["state"]}
                told = [f"{task} {'ok' if state == 'success' else state}" for task, state in begun.items()]
                say(", ".join(told) or "queued")
        return DagRun(dag_id, run_id, run_date, state, tasks)

    def stop(self) -> int:
        """End every process of this folder; the folder stays. Returns how many there were."""
        ended = self.programs.end()
        if self._held:
            self._held.close()
            self._held = None
        return ended

    @contextmanager
    def _airflow(self, step: str) -> Iterator[AirflowClient]:
        """A client of the running Airflow, whose refusals and silence are failures of the step."""
        with closing(AirflowClient(self.airflow_url)) as client:
            try:
                yield client
            except (AirflowRefused, httpx.HTTPError) as error:
                patience = LAST_WORDS_SECONDS if isinstance(error, httpx.TransportError) else 0
                deadline = time.monotonic() + patience
                while time.monotonic() < deadline:
                    self.programs.pause(POLL_SECONDS)  # raises what Airflow says of its own end, which tells more
                reason = f"Airflow at {self.airflow_url} does not answer as it should: {error}"
                raise StepFailed(step, reason, self.logs / "airflow.log") from error

    def _local(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "local", *arguments, "--folder", str(self.folder)]


def _exception(log: str) -> str:
    """The text of the last exception in a task's log, else its last line."""
    text = log.rpartition("AirflowFailException: ")[2] if "AirflowFailException: " in log else log.rpartition("\n")[2]
    return text.strip()[:REASON_CHARACTERS]
