"""The command that brings a Docker daemon, where there is one already and where it is its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import docker, jobs_mode
from tests.conftest import ROOT
from tools import docker_daemon

COMMAND = [sys.executable, "-m", "tools.docker_daemon", "sh", "-c"]
STATIC = Path("/usr/bin/docker-init")  # comes with dockerd, and runs in an image that holds nothing else
# The real one takes a minute.
QUICK_BASE = f'#!/bin/sh\nfor tar; do :; done\nexec tar --create --dereference --file "$tar" --directory / {STATIC}\n'
IN_USE = f"docker run --rm --network=host ${jobs_mode.BASE} {STATIC} --version && echo ready && exec sleep 300"

is_root = os.geteuid() == 0


@pytest.fixture
def alone() -> Iterator[Path]:
    """A short path, because sockets lie below it; nothing may be mounted there at the end."""
    folder = Path(tempfile.mkdtemp(prefix="docker-"))
    yield folder
    shutil.rmtree(folder)


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def environment(cache: Path, **changes: str) -> dict[str, str]:
    """Of a machine on which no daemon answers, and nobody demands one."""
    kept = {name: value for name, value in os.environ.items() if name not in (jobs_mode.BASE, docker_daemon.REQUIRED)}
    return {**kept, "DOCKER_HOST": f"unix://{cache / 'nobody'}", "XDG_CACHE_HOME": str(cache), **changes}


def left(folder: Path) -> list[str]:
    """Processes that know a folder, and what is mounted below it."""
    found = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    mounted = [part.mountpoint for part in psutil.disk_partitions(all=True)]
    return [text for text in [*found, *mounted] if str(folder) in text]


def test_without_a_command_its_usage_is_said() -> None:
    done = subprocess.run(COMMAND[:3], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "docker_daemon COMMAND" in done.stderr


def test_where_nothing_can_be_installed_the_command_runs_without_or_not_at_all(alone: Path) -> None:
    (alone / "bin").mkdir()
    (alone / "bin" / "sh").symlink_to("/bin/sh")
    env = environment(alone, PATH=str(alone / "bin"))
    done = subprocess.run([*COMMAND, "echo ran"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "what needs Docker is skipped" in done.stderr
    env["REQUIRE_DOCKER"] = "1"
    done = subprocess.run([*COMMAND, "echo ran"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert ("mmdebstrap first: this machine has no apt-get" if is_root else "only root") in done.stderr


@pytest.mark.skipif(not is_root, reason="only root installs")
def test_an_update_that_fails_is_told_only_when_the_installation_fails_as_well(alone: Path) -> None:
    program(alone / "bin", "apt-get", '#!/bin/sh\necho "E: $1 does not work" >&2\nexit 100\n')
    (alone / "bin" / "sh").symlink_to("/bin/sh")
    env = environment(alone, PATH=str(alone / "bin"), REQUIRE_DOCKER="1")
    done = subprocess.run([*COMMAND, "echo ran"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "mmdebstrap: E: install does not work (after `apt-get update` failed: E: update does not work)" in done.stderr
    )


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


@pytest.mark.docker
@pytest.mark.skipif(not is_root, reason="only root starts a daemon")
@pytest.mark.parametrize(
    ("mmdebstrap", "begun"),
    [(QUICK_BASE, "ready"), ("#!/bin/sh\nexec sleep 300\n", "makes the base image")],
    ids=["while the command uses it", "while the base is made"],
)
def test_ctrl_c_leaves_no_process_and_no_mount(alone: Path, mmdebstrap: str, begun: str) -> None:
    program(alone / "bin", "mmdebstrap", mmdebstrap)
    env = environment(alone, PATH=os.pathsep.join((str(alone / "bin"), str(docker.PLAIN.parent), os.environ["PATH"])))
    # Output as one stream; a group of its own, since Ctrl-C reaches all of a terminal's foreground.
    command = subprocess.Popen(
        [*COMMAND, IN_USE],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert command.stdout
    said = []
    for line in command.stdout:
        said.append(line)
        if begun in line:
            os.killpg(command.pid, signal.SIGINT)
    assert any(begun in line for line in said), "".join(said)
    assert command.wait(timeout=60) != 0
    assert left(alone) == []
