"""Writes every lock anew: `python tools/lock.py [--upgrade]`. The image's versions follow those of requirements.txt."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = (
    sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
    "--generate-hashes", "--no-header", "--no-annotate",
)  # fmt: skip
GROUPS = ("infra", "airflow", "local", "dev")


def main() -> int:
    """Lock the laptop's environment, then the image's within it, then each model's for itself."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python tools/lock.py --upgrade")
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where the bounds allow it")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    groups = [f"--group={name}" for name in GROUPS]
    run(*upgrade, "pyproject.toml", *groups, "--output-file=requirements.txt")
    run("pyproject.toml", "--constraints=requirements.txt", "--output-file=container/requirements.txt")
    for source in sorted(
        (*ROOT.glob("service/models/*/requirements.in"), *ROOT.glob("tests/models/*/requirements.in"))
    ):
        run(*upgrade, str(source.relative_to(ROOT)), f"--output-file={source.with_suffix('.txt').relative_to(ROOT)}")
    return 0


def run(*arguments: str) -> None:
    """One `uv pip compile` from the repository's root."""
    print("locking", arguments[-1].partition("=")[2], file=sys.stderr, flush=True)
    subprocess.run([*COMPILE, *arguments], check=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
