"""What all tests share: one local cloud per session, on free ports, in a temporary folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import server

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class RunningCloud:
    """A served local cloud: its folder and the environment it printed."""

    folder: Path
    env: dict[str, str]

    @property
    def url(self) -> str:
        """The owner's door."""
        return self.env["STORAGE_ENDPOINT"]

    def state(self) -> dict[str, Any]:
        """What the server wrote of itself: pid, env, airflow_env (the jobs' door)."""
        return server.read_state(self.folder)


def serve(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start `python -m local serve` in a folder."""
    command = [sys.executable, "-m", "local", "serve", "--folder", str(folder), *options]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PATH": path})


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud for the whole session; tests use buckets and datasets of their own names."""
    folder = tmp_path_factory.mktemp("cloud")
    process = serve(folder, "--project", "test-project")
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the local cloud ended before it was ready"
    yield RunningCloud(folder, json.loads(line)["env"])
    process.terminate()
    assert process.wait(timeout=20) == 0, "the local cloud must end cleanly on SIGTERM"
