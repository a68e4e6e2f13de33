"""What all tests share: one local cloud per session, on free ports, in a temporary folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from local import server
from local.fault_verbs import FaultRules

ROOT = Path(__file__).parent.parent
# Whatever Docker this machine has: tests that want containers ask for them (tests/local/test_containers.py).
os.environ["LOCAL_JOBS"] = "processes"
# Tests start hundreds of processes; without byte code on disk each of them would compile the project anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# In the background of a script Ctrl-C is ignored, and so it would be by every process whose end by it is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Whole processes per test, the longest first, so that no worker waits for another's at the end.
LONGEST_FIRST = ("end_to_end", "docker", "airflow", "engine", "client")

# The same cases every time: what fails here fails again. `make soak` looks for new ones.
settings.register_profile("test", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("soak", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by what they cost; those of one file stay together."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: min((ranks.get(m.name, len(ranks)) for m in item.iter_markers()), default=len(ranks)))


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


@pytest.fixture
def faults(cloud: RunningCloud) -> Iterator[FaultRules]:
    """Rules of the session's local cloud; none is left behind."""
    rules = FaultRules(cloud.url)
    yield rules
    rules.clear()
