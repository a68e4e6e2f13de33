"""What several figures are measured on, made once and only when asked for: a deployed local cloud, one delivery.

Owns the temporary folder and every process in it; `close` leaves neither.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from bench import delivery, emulators, machine
from local import composer, processes
from local.declared import Declared
from local.rehearse import ROOT, Rehearsal
from local.server import read_state


class Ground:
    """One bench's folder.

    Args:
        say: told what is being done; it takes minutes.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.folder, self.say = Path(tempfile.mkdtemp(prefix="predictions-bench-")), say
        self._clouds: list[Rehearsal] = []

    def close(self) -> None:
        """End every process and remove the folder."""
        for cloud in self._clouds:
            cloud.stop()
        processes.end(self.folder / "demo")  # what an interrupted demo left
        shutil.rmtree(self.folder)

    def run(self, *command: str, env: dict[str, str] | None = None) -> str:
        """Run a program to its end and return its stdout.

        Raises:
            RuntimeError: it failed; with the end of what it printed.
        """
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` ended with code {done.returncode}: {done.stderr[-600:]}")
        return done.stdout

    def timed(self, *command: str, env: dict[str, str] | None = None) -> float:
        """Seconds that a program takes."""
        started = time.monotonic()
        self.run(*command, env=env)
        return time.monotonic() - started

    @cached_property
    def cloud(self) -> "Cloud":
        """A served local cloud, at first as it is when it says that it is ready."""
        self.say("starting a local cloud")
        rehearsal = Rehearsal(self.folder / "cloud")
        self._clouds.append(rehearsal)
        rehearsal.reset()
        started = time.monotonic()
        rehearsal.start_cloud(lambda _: None)
        return Cloud(rehearsal, time.monotonic() - started)

    @cached_property
    def emulators(self) -> Path:
        """The programs of the public emulators."""
        self.say("installing the public emulators")
        return emulators.install(self.folder)

    @cached_property
    def up_seconds(self) -> float:
        """Of `pulumi up` from nothing; afterwards the stack is deployed on the cloud."""
        _ = self.cloud.mib_when_ready  # before anything else happens there
        self.say("pulumi up from nothing")
        return self.timed("pulumi", "up", "--stack", "local", "--yes", "--skip-preview", env=self.cloud.env)

    @cached_property
    def delivered(self) -> delivery.Delivered:
        """A million predictions delivered on a cloud of their own, so that no other figure notices them."""
        return self._deliver("delivery", delivery.ROWS)[0]

    @cached_property
    def delivered_large(self) -> tuple[delivery.Delivered, delivery.Beside]:
        """Ten million predictions, and the same rows without the service, on another cloud."""
        delivered, rehearsal = self._deliver("large-delivery", delivery.LARGE)
        self.say("the same rows by a bare load, and by the old recipe's way")
        return delivered, delivery.measure_beside(rehearsal.env, rehearsal.folder)

    def _deliver(self, name: str, rows: int) -> tuple[delivery.Delivered, Rehearsal]:
        rehearsal = Rehearsal(self.folder / name)
        self._clouds.append(rehearsal)
        rehearsal.reset()
        rehearsal.start_cloud(lambda _: None)
        self.say(f"training a model, then delivering {rows:,} rows")
        return delivery.measure(rehearsal.env, rehearsal.folder, rows), rehearsal


class Cloud:
    """The served local cloud of a ground."""

    def __init__(self, rehearsal: Rehearsal, start_seconds: float) -> None:
        self.folder, self.start_seconds = rehearsal.folder, start_seconds
        self.env = processes.marked(self.folder, rehearsal.env)  # so that what is interrupted ends with the cloud
        self.mib_when_ready = self.mib()

    def mib(self) -> float:
        """Memory of its process tree now."""
        return machine.tree_mib(int(read_state(self.folder)["pid"]))

    @cached_property
    def warehouse(self) -> bigquery.Client:
        """The official client at the owner's door."""
        return bigquery.Client(self.env["GOOGLE_CLOUD_PROJECT"], **self._options("BIGQUERY_ENDPOINT"))

    @cached_property
    def storage(self) -> storage.Client:
        """The official client at the owner's door."""
        return storage.Client(self.env["GOOGLE_CLOUD_PROJECT"], **self._options("STORAGE_ENDPOINT"))

    def fetch_dags(self, to: Path) -> None:
        """Write the DAG files of the deployed stack into a new folder.

        Raises:
            RuntimeError: no Composer environment is declared.
        """
        declared = Declared(self.folder / "declared")
        environment = composer.read(declared)
        declared.close()
        if environment is None:
            raise RuntimeError("The stack declares no Composer environment, so there are no DAG files to parse.")
        to.mkdir()
        for blob in self.storage.list_blobs(environment.bucket, prefix=environment.prefix):
            blob.download_to_filename(str(to / Path(blob.name).name))

    def _options(self, endpoint: str) -> dict[str, Any]:
        return {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": self.env[endpoint]}}


def use_own_programs() -> None:
    """Find `pulumi` where this Python lies, also without `make`."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
