"""The Pulumi CLI, as the tools of this folder use it on one stack.

Does not own what is done to a stack (recover.py, down.py) or the CLI's installation (pulumi_cli.py).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
EXIT_USAGE, EXIT_UPSTREAM = 2, 4


class ToolFailed(Exception):
    """What was wrong, where, and what to do; `code` is the exit code."""

    def __init__(self, text: str, code: int = EXIT_UPSTREAM) -> None:
        super().__init__(text)
        self.code = code


class Stack:
    """One stack of a Pulumi project.

    Args:
        name: of the stack, as `pulumi --stack` takes it.
        folder: of the project; a clone, or a scratch copy of one.
        env: in which the CLI runs; this process's own when None.
    """

    def __init__(self, name: str, folder: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
        self.name, self.folder = name, folder
        self.env = dict(os.environ if env is None else env)
        self.env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), self.env.get("PATH", os.defpath)))

    @property
    def project(self) -> str:
        """Name of the Pulumi project."""
        return str(yaml.safe_load((self.folder / "Pulumi.yaml").read_text())["name"])

    def config(self, key: str) -> str:
        """A plain value of the stack's file; empty when there is none."""
        path = self.folder / f"Pulumi.{self.name}.yaml"
        values = yaml.safe_load(path.read_text()) if path.is_file() else None
        value = ((values or {}).get("config") or {}).get(key, "")
        return value if isinstance(value, str) else ""

    def backend(self) -> str:
        """The address of the backend that holds the state: `file://...`, `gs://...`."""
        return str(json.loads(self.run("whoami", "--json"))["url"])

    def export(self) -> dict[str, Any]:
        """The whole state; secrets stay encrypted."""
        found: dict[str, Any] = json.loads(self.run("stack", "export", "--stack", self.name))
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Replace the state, whole or not at all."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(state, file)
            file.flush()
            self.run("stack", "import", "--stack", self.name, "--file", file.name)

    def run(self, *arguments: str) -> str:
        """Run a command and return its output.

        Raises:
            ToolFailed: it ended with another code than 0; the text has its last words.
        """
        done = self._start(arguments, capture_output=True)
        if done.returncode:
            words = (done.stderr.strip() or done.stdout.strip())[-1500:]
            raise ToolFailed(f"`pulumi {' '.join(arguments[:2])}` failed for stack {self.name!r}:\n{words}")
        return done.stdout

    def show(self, *arguments: str) -> int:
        """Run a command that writes to this process's own output; returns its exit code."""
        sys.stdout.flush()
        return self._start(arguments).returncode

    def _start(self, arguments: tuple[str, ...], **options: Any) -> "subprocess.CompletedProcess[str]":
        command = ["pulumi", *arguments, "--non-interactive"]
        try:
            return subprocess.run(command, cwd=self.folder, env=self.env, text=True, check=False, **options)
        except FileNotFoundError as error:
            raise ToolFailed("There is no program 'pulumi'. Run `make setup`.") from error


def resources(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resources of an exported state."""
    return (state.get("deployment") or {}).get("resources") or []


def pending(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The operations that an exported state says were begun and not ended."""
    return (state.get("deployment") or {}).get("pending_operations") or []


def say(text: str) -> None:
    """One line for the person who waits, in order with what the CLI prints."""
    print(text, flush=True)


def refuse(error: ToolFailed) -> int:
    """Say what is wrong on stderr; returns the exit code."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return error.code
