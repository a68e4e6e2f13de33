"""The seeded mistakes, and the checks that should find them.

A mistake is a patch beside this file with three lines before it: what is wrong, the check that finds it, and words that
the check must say, so that it does not fail for another reason. Checks:

* lint: ruff over the clone. types: mypy over infra/ and dags/. hadolint: over the Dockerfile.
* tests FILE...: these tests, without engine and Airflow servers.
* preview: of the stack `local` by the engine. policy: the same with the policy pack.
* rehearsal: `pulumi up` on a local cloud of its own, a preview that must be empty, training and application as the
  tasks of the DAGs run them, with Airflow's identity.
* nothing: it is not found offline; the words say why.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, RunningCloud, serve

FOLDER = Path(__file__).parent
OFFLINE = "not client and not engine and not end_to_end and not soak"
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Mistake:
    """One patch, with what stands before it."""

    name: str
    about: str
    check: str
    says: str

    @property
    def patch(self) -> Path:
        """The file that `git apply` takes."""
        return FOLDER / f"{self.name}.patch"


def load() -> dict[str, Mistake]:
    """Every mistake, by name."""
    mistakes = {}
    for file in sorted(FOLDER.glob("*.patch")):
        head = file.read_text().partition("diff --git")[0]
        match = re.fullmatch(r"Mistake: (.+)\nCheck: (.+)\nSays: (.+)\n+", head)
        assert match, f"{file.name} does not begin with Mistake, Check and Says"
        mistakes[file.stem] = Mistake(file.stem, *match.groups())
    return mistakes


def apply(mistake: Mistake, clone: Path, *, only_check: bool = False) -> None:
    """Put the mistake into a clone, or see whether it would go; fails when the code around it has changed."""
    command = ["git", "apply", "-v", *(["--check"] if only_check else []), str(mistake.patch)]
    # Whatever repository lies above the clone is not ours.
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(clone.parent)}
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{mistake.name} no longer applies; write it anew: {done.stderr}"
    assert "Skipped patch" not in done.stderr, done.stderr


def run(check: str, clone: Path, cloud: RunningCloud) -> tuple[bool, str]:
    """Whether a check is content with a clone, and what it said.

    Args:
        cloud: for previews, which change nothing in it.
    """
    kind, *arguments = check.split()
    if kind == "rehearsal":
        return _rehearse(clone)
    env = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    preview = ["pulumi", "preview", "--stack", "local", "--non-interactive"]
    test = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "-m", OFFLINE]
    commands = {
        "lint": ["ruff", "check", "--no-cache", "."],
        # What mypy knows of libraries from the last `make lint` saves three minutes.
        "types": ["mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "infra", "dags"],
        "hadolint": ["hadolint", "container/Dockerfile"],
        "tests": [*test, *(f"tests/{name}" for name in arguments)],
        "preview": preview,
        "policy": [*preview, "--policy-pack", "infra/policy"],
    }
    return _run(commands[kind], clone, env | (cloud.env if kind in ("preview", "policy") else {}))


def _rehearse(clone: Path) -> tuple[bool, str]:
    """Deploy and run both actions; the cloud goes with the clone."""
    folder = clone.parent / f"{clone.name}-cloud"
    process = serve(folder, "--project", "local-project")
    try:
        assert process.stdout
        cloud = RunningCloud(folder, json.loads(process.stdout.readline())["env"])
        owner = cloud.env | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
        airflow = cloud.state()["airflow_env"] | {"OWNER_ENDPOINT": cloud.url}
        script = [sys.executable, str(FOLDER / "rehearsal.py"), "--bucket", "local-project-local-dags"]
        steps = (
            (["pulumi", "up", "--stack", "local", "--yes", "--skip-preview", "--non-interactive"], owner),
            (["pulumi", "preview", "--stack", "local", "--diff", "--expect-no-changes", "--non-interactive"], owner),
            ([sys.executable, "tools/example_data.py"], owner),
            (script, airflow),
        )
        said = ""
        for command, env in steps:
            good, text = _run(command, clone, env)
            said += text
            if not good:
                return False, said
        return True, said
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], clone: Path, env: dict[str, str]) -> tuple[bool, str]:
    # The clone's own modules come before those of the editable install.
    environment = os.environ | env | {"PYTHONPATH": str(clone)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def prepare() -> None:
    """Make the CLI available once."""
    subprocess.run([sys.executable, ROOT / "tools" / "pulumi_cli.py"], check=True)
