"""The Docker client of this machine: finds one whose daemon answers, and runs it.

Does not own what is built or run with it (containers.py).
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PLAIN = Path("/usr/bin/docker")  # Debian's, with BuildKit built in; another one on PATH may hide it
BUILDX_SINCE = 23  # from this version on, BuildKit builds need the plugin buildx
SECONDS_TO_ANSWER = 20
FAULT_LINES = 15


class DockerFailed(Exception):
    """Docker cannot be used, or refused something; the message says what it said."""


@dataclass(frozen=True)
class Docker:
    """A client whose daemon answers.

    Attributes:
        program: the client's path.
        server: the daemon's version and address, for people.
        cpus: how many the daemon can give to a container.
    """

    program: Path
    server: str
    cpus: int

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """One command; returns its output.

        Raises:
            DockerFailed: with the last lines of what Docker said.
        """
        done = _run(self.program, arguments, env=env)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()[-FAULT_LINES:]
            raise DockerFailed(f"`docker {arguments[0]}` says:\n  " + "\n  ".join(words))
        return done.stdout.strip()

    def has_image(self, name: str) -> bool:
        """Whether the daemon has an image of that name."""
        return _run(self.program, ("image", "inspect", name)).returncode == 0


def find() -> Docker:
    """A client that can build with BuildKit, and its daemon.

    Raises:
        DockerFailed: there is none; the message says why each client found is of no use.
    """
    faults = []
    for program in _clients():
        try:
            return _usable(program)
        except DockerFailed as error:
            faults.append(str(error))
    raise DockerFailed("; ".join(dict.fromkeys(faults)) or "there is no program `docker` on PATH")


def _clients() -> list[Path]:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = (shutil.which("docker", path=folder) for folder in [*folders, str(PLAIN.parent)])
    return list(dict.fromkeys(Path(program) for program in found if program))


def _usable(program: Path) -> Docker:
    done = _run(program, ("version", "--format", "{{json .}}"), seconds=SECONDS_TO_ANSWER)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DockerFailed(f"no Docker daemon answers ({reason})")
    versions = json.loads(done.stdout)
    client = re.match(r"\d+", str(versions["Client"]["Version"]))
    if client and int(client[0]) >= BUILDX_SINCE and _run(program, ("buildx", "version")).returncode:
        raise DockerFailed(f"Docker's client {str(program)!r} lacks the plugin buildx, so it cannot build")
    cpus = int(_run(program, ("info", "--format", "{{.NCPU}}")).stdout or os.cpu_count() or 1)
    where = os.environ.get("DOCKER_HOST", "the default socket")
    return Docker(program, f"Docker {versions['Server']['Version']} at {where}", cpus)


def _run(
    program: Path, arguments: tuple[str, ...], *, env: Mapping[str, str] | None = None, seconds: float | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [str(program), *arguments]
    try:
        return subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {seconds:.0f} s")
