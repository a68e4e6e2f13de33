"""Makes the stack `local` in a local cloud's state, so that the literal `pulumi up -s local` works at once.

`pulumi stack init` writes into the stack's file, which is tracked; so it works on copies.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

STACK = "local"
INIT_SECONDS = 60


def ensure(project: Path, state: Path, env: Mapping[str, str]) -> str:
    """Make the stack of a Pulumi project unless it exists.

    Args:
        project: the folder with Pulumi.yaml and Pulumi.local.yaml; nothing is written there.
        state: the folder of the file backend.
        env: what the CLI needs to reach that backend.

    Returns:
        Empty, or why there is no stack and what to do.
    """
    files = [project / "Pulumi.yaml", project / f"Pulumi.{STACK}.yaml"]
    if not all(file.is_file() for file in files):
        return f"There is no Pulumi program with a stack {STACK!r} in {str(project)!r}."
    name = yaml.safe_load(files[0].read_text())["name"]
    if (state / ".pulumi" / "stacks" / name / f"{STACK}.json").is_file():
        return ""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    cli = shutil.which("pulumi", path=places)
    if cli is None:
        return f"There is no pulumi on PATH, so there is no stack {STACK!r} yet. Run `make setup`, then start again."
    with tempfile.TemporaryDirectory(prefix="pulumi-") as scratch:
        for file in files:
            shutil.copy(file, scratch)
        command = [cli, "stack", "init", STACK, "--non-interactive"]
        env = os.environ | env | {"PATH": places}
        done = subprocess.run(
            command, cwd=scratch, env=env, capture_output=True, text=True, timeout=INIT_SECONDS, check=False
        )
    return f"`pulumi stack init {STACK}` failed: {done.stderr.strip()}" if done.returncode else ""
