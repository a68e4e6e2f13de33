"""Makes `.venv` from requirements.txt: `python3.11 tools/setup.py`.

Standard library only, since nothing is installed yet.
Does not install the Pulumi CLI (pulumi_cli.py) or the environments of jobs (`python -m local.environments`).
"""

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
    """Create `.venv`, put uv in it (hash-checked), and let uv install exactly what the lock names."""
    python = VENV / "bin" / "python"
    say("installing the locked packages into .venv (about a minute with an empty cache, 10 s with a full one)")
    uv = VENV / "bin" / "uv"
    if not uv.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        run(sys.executable, "-m", "venv", VENV)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as pin:
            pin.write(locked("uv"))
            pin.flush()
            run(
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
                pin.name,
            )
    run(uv, "pip", "sync", "--quiet", "--require-hashes", LOCK)
    run(uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT)


def locked(name: str) -> str:
    """The lock's entry for one package, with its hashes."""
    match = re.search(rf"^{name}==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if not match:
        raise SystemExit(f"error: {LOCK.name} has no entry for {name!r}; run `make lock`")
    return match.group()


def run(*command: str | Path) -> None:
    """Run a program with this environment in its own right, not the caller's virtual environment."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")} | {"VIRTUAL_ENV": str(VENV)}
    subprocess.run(command, check=True, env=env, cwd=ROOT)


def say(text: str) -> None:
    """One line on stderr: stdout belongs to data."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
