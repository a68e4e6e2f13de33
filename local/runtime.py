"""What building images and running tasks means to the rest of the local cloud, whether with Docker or without.

Does not own either way (containers.py, images.py) or the choice between them (jobs_mode.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.run_store import Resource


@dataclass(frozen=True)
class Task:
    """One attempt of a task, as a container or a process is told of it.

    Attributes:
        container: of the job, with the overrides of the run.
        name: unique among all attempts of all local clouds.
        home: an empty folder for this attempt alone.
        environment: what the job declares, and what the platform adds: identity, endpoints, its place in the execution.
    """

    container: Resource
    name: str
    home: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """What to start for a task, its whole environment, where, and what to run when it has ended."""

    argv: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    after: Sequence[str] = ()


class Runtime(Protocol):
    """Builds images and says how tasks of them start."""

    description: str  # for people: containers or processes, and why

    def build(self, *, context: Path, dockerfile: Path, build_args: Mapping[str, str], tag: str) -> str:
        """Make an image and keep it under its tag's repository; returns its digest.

        Raises:
            CloudError: 400, with the builder's reason.
        """

    def has(self, reference: str) -> bool:
        """Whether an image, `[HOST/REPOSITORY@]sha256:...`, is there."""

    def clear(self) -> None:
        """Remove every image."""

    def remove(self, reference: str) -> None:
        """Remove an image; one that is gone already is no error."""

    def prepare(self, reference: str) -> None:
        """Make sure that an image can be started.

        Raises:
            CloudError: 400 for a reference without a digest, 404 when the image is not there.
        """

    def program(self, task: Task) -> Program:
        """What to start for a task of a prepared image."""

    def end_strays(self, wanted: Mapping[str, str]) -> None:
        """End what runs of tasks that nobody watches any more.

        Args:
            wanted: variables of the task's environment; empty for all of this local cloud.
        """

    def environment(self) -> dict[str, str]:
        """What a person needs to reach the images."""

    def close(self) -> None:
        """End what was started for all images."""
