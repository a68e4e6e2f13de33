"""Virtual environments of the service and of each model, built once from their locks: `python -m local.environments`.

They lie outside the clone, one per lock and interpreter, and are shared by all clones. An environment that exists is
complete: it is built aside and renamed. Does not own the laptop's own environment (tools/setup.py).
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from local.pip_settings import uv_environment

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
FAULT_LINES = 12  # of uv's output in an error: its reason stands at the end


class EnvironmentFailed(Exception):
    """A virtual environment could not be built; the message says which lock, why, and what to do."""


def ensure(requirements: Path) -> Path:
    """Build the environment of a lock unless it exists. Safe to call from several processes at once.

    Args:
        requirements: a requirements file with a hash for every package; an empty one gives an empty environment.

    Returns:
        The environment's interpreter.

    Raises:
        EnvironmentFailed: no such file, a lock without hashes, or packages that cannot be had.
    """
    if not requirements.is_file():
        raise EnvironmentFailed(_missing(requirements))
    python = location(requirements)
    if python.exists():
        return python
    folder = python.parent.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not python.exists():
            _build(requirements, folder)
    return python


def location(requirements: Path) -> Path:
    """Where the interpreter of a lock's environment is, whether it exists or not."""
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "predictions" / "environments" / key / "bin" / "python"


def locks(root: Path) -> list[Path]:
    """The service's lock and the lock of each model of a repository."""
    models = sorted(path.parent for path in root.glob("service/models/*/model.yaml"))
    return [root / "container" / "requirements.txt", *(model / "requirements.txt" for model in models)]


def main() -> int:
    """Build all; 0 when every environment exists, 2 with a reason otherwise."""
    try:
        for lock in locks(ROOT):
            ensure(lock)
    except EnvironmentFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _build(requirements: Path, folder: Path) -> None:
    started = time.monotonic()
    _say(f"building the environment of {_shown(requirements)} (usually 5-30 s; longer when packages must be fetched)")
    aside = folder.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)  # what a killed build left; we hold the lock
    shutil.rmtree(folder, ignore_errors=True)  # its interpreter is gone: the Python it was built on was removed
    _uv("venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable, str(aside))
    # Compiled now, once: jobs write no bytecode, as in the image.
    sync = ("pip", "sync", "--quiet", "--require-hashes", "--allow-empty-requirements", "--compile-bytecode")
    command = (*sync, "--python", str(aside / "bin" / "python"), str(requirements))
    try:
        _uv(*command, "--offline")  # with a warm cache this needs no network, and without --offline uv would ask it
    except EnvironmentFailed:
        try:
            _uv(*command)
        except EnvironmentFailed as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise EnvironmentFailed(f"Cannot install {str(requirements)!r}. {error}\n{_advice(str(error))}") from error
    aside.rename(folder)
    _say(f"built the environment of {_shown(requirements)} in {time.monotonic() - started:.0f} s")


def _uv(*arguments: str) -> None:
    if not UV.exists():
        raise EnvironmentFailed(f"No program {str(UV)!r}. Run `make setup`.")
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    env |= uv_environment(os.environ)
    done = subprocess.run(
        [UV, *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise EnvironmentFailed("uv says:\n  " + "\n  ".join(lines[-FAULT_LINES:]))


def _advice(fault: str) -> str:
    if "hash" in fault.lower():
        return "Every package needs a version and hashes. List the packages in requirements.in and run `make lock`."
    return "Check the package names and versions, and that pip's package index can be reached."


def _missing(requirements: Path) -> str:
    return (
        f"No file {str(requirements)!r}. List what the code in {str(requirements.parent)!r} needs in requirements.in "
        "and run `make lock`; an empty requirements.txt says that it needs nothing."
    )


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _say(text: str) -> None:
    """One line on stderr: stdout belongs to data."""
    print(f"environments: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
