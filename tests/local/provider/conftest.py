"""What the provider's tests share: a configured client, and programs for the real CLI."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import RunningCloud

from .client import Client
from .program import Program

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def client(cloud: RunningCloud) -> Iterator[Client]:
    """A provider instance of project test-project in europe-west6."""
    connected = Client(cloud.env)
    yield connected
    connected.close()


@pytest.fixture(scope="session")
def cli() -> None:
    """The CLI in this environment, as `make setup` puts it there."""
    subprocess.run([ROOT / ".venv" / "bin" / "python", ROOT / "tools" / "pulumi_cli.py"], check=True)


@pytest.fixture
def program(cloud: RunningCloud, cli: None, tmp_path: Path, request: pytest.FixtureRequest) -> Program:
    """A program of its own project, so that its stack meets no other."""
    return Program(tmp_path, cloud.env, f"p{abs(hash(request.node.nodeid)) % 10**9}")


@pytest.fixture
def new_program(cli: None, tmp_path: Path) -> Callable[[dict[str, str]], Program]:
    """Makes a program against a local cloud that the test itself serves."""

    def make(env: dict[str, str]) -> Program:
        (tmp_path / "program").mkdir()
        return Program(tmp_path / "program", env, "own-cloud")

    return make
