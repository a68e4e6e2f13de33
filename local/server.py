"""Starts the parts of the local cloud in one process, tells how to reach them, and stops them.

Owns the folder, the doors, the egress guard and the environment of rehearsed processes. Does not own any service.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from local.declared import Declared
from local.faults import Faults, Jobs
from local.guard import Guard
from local.iam.authority import Authority
from local.iam.gate import Gate
from local.jobs import CloudRun
from local.logging import Logs
from local.metadata import AIRFLOW, OWNER, Metadata
from local.provider import serve_provider
from local.runtime import Runtime
from local.secret_values import Secrets
from local.storage import Storage
from local.warehouse import Warehouse
from local.wire import Door

HOST = "127.0.0.1"
ENDPOINTS = ("STORAGE_ENDPOINT", "BIGQUERY_ENDPOINT", "LOGGING_ENDPOINT", "RUN_ENDPOINT")


class FolderInUse(Exception):
    """Another local cloud runs in this folder, or the folder cannot be written."""


class LocalCloud:
    """All services over one folder. Everything that must survive a kill is on disk below it."""

    def __init__(self, folder: Path, project: str, runtime: Runtime) -> None:
        self.folder, self.project, self.runtime = folder, project, runtime
        self.declared = Declared(folder / "declared")
        self.metadata = Metadata(folder / "metadata", project, self.declared)
        self.logs = Logs(folder / "logging")
        self.storage = Storage(folder / "storage")
        self.iam = Authority(self.declared, project, self.logs.write)
        self.warehouse = Warehouse(folder / "warehouse", self.storage, self.iam)
        self.gate = Gate(self.iam, self.storage, self.warehouse)
        secrets = Secrets(folder, self.iam)
        self.runs = CloudRun(folder / "run", self.logs, secrets=secrets, runtime=runtime, env_for=self.env_for)
        callers = Jobs(task_of=self.metadata.task_of, job_of=self.runs.job_of, kill=self.runs.kill)
        self.faults = Faults(callers, self.gate.run)
        self.guard = Guard(folder / "egress.log")
        self.owners_port = self.jobs_port = 0

    def methods(self) -> list[Any]:
        """Every method of every service."""
        parts = (self.faults, self.metadata, self.runs, self.logs, self.warehouse, self.storage)
        self.faults.table = [method for part in parts for method in part.methods()]
        return self.faults.table

    def owners_env(self) -> dict[str, str]:
        """The environment of the person at the keyboard: their own clients, `pulumi`, `python -m service`."""
        door = f"http://{HOST}:{self.owners_port}"
        return {
            "LOCAL_CLOUD_FOLDER": str(self.folder),
            "STORAGE_EMULATOR_HOST": door,
            "BIGQUERY_EMULATOR_HOST": door,
            **dict.fromkeys(ENDPOINTS, door),
            **self.runtime.environment(),
            **self._identity_env(self.owners_port, OWNER),
        }

    def env_for(self, who: str) -> dict[str, str]:
        """The environment of a job or of Airflow: the jobs' door, one identity, no way out."""
        guard = f"http://{HOST}:{self.guard.port}"
        return {
            **dict.fromkeys(ENDPOINTS, f"http://{HOST}:{self.jobs_port}"),
            **self._identity_env(self.jobs_port, who),
            "HTTPS_PROXY": guard,
            "HTTP_PROXY": guard,
            "NO_PROXY": "127.0.0.1,localhost,::1",
        }

    def _identity_env(self, port: int, who: str) -> dict[str, str]:
        metadata = f"{HOST}:{port}/sa/{who}"
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,  # google-auth pings the IP, not the host
            "CLOUDSDK_CONFIG": str(self.folder / "gcloud"),  # empty: a user's own credentials must not win
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",  # no background buckets.get
        }

    def close(self) -> None:
        """End running jobs and close every file."""
        self.faults.close()
        self.runs.close()
        self.runtime.close()
        for part in (self.warehouse, self.storage, self.logs, self.declared):
            part.close()


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder for one server.

    Raises:
        FolderInUse: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "server.lock").open("w")
    except OSError as error:
        raise FolderInUse(
            f"Cannot write to folder {str(folder)!r}: {error.strerror}. Choose another with --folder."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"A local cloud already runs in {str(folder)!r}. Stop it, or choose another --folder."
            ) from error
        yield lock


async def serve(folder: Path, project: str, port: int, runtime: Runtime, announce: Any) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        port: of the owner's door; 0 lets the system choose.
        runtime: how jobs run; closed at the end.
        announce: called once, when everything answers, with the environment of the owner.
    """
    cloud = LocalCloud(folder, project, runtime)
    owners, jobs = _listen(port), _listen(0)
    cloud.owners_port, cloud.jobs_port = owners.getsockname()[1], jobs.getsockname()[1]
    await cloud.guard.start()
    provider = serve_provider(cloud)
    methods = cloud.methods()
    doors = [
        (Door(methods, cloud.metadata.identify_at_owners_door, cloud.faults.around), owners),
        (Door(methods, cloud.metadata.identify, cloud.faults.around), jobs),
    ]
    servers = [_server(door) for door, _ in doors]
    tasks = [asyncio.create_task(s.serve([sock])) for s, (_, sock) in zip(servers, doors, strict=True)]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not all(s.started for s in servers):
        await asyncio.sleep(0.01)
    env = cloud.owners_env() | provider.env
    _write_state(folder, env, cloud.env_for(AIRFLOW))
    announce(env)
    await stop.wait()
    cloud.faults.close()
    (folder / "server.json").unlink()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)
    provider.stop()
    await cloud.guard.stop()
    cloud.close()


def read_state(folder: Path) -> dict[str, Any]:
    """What a running server wrote: `{"pid", "env", "airflow_env"}`.

    Raises:
        FolderInUse: no local cloud runs there.
    """
    try:
        state: dict[str, Any] = json.loads((folder / "server.json").read_text())
        os.kill(state["pid"], 0)
    except (FileNotFoundError, ProcessLookupError) as error:
        hint = f"Start one with `python -m local serve --folder {folder}`."
        raise FolderInUse(f"No local cloud runs in {str(folder)!r}. {hint}") from error
    return state


def _write_state(folder: Path, env: dict[str, str], airflow_env: dict[str, str]) -> None:
    (folder / "gcloud").mkdir(exist_ok=True)
    text = json.dumps({"pid": os.getpid(), "env": env, "airflow_env": airflow_env}, indent=1)
    temporary = folder / "server.json.new"
    temporary.write_text(text)
    temporary.rename(folder / "server.json")


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer waits 40 ms for an ACK.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise FolderInUse(f"Port {port} on {HOST} is taken: {error.strerror}. Choose another with --port.") from error
    return sock


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: two of them run in one loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _connection(**options: Any) -> Any:
    """One client's connection, which a request may cut without an answer, as a network does."""
    connection: Any = AutoHTTPProtocol(**options)

    async def drop() -> None:
        connection.transport.close()  # what was written still arrives
        await asyncio.sleep(0)  # uvicorn learns of the end before it looks for an answer

    connection.app_state = {**connection.app_state, "drop": drop}
    return connection


def _server(door: Door) -> uvicorn.Server:
    quiet = uvicorn.Config(door, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    quiet.http = _connection  # type: ignore[assignment]  # it is only called
    return _Server(quiet)
