"""The Docker daemon of this machine, asked through Docker's own SDK, and a client program for what the SDK cannot do.

The program builds, because the SDK has no BuildKit, and runs containers below the launcher, which is handed a command.
Does not own what is built or run with it (containers.py).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker import DockerClient
from docker.errors import DockerException, ImageNotFound, NotFound
from requests import RequestException

PLAIN = Path("/usr/bin/docker")  # Debian's, with BuildKit built in; another one on PATH may hide it
BUILDX_SINCE = 23  # from this version on, BuildKit builds need the plugin buildx
SECONDS_TO_ANSWER, SECONDS_TO_WORK = 20, 600
FAULT_LINES = 15


class DockerFailed(Exception):
    """Docker cannot be used, or refused something; the message says what it said."""


@dataclass(frozen=True)
class Docker:
    """A daemon that answers, and a client program that can build with it.

    Attributes:
        sdk: the daemon.
        program: the client's path.
        environment: what leads the program to the same daemon.
        server: the daemon's version and address, for people.
        cpus: how many the daemon can give to a container.
    """

    sdk: DockerClient
    program: Path
    environment: Mapping[str, str]
    server: str
    cpus: int

    def build(self, *arguments: str) -> None:
        """A build with BuildKit.

        Raises:
            DockerFailed: with the last lines of what the builder said.
        """
        env = {**os.environ, **self.environment, "DOCKER_BUILDKIT": "1"}
        command = [str(self.program), "build", *arguments]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()[-FAULT_LINES:]
            raise DockerFailed("`docker build` says:\n  " + "\n  ".join(words))

    def has_image(self, name: str) -> bool:
        """Whether the daemon has an image of that name."""
        with _told("asked for an image"):
            try:
                self.sdk.images.get(name)
            except ImageNotFound:
                return False
        return True

    def push(self, name: str) -> None:
        """Push an image to the registry that its name begins with.

        Raises:
            DockerFailed: with what the registry or the daemon said.
        """
        self._transfer(self.sdk.api.push, name)

    def pull(self, name: str) -> None:
        """Get an image from the registry that its name begins with.

        Raises:
            DockerFailed: with what the registry or the daemon said.
        """
        self._transfer(self.sdk.api.pull, name)

    def remove_containers(self, labels: Mapping[str, str]) -> None:
        """Kill and remove the containers that have all of these labels."""
        with _told("removing containers"):
            for container in self.containers(labels):
                try:
                    container.remove(force=True, v=True)
                except NotFound:
                    continue  # its launcher was faster

    def containers(self, labels: Mapping[str, str]) -> list[Any]:
        """The containers that have all of these labels, ended ones as well."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        # Without the details of each, one of which may be gone before they are asked for.
        with _told("listing containers"):
            return self.sdk.containers.list(all=True, filters={"label": wanted}, sparse=True)

    def forget_images(self, prefix: str) -> None:
        """Remove the names that begin so; images that have no other go with them, but not what builds keep.

        Raises:
            DockerFailed: for the first that stays.
        """
        with _told("removing an image"):
            for image in self.sdk.api.images():
                for name in {*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())}:
                    if name.startswith(prefix) and "<none>" not in name:
                        self._untag(name)

    def _untag(self, name: str) -> None:
        try:
            self.sdk.images.remove(name)
        except ImageNotFound:
            return  # it went with its last tag

    def _transfer(self, method: Callable[..., Any], name: str) -> None:
        with _told(f"{method.__name__}ing {name!r}"):
            lines: Iterable[Mapping[str, Any]] = method(name, stream=True, decode=True)
            if fault := next((line["error"] for line in lines if "error" in line), None):
                raise DockerFailed(f"`docker {method.__name__} {name}` says: {fault}")


def find() -> Docker:
    """The daemon, and a client program that can build with BuildKit.

    Raises:
        DockerFailed: there is none; the message says why the daemon, or each client found, is of no use.
    """
    address = os.environ.get("DOCKER_HOST") or docker.ContextAPI.get_current_context().Host
    environment = {"DOCKER_HOST": str(address)}
    try:
        sdk = docker.from_env(timeout=SECONDS_TO_ANSWER, environment={**os.environ, **environment})
        version, cpus = sdk.version()["Version"], int(sdk.info()["NCPU"])
    except (DockerException, RequestException) as error:
        raise DockerFailed(f"no Docker daemon answers ({_last_line(error)})") from error
    sdk.api.timeout = SECONDS_TO_WORK
    return Docker(sdk, builder(), environment, f"Docker {version} at {address}", cpus)


def builder() -> Path:
    """The first client on PATH that builds with BuildKit.

    Raises:
        DockerFailed: none does; the message names those that were tried.
    """
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), str(PLAIN.parent)]
    found = list(dict.fromkeys(path for folder in folders if (path := shutil.which("docker", path=folder))))
    for program in found:
        version = re.search(r"version (\d+)", _said(program, "--version"))
        if version and (int(version[1]) < BUILDX_SINCE or _said(program, "buildx", "version")):
            return Path(program)
    if found:
        clients = ", ".join(repr(program) for program in found)
        raise DockerFailed(f"Docker's client cannot build, because it lacks the plugin buildx: {clients}")
    raise DockerFailed("there is no program `docker` on PATH")


def _said(program: str, *arguments: str) -> str:
    """What a client prints of itself; nothing when it fails."""
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout


@contextmanager
def _told(doing: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException) as error:
        raise DockerFailed(f"Docker fails at {doing}: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
