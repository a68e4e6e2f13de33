"""The real Pulumi CLI on a scratch clone and a served local cloud; what it says is what a test looks at."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import ROOT, RunningCloud


class Engine:
    """One stack of a clone (tests/scratch_clone.py).

    Args:
        config: values of the stack's file, by full key. None for `local`, which the local cloud has made; any other
            stack is made here.
    """

    def __init__(self, clone: Path, cloud: RunningCloud, stack: str = "local", config: dict[str, str] | None = None):
        subprocess.run([sys.executable, ROOT / "tools" / "pulumi_cli.py"], check=True)
        self.clone, self.stack = clone, stack
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = os.environ | cloud.env | {"PATH": path, "NO_COLOR": "1"}
        if config is not None:
            (clone / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
            self._run("stack", "init", stack, fails=False)

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run the CLI and return what it wrote; `fails` is what the test expects."""
        return self._run(*arguments, "--stack", self.stack, fails=fails)

    def up(self, *, fails: bool = False) -> str:
        """Deploy without a preview."""
        return self("up", "--yes", "--skip-preview", fails=fails)

    def destroy(self) -> str:
        """Remove everything."""
        return self("destroy", "--yes", "--skip-preview")

    def _run(self, *arguments: str, fails: bool) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text
