"""How jobs run is chosen by what this machine has, and said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import jobs_mode
from local.jobs_mode import CannotRunContainers
from tests.conftest import serve


@pytest.fixture
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nobody.sock'}")


@pytest.mark.usefixtures("no_daemon")
def test_without_a_daemon_jobs_are_processes_and_the_reason_is_said(tmp_path: Path) -> None:
    description = jobs_mode.choose("automatic", tmp_path).description
    assert description.startswith("processes: ")
    assert "daemon" in description or "no program `docker`" in description


@pytest.mark.usefixtures("no_daemon")
def test_containers_that_were_asked_for_are_refused_without_a_daemon(tmp_path: Path) -> None:
    with pytest.raises(CannotRunContainers, match="cannot run as containers"):
        jobs_mode.choose("containers", tmp_path)
    assert list(tmp_path.iterdir()) == [], "nothing is half-started"


@pytest.mark.usefixtures("no_daemon")
def test_serve_says_it_before_it_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "serve", "--folder", str(tmp_path / "cloud"), "--jobs", "containers"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: Jobs cannot run as containers: ")
    served = serve(tmp_path / "cloud", "--jobs", "automatic")
    assert served.stdout
    assert json.loads(served.stdout.readline())["jobs"].startswith("processes: ")
    served.terminate()
    assert served.wait(timeout=20) == 0


def test_the_base_is_the_one_that_the_dockerfile_names() -> None:
    assert jobs_mode.default_base().startswith("python:3.11-slim")
