"""A small Pulumi program in a folder of its own, run by the real CLI against a served local cloud."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEADER = "import pulumi\nimport pulumi_gcp as gcp\n"


class Program:
    """A program `infra/__main__.py` with a stack `local`.

    Args:
        folder: empty; the project is made there.
        env: the environment that the local cloud printed.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], name: str) -> None:
        self.folder, self.name = folder, name
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = os.environ | env | {"PATH": path, "NO_COLOR": "1"}
        (folder / "infra").mkdir()
        (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\nmain: infra/\n")
        (folder / "Pulumi.local.yaml").write_text("config:\n  gcp:project: test-project\n  gcp:region: europe-west6\n")
        self("stack", "init", "local")

    def write(self, body: str) -> None:
        """Replace the program."""
        (self.folder / "infra" / "__main__.py").write_text(HEADER + textwrap.dedent(body))

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run the CLI and return what it wrote; `fails` is what the test expects."""
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text

    def up(self, *, fails: bool = False) -> str:
        """Deploy without a preview."""
        return self("up", "-s", "local", "--yes", "--skip-preview", fails=fails)

    def refresh(self, *options: str) -> str:
        """Read everything again."""
        return self("refresh", "-s", "local", "--yes", "--skip-preview", *options)

    def destroy(self) -> str:
        """Remove everything."""
        return self("destroy", "-s", "local", "--yes", "--skip-preview")

    def planned(self) -> dict[str, str]:
        """What a preview would do, by logical name."""
        steps = json.loads(self("preview", "-s", "local", "--json"))["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps}

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        found: dict[str, Any] = json.loads(self("stack", "output", "-s", "local", "--json"))
        return found
