"""Chooses how jobs run here: `--jobs`, or LOCAL_JOBS, is `containers`, `processes` or `automatic`.

Automatic means containers where a Docker daemon, a registry and a base image are there. Does not own either way.
"""

import os
import re
from pathlib import Path

from local import docker
from local.containers import Containers
from local.images import Processes
from local.registry import Registry, RegistryFailed
from local.runtime import Runtime

MODES = ("automatic", "containers", "processes")
MODE, BASE = "LOCAL_JOBS", "LOCAL_BASE_IMAGE"
DOCKERFILE = Path(__file__).resolve().parent.parent / "container" / "Dockerfile"


class CannotRunContainers(Exception):
    """Containers were asked for, and this machine cannot run them; the message says what is missing."""


def choose(mode: str, folder: Path) -> Runtime:
    """The way of running jobs of the local cloud in `folder`.

    Raises:
        CannotRunContainers: the mode is `containers`, and something is missing.
    """
    if mode == "processes":
        return Processes(folder, "processes, as asked for")
    try:
        return _containers(folder)
    except (docker.DockerFailed, RegistryFailed) as error:
        if mode == "containers":
            raise CannotRunContainers(f"Jobs cannot run as containers: {error}.") from error
        return Processes(folder, f"processes: {error}")


def _containers(folder: Path) -> Containers:
    client = docker.find()
    base = os.environ.get(BASE) or default_base()
    if not client.has_image(base):
        offline = "where nothing can be pulled, `python tools/docker_daemon.py` makes one"
        raise docker.DockerFailed(
            f"{client.server} has no base image {base!r}; get it with `docker pull {base}`, or name another in {BASE} "
            f"({offline})"
        )
    return Containers(client, Registry(folder / "registry", folder), folder, base)


def default_base() -> str:
    """The base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    if not found:
        raise docker.DockerFailed(f"{str(DOCKERFILE)!r} names no base image in `ARG BASE=`")
    return found[1]
