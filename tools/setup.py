"""Makes `.venv` from requirements.txt: `python3.11 tools/setup.py`.

Standard library only, since nothing is installed yet.
Does not install the Pulumi CLI (pulumi_cli.py) or the environments of jobs (`python -m local.environments`).
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / "installed.sha256"


def main() -> int:
    """Install when the lock or the project file changed; 0 when `.venv` is up to date, else the failing tool's code."""
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    if sys.version_info[:2] != (3, 11):
        say(
            f"error: this is Python {sys.version.split()[0]}, the lock is for 3.11. Run `make setup PYTHON=python3.11`."
        )
        return 2
    try:
        install()
    except subprocess.CalledProcessError as error:
        say(f"error: `{' '.join(map(str, error.cmd))}` ended with code {error.returncode}; its output is above.")
        return 4
    STAMP.write_text(wanted)
    return 0


def install() -> None:
    """Create `.venv` and let uv install exactly what the lock names, from its cache alone where that is enough."""
    say("installing the locked packages into .venv (two minutes with an empty cache, one with a full one)")
    uv = cached_uv()
    if not (VENV / "bin" / "python").exists():
        shutil.rmtree(VENV, ignore_errors=True)
        run(uv, "venv", "--quiet", "--python", sys.executable, VENV)
    # Compiled now: it takes 45 CPU seconds once. Where nothing may write bytecode (PYTHONDONTWRITEBYTECODE, a read-only
    # folder) each start would take 2-3 s more: Airflow 4.3 instead of 1.6, the service 3.5 instead of 1.0.
    sync = (uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", LOCK)
    # Offline first: uv asks the index even when everything is cached, and the index may be out of reach.
    if not succeeds(*sync, "--offline"):
        run(*sync)
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation", "--editable", ROOT)


def cached_uv() -> Path:
    """The locked uv, kept outside the clone; pip fetches it, hash-checked, into an environment of its own once."""
    entry = locked("uv")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "predictions" / "uv"
    uv = cache / hashlib.sha256(entry.encode()).hexdigest()
    if not uv.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            run(sys.executable, "-m", "venv", aside)
            pin = Path(aside, "uv.txt")
            pin.write_text(entry)
            pip = (Path(aside, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            run(*pip, "--require-hashes", "--requirement", pin)
            Path(aside, "bin", "uv").rename(uv)
    return uv


def locked(name: str) -> str:
    """The lock's entry for one package, with its hashes."""
    match = re.search(rf"^{name}==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if not match:
        raise SystemExit(f"error: {LOCK.name} has no entry for {name!r}; run `make lock`")
    return match.group()


def run(*command: str | Path) -> None:
    """Run a program; its failure is ours."""
    subprocess.run(command, check=True, env=environment(), cwd=ROOT)


def succeeds(*command: str | Path) -> bool:
    """Run a program that may fail without a word, because another way follows."""
    return subprocess.run(command, check=False, env=environment(), cwd=ROOT, capture_output=True).returncode == 0


def environment() -> dict[str, str]:
    """This environment in its own right, not the caller's virtual environment."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")} | {"VIRTUAL_ENV": str(VENV)}


def say(text: str) -> None:
    """One line on stderr: stdout belongs to data."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # so that --help does nothing
    sys.exit(main())
