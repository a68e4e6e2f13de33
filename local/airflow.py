"""Runs the real Airflow on loopback, with the DAG files and the identity of the declared Composer environment.

Owns Airflow's processes. Does not own their settings (airflow_settings.py), the database before the first start
(airflow_database.py), which DAG files there are (dags_sync.py), nor what is asked of Airflow (airflow_client.py).
"""

import contextlib
import fcntl
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import httpx
import psutil

from local import airflow_database, airflow_settings, processes, server
from local.airflow_client import AirflowClient, AirflowRefused
from local.airflow_settings import HOST

START_SECONDS = 300  # 11 s on two free cores with compiled bytecode; 100 s were seen on a busy machine without
POLL_SECONDS = 0.2
TERMINATE_SECONDS = 5
INTERRUPT_SECONDS = 10  # all parts together took 4 s at rest, 13 s at the most (2 cores, November 2026)
# Not `airflow standalone`: it opens the log servers' ports on every interface, mixes all logs, goes on when a part has
# died, and takes 4 s longer. No triggerer either: no DAG of ours defers (docs/decisions/0003), and it costs 170 MB and
# up to 15 s at the end.
PARTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
}
HEARTBEATS = ("scheduler", "dag_processor")


class AirflowFailed(Exception):
    """Airflow did not start, or a part of it ended: which, why, and the log that tells the rest."""


class Airflow:
    """One Airflow over one local cloud; history and logs stay in the folder from start to start.

    Args:
        cloud: the local cloud's folder; Airflow's home is `airflow` below it.
        env: the environment of processes with Airflow's identity, `airflow_env` of `local.server.read_state`.
    """

    def __init__(self, cloud: Path, env: Mapping[str, str]) -> None:
        self.cloud, self.home, self.url = cloud.resolve(), cloud.resolve() / "airflow", ""
        self._identity, self._env = env, dict[str, str]()
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._started = datetime.now(UTC)
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Start every part on a free port, and return; wait_healthy waits.

        Ends what a killed Airflow left running in this folder. The first start on a machine makes the database first.

        Raises:
            AirflowFailed: the home cannot be written, another Airflow runs in it, or the database cannot be made.
        """
        try:
            (self.home / "dags").mkdir(parents=True, exist_ok=True)
            (self.home / "airflow.cfg").touch()  # else each part would write one, all at once
            self._claim()
            self._end_left()
            self.url = f"http://{HOST}:{_free_port()}"
            self._env = airflow_settings.environment(self.cloud, self.home, self.url, self._identity)
            airflow_database.prepare(self.home, self._env)
        except (OSError, airflow_database.NotMade) as error:
            raise AirflowFailed(f"Cannot prepare Airflow's home {str(self.home)!r}: {error}") from error
        self._started = datetime.now(UTC)
        for name, arguments in PARTS.items():
            self._start(name, [sys.executable, "-m", "airflow", *arguments])
        declared, dags = str(self.cloud / "declared"), str(self.home / "dags")
        self._start("dags-sync", [sys.executable, "-m", "local.dags_sync", "--declared", declared, "--to", dags])

    def wait_healthy(self, timeout_seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Wait until the API answers and every part has sent a heartbeat since `start`.

        Args:
            say: told which parts are still awaited, whenever that changes.

        Raises:
            AirflowFailed: a part ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_seconds
        said: list[str] = []
        with contextlib.closing(AirflowClient(self.url)) as client:
            while missing := self._missing(client):
                self.check()
                if time.monotonic() > deadline:
                    logs = self.log(missing[0])
                    raise AirflowFailed(
                        f"Airflow: no sign of {', '.join(missing)} in {timeout_seconds:g} s; see {logs}"
                    )
                if missing != said:
                    say(f"waits for {', '.join(missing)}")
                    said = missing
                time.sleep(POLL_SECONDS)
            say("warms up")
            client.warm_up()

    def check(self) -> None:
        """Do nothing while every part runs.

        Raises:
            AirflowFailed: a part has ended, with its last words.
        """
        for name, part in self._parts.items():
            if (code := part.poll()) is not None:
                words = _last_line(self.log(name))
                raise AirflowFailed(f"Airflow's {name} ended with code {code}: {words}\n  log: {self.log(name)}")

    def log(self, part: str) -> Path:
        """What a part printed."""
        return self.home / f"{part.replace('_', '-')}.log"

    def stop(self) -> None:
        """End every process of this Airflow, gently at first; repeating it does nothing."""
        if not self._lock:
            return  # never started: what runs in this folder is somebody else's
        for part in self._parts.values():
            part.send_signal(signal.SIGINT)
        psutil.wait_procs(self._left(), timeout=INTERRUPT_SECONDS)
        self._end_left()
        for part in self._parts.values():
            part.wait()
        self._lock.close()
        self._lock = None

    def _claim(self) -> None:
        lock = (self.home / "airflow.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise AirflowFailed(f"An Airflow already runs in {str(self.home)!r}. Stop it first.") from error
        self._lock = lock

    def _end_left(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = self._left()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended in the meantime
                    process.send_signal(number)
            psutil.wait_procs(left, timeout=TERMINATE_SECONDS)

    def _start(self, name: str, command: list[str]) -> None:
        with self.log(name).open("ab") as log:
            # Its own session: a Ctrl-C meant for the rehearsal must not reach the parts in any order.
            self._parts[name] = subprocess.Popen(
                command,
                env=self._env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _missing(self, client: AirflowClient) -> list[str]:
        try:
            health = client.health()
        except (httpx.TransportError, AirflowRefused):
            return ["api-server"]
        return [part for part in HEARTBEATS if not _beats(health[part], part, self._started)]

    def _left(self) -> list[psutil.Process]:
        """Processes of this Airflow that run: its parts and whatever they started, in whatever session."""
        return [p for p in processes.survivors(self.cloud) if _home(p) == str(self.home)]


def run(cloud: Path, announce: Callable[[str], None], say: Callable[[str], None]) -> None:
    """Run Airflow for the local cloud of a folder until SIGTERM or SIGINT, and leave no process behind.

    Args:
        announce: called once, with the address, when Airflow is healthy.
        say: told what is awaited until then.

    Raises:
        FolderInUse: no local cloud runs in the folder, or it ended.
        AirflowFailed: it did not start, or a part of it ended.
    """
    state = server.read_state(cloud)
    airflow = Airflow(cloud, state["airflow_env"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        airflow.start()
        airflow.wait_healthy(START_SECONDS, say)
        announce(airflow.url)
        while server.read_state(cloud) == state:
            airflow.check()
            time.sleep(POLL_SECONDS)
        raise AirflowFailed(f"Another local cloud runs in {str(cloud)!r} now. Start Airflow again.")
    except KeyboardInterrupt:
        say("stops")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave processes behind
        airflow.stop()


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def _beats(health: Mapping[str, Any], part: str, since: datetime) -> bool:
    """Healthy, and not by a heartbeat of an earlier start."""
    beat: str | None = health[f"latest_{part}_heartbeat"]
    return health["status"] == "healthy" and beat is not None and datetime.fromisoformat(beat) >= since


def _home(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("AIRFLOW_HOME")
    except psutil.Error:
        return None  # it ended in the meantime


def _last_line(file: Path) -> str:
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
