"""An `up` that is killed while it makes its n-th resource, and what a stack and its cloud look like afterwards."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

# What the platform makes up anew for each resource, and what an image's build or a clock gives.
MADE_UP = re.compile(
    r"etag|uniqueId|[cC]reat(e|ion)Time|timeCreated|updated|updateTime|lastModifiedTime|generation|uid"
    r"|password|creationRecords|mediaLink|outputs|md5hash|selfLink"
)
NUMBER = re.compile(r"(?<=alertPolicies/)\d+|(?<=notificationChannels/)\d+|\b1\d{9}\b|\d{4}-\d\d-\d\dT[\d:.]+Z")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a shell has after `eval "$(python -m local env)"` in an activated environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **env, "PATH": path, "NO_COLOR": "1"}


def kill_up(folder: Path, env: Mapping[str, str], stack: str, nth: int, when: str) -> str:
    """Start `up`, kill it with SIGKILL at a create, before or after that had its effect; returns the resource's URN."""
    providers = env["PULUMI_DEBUG_PROVIDERS"]
    port = providers.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.local.provider.cutting", port, str(nth), when]
    # In the project's folder, as the engine is: the provider finds relative paths by who asks it.
    cutting = subprocess.Popen(
        command,
        cwd=folder,
        env={**env, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert cutting.stdin
    assert cutting.stdout
    cut = providers.replace(f":{port}", f":{cutting.stdout.readline().strip()}")
    up = subprocess.Popen(
        ["pulumi", "up", "--stack", stack, "--yes", "--skip-preview", "--non-interactive"],
        cwd=folder,
        env={**env, "PULUMI_DEBUG_PROVIDERS": cut},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    urn = cutting.stdout.readline().strip()
    os.kill(up.pid, signal.SIGKILL)
    assert up.wait() == -signal.SIGKILL
    cutting.communicate()  # closes its input, by which it ends
    assert urn, f"`up` made fewer than {nth} resources"
    return urn


def typed(folder: Path, env: Mapping[str, str], *command: str, code: int = 0) -> str:
    """Run a command as a person would and return what it wrote."""
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def up(folder: Path, env: Mapping[str, str], stack: str) -> str:
    """`pulumi up`, without questions."""
    return typed(folder, env, "pulumi", "up", "--stack", stack, "--yes", "--skip-preview", "--non-interactive")


def state(folder: Path, env: Mapping[str, str], stack: str) -> dict[str, Any]:
    """Resources by URN, without what the platform makes up."""
    exported = json.loads(typed(folder, env, "pulumi", "stack", "export", "--stack", stack, "--show-secrets"))
    assert not exported["deployment"].get("pending_operations")
    return {resource["urn"]: _bare(resource) for resource in exported["deployment"]["resources"]}


def declared(cloud: Path) -> list[tuple[str, str, Any]]:
    """Every row that the local cloud keeps of what was declared."""
    rows = sqlite3.connect(cloud / "declared" / "declared.sqlite").execute("SELECT * FROM declared").fetchall()
    return sorted(
        (token, NUMBER.sub("N", id), json.dumps(_bare(json.loads(facts)), sort_keys=True)) for token, id, facts in rows
    )


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        left = (
            "sourcePosition",
            "stackTrace",
            "created",
            "modified",
            "outputs",
            "provider",
            "id",
            "propertyDependencies",
            "dependencies",
        )
        return {
            key: _bare(item)
            for key, item in value.items()
            if not MADE_UP.fullmatch(key) and not (key in left and "urn" in value)
        }
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return NUMBER.sub("N", value) if isinstance(value, str) else value
