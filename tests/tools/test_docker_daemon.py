"""The command that brings a Docker daemon, where there is one already and where it is its own."""

import os
import subprocess
import sys

import pytest

from local import docker, jobs_mode
from tests.conftest import ROOT

COMMAND = [sys.executable, "-m", "tools.docker_daemon", "sh", "-c"]


def test_without_a_command_its_usage_is_said() -> None:
    done = subprocess.run(COMMAND[:3], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "docker_daemon COMMAND" in done.stderr


@pytest.mark.docker
def test_the_commands_exit_code_is_its_own_and_a_daemon_in_use_goes_on() -> None:
    host = os.environ.get("DOCKER_HOST", "")
    if not host.endswith("predictions/docker/docker.sock"):
        pytest.skip("the daemon of these tests is not one that the command started")
    without = {name: value for name, value in os.environ.items() if name not in ("DOCKER_HOST", jobs_mode.BASE)}
    script = f"echo $DOCKER_HOST ${jobs_mode.BASE}; exit 3"
    done = subprocess.run([*COMMAND, script], cwd=ROOT, env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.split() == [host, os.environ[jobs_mode.BASE]]
    assert docker.find().has_image(os.environ[jobs_mode.BASE]), "we use it still"
