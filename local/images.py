"""Images without Docker: a snapshot of the files that the Dockerfile would copy, named by the hash of its content.

Owns the folder of images and what starts a process of one. Does not own its virtual environments (environments.py).
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from local import build_context, environments, processes, strays
from local.runtime import Program, Task
from local.wire import CloudError

SERVICE_LOCK = PurePosixPath("container/requirements.txt")
MODELS = PurePosixPath("service/models")
# Of the person's environment a task gets its language, and (in PATH) its programs; of their time zone nothing.
KEPT = ("LANG", "LC_ALL", "LC_CTYPE")
ENTRYPOINT = ("-m", "service")  # after the interpreter: what the Dockerfile's ENTRYPOINT says
_REFERENCE = re.compile(r".+@sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class LocalImage:
    """How a process of an image starts.

    `argv` is the image's entrypoint, `env` its ENV, `workdir` its WORKDIR, all for this machine.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: Path


class Processes:
    """Tasks as processes of this machine, in the environments of their image's locks.

    Args:
        folder: of the local cloud.
        description: processes, and why.
    """

    def __init__(self, folder: Path, description: str) -> None:
        self._folder, self._images, self.description = folder, folder / "images", description

    def build(self, *, context: Path, dockerfile: Path, build_args: Mapping[str, str], tag: str) -> str:
        """Make a snapshot; its name is its content, whatever the tag."""
        return build(self._images, context=context, dockerfile=dockerfile, build_args=build_args)

    def has(self, reference: str) -> bool:
        """Whether the snapshot is there."""
        return (self._images / digest_of(reference)).is_dir()

    def remove(self, reference: str) -> None:
        """Remove the snapshot."""
        shutil.rmtree(self._images / digest_of(reference), ignore_errors=True)

    def clear(self) -> None:
        """Remove every snapshot."""
        for snapshot in self._images.glob("[0-9a-f]*/image.json"):
            shutil.rmtree(snapshot.parent)

    def prepare(self, reference: str) -> None:
        """Make sure that its environments are there, too."""
        command(self._images, reference)

    def program(self, task: Task) -> Program:
        """The entrypoint, with an environment that holds what an image's would."""
        image = command(self._images, task.container["image"])
        own = {
            "HOME": str(task.home),
            "TMPDIR": str(task.home / "tmp"),
            "TZ": "UTC",  # as in a container: a date that depends on the laptop's zone shows here
            strays.FOLDER: str(self._folder),
        }
        (task.home / "tmp").mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        env = processes.marked(self._folder, {**kept, **image.env, **task.environment, **own})
        argv = [*(task.container.get("command") or image.argv), *(task.container.get("args") or [])]
        return Program(argv, env, image.workdir)

    def end_strays(self, wanted: Mapping[str, str]) -> None:
        """Kill processes by their environment."""
        strays.end(self._folder, wanted)

    def environment(self) -> dict[str, str]:
        """Nothing: images are folders."""
        return {}

    def close(self) -> None:
        """Nothing was started."""


def build(images: Path, *, context: Path, dockerfile: Path | None, build_args: Mapping[str, str]) -> str:
    """Make the image of one model: a snapshot and the two environments it needs. The same content is made once.

    Args:
        images: the folder of all images; created when missing.
        context: the repository's root.
        dockerfile: not run here, but a change in it is another image.
        build_args: `MODEL` names the model.

    Returns:
        The digest, `sha256:...`.

    Raises:
        CloudError: 400 when the context has no such model, or an environment cannot be built.
    """
    model = build_args.get("MODEL", "")
    if not model or "/" in model or not (context / MODELS / model).is_dir():
        place = str(context / MODELS / model)
        raise CloudError(400, "invalidBuild", f"Build argument MODEL={model!r} names no folder: there is no {place!r}")
    recipe = dict(build_args) | ({"Dockerfile": dockerfile.read_text()} if dockerfile and dockerfile.is_file() else {})
    paths = build_context.files(context, dockerfile)
    name = build_context.digest(context, paths, recipe)
    _ensure_environments(context, model)
    images.mkdir(parents=True, exist_ok=True)
    with _locked(images):
        if not (images / name).exists():
            _snapshot(images, name, context, paths, model, recipe)
    return f"sha256:{name}"


def command(images: Path, reference: str) -> LocalImage:
    """How to start a process of an image.

    Args:
        reference: `REGISTRY/NAME@sha256:...`

    Raises:
        CloudError: 400 for a reference without a digest; 404 when the image, or an environment of it, is not here.
    """
    name = digest_of(reference)
    folder = images / name
    if not (folder / "image.json").is_file():
        hint = "Build it with `pulumi up -s local`."
        raise CloudError(404, "notFound", f"Image {reference!r} is not in this local cloud's {str(images)!r}. {hint}")
    model = json.loads((folder / "image.json").read_text())["model"]
    service = _environment(folder / SERVICE_LOCK, reference)
    env = {
        "PATH": f"{service.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(folder),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # an image does not change while it runs
        "MODEL_PYTHON": str(_environment(folder / _model_lock(model), reference)),
    }
    return LocalImage((str(service), *ENTRYPOINT), env, folder)


def digest_of(reference: str) -> str:
    """The hash in a reference.

    Raises:
        CloudError: 400 when it names a tag, which may change, instead of a digest.
    """
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise CloudError(400, "badRequest", f"Image {reference!r} is not named by its digest, as in NAME@sha256:...")
    return match[1]


def _ensure_environments(context: Path, model: str) -> None:
    try:
        for lock in (SERVICE_LOCK, _model_lock(model)):
            environments.ensure(context / lock)
    except environments.EnvironmentFailed as error:
        raise CloudError(400, "invalidBuild", str(error)) from error


def _model_lock(model: str) -> PurePosixPath:
    return MODELS / model / "requirements.txt"


def _environment(lock: Path, reference: str) -> Path:
    python = environments.location(lock)
    if not python.exists():
        hint = "Run `make setup`, or `pulumi up -s local` for the present files."
        raise CloudError(404, "notFound", f"Image {reference!r} has lost its environment {str(python)!r}. {hint}")
    return python


def _snapshot(
    images: Path, name: str, context: Path, paths: list[PurePosixPath], model: str, recipe: Mapping[str, str]
) -> None:
    """Copy aside, then rename: an image that exists is complete, and holds what its name says."""
    for left in images.glob(".new-*"):
        shutil.rmtree(left)  # of a killed build; we hold the lock
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=images))
    for path in paths:
        target = aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context / path, target, follow_symlinks=False)
    if build_context.digest(aside, paths, recipe) != name:
        raise CloudError(
            409, "conflict", f"Files in {str(context)!r} changed while the image was made. Build it again."
        )
    (aside / "image.json").write_text(json.dumps({"model": model}, indent=1))
    aside.rename(images / name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
