"""`python -m local.preview --stack prod`: what a change of this clone would do to a stack, without the stack or a key.

The base revision is deployed to a fresh local cloud, then the working tree is previewed against it, by the real engine.
Everything happens on copies in a temporary folder. Does not know the real stack: what was changed by hand there, or
never deployed, is not seen.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from local import processes, scratch_stack, surroundings
from service.errors import ServiceError

ROOT = Path(__file__).resolve().parent.parent
NOTHING = "none"
POLICY = "infra/policy"
SAFE_WAY = """
This change would delete or replace what holds data, and the stack protects it (predictions:protectData).
The safe way: keep the resource as it is, and put the new one beside it under a new name; move what must move; then
take the old one out of the program in a change of its own, after `pulumi state unprotect URN`, as a decision of the
data's owner. A new column is added at the end, NULLABLE; a renamed column is a new column.
"""


class PreviewFailed(Exception):
    """What was wrong, where, and what to do; `code` is the exit code."""

    def __init__(self, text: str, code: int = 4) -> None:
        super().__init__(text)
        self.code = code


def main(arguments: list[str] | None = None) -> int:
    """0 when the preview succeeds, 2 for a wrong request, else the code of what failed."""
    parser = argparse.ArgumentParser(prog="python -m local.preview", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--base", default="origin/main", help=f"the revision that is deployed, or {NOTHING!r}")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="preview-") as folder:
            return preview(given.stack, given.base, Path(folder).resolve())
    except PreviewFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130


def preview(stack: str, base: str, folder: Path, root: Path = ROOT) -> int:
    """Deploy the base to a cloud in `folder`, preview the working tree; returns the engine's exit code.

    Raises:
        PreviewFailed: the base or the stack does not exist, or the base does not come up.
    """
    file = root / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml")))
        raise PreviewFailed(f"There is no file {file.name!r}. Stacks of this clone: {known}.", 2)
    before = None if base == NOTHING else check_out(root, base, folder / "base")
    after = folder / "tree"
    try:
        scratch_stack.copy_clone(root, after)
    except subprocess.CalledProcessError as error:
        raise PreviewFailed(
            f"{str(root)!r} is no git repository: {error.stderr.strip()}. Clone it with git.", 2
        ) from error
    project = str((yaml.safe_load(file.read_text()).get("config") or {}).get("gcp:project") or "local-project")
    with cloud(folder / "cloud", project) as env:
        deploy_base(before, base, stack, env)
        _init(after, stack, env)
        say(f"what the working tree would change in {stack!r}:")
        policy = ["--policy-pack", POLICY] if (after / POLICY).is_dir() else []
        return _show(_pulumi("preview", stack, "--diff", *policy), after, env)


def deploy_base(before: Path | None, base: str, stack: str, env: Mapping[str, str]) -> None:
    """`up` of the base, so that the preview shows updates, replacements and guards.

    Raises:
        PreviewFailed: it does not come up.
    """
    if before is None or not (before / f"Pulumi.{stack}.yaml").is_file():
        say(f"base {base!r} has no stack {stack!r}: everything is new" if before else "no base: everything is new")
        return
    try:
        made = surroundings.make(before, stack, Path(env["LOCAL_CLOUD_FOLDER"]), env["STORAGE_ENDPOINT"])
    except ServiceError as error:
        raise PreviewFailed(f"The models of base {base!r} cannot be read by this tooling: {error}") from error
    say(f"deploying the base {base!r} to a cloud in a temporary folder" + (f", with {', '.join(made)}" if made else ""))
    _init(before, stack, env)
    done = _run(_pulumi("up", stack, "--yes", "--skip-preview"), before, env)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        hint = f"Choose another base, or BASE={NOTHING} to preview everything as new."
        raise PreviewFailed(f"Base {base!r} does not come up with this clone's local cloud. {hint}\n{words}")


def check_out(root: Path, base: str, folder: Path) -> Path:
    """A copy of a revision, with its history, in a folder of its own: nothing is written to this clone.

    Raises:
        PreviewFailed: there is no such revision, or it has no Pulumi program.
    """
    found = _run(["git", "-C", str(root), "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"], root, os.environ)
    if found.returncode:
        remote = f"`git fetch {base.replace('/', ' ', 1)}`, or " if "/" in base else ""
        ways = f"{remote}BASE=main, or BASE={NOTHING} to preview everything as new"
        raise PreviewFailed(f"There is no revision {base!r} in this clone. Try {ways}.", 2)
    for command in (
        ["git", "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder)],
        ["git", "-C", str(folder), "checkout", "--quiet", "--detach", found.stdout.strip()],
    ):
        done = _run(command, root, os.environ)
        if done.returncode:
            raise PreviewFailed(f"Revision {base!r} cannot be checked out: {done.stderr.strip()}")
    if not (folder / "Pulumi.yaml").is_file():
        hint = f"Choose a later one, or BASE={NOTHING} to preview everything as new."
        raise PreviewFailed(f"Revision {base!r} has no Pulumi program. {hint}", 2)
    # The program runs with this clone's packages, not with those that its own lock names.
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


@contextmanager
def cloud(folder: Path, project: str) -> Iterator[dict[str, str]]:
    """A local cloud that is served meanwhile; yields the environment of a shell that uses it."""
    command = [sys.executable, "-m", "local", "serve", "--folder", str(folder), "--project", project]
    command += ["--jobs", "processes"]  # a preview builds and runs nothing
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    env = processes.marked(folder, {**os.environ, "PATH": path, "GIT_OPTIONAL_LOCKS": "0"})
    served = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    assert served.stdout  # noqa: S101 (a pipe was asked for)
    try:
        line = served.stdout.readline()
        if not line:
            raise PreviewFailed(f"The local cloud ended with code {served.wait()}; its words are above.")
        yield {**env, **json.loads(line)["env"]}
    finally:
        served.terminate()
        served.communicate()
        processes.end(folder)  # what an interrupted `pulumi` left


def say(text: str) -> None:
    """One line, in order with what `pulumi` prints."""
    print(f"preview: {text}", flush=True)


def _init(folder: Path, stack: str, env: Mapping[str, str]) -> None:
    secrets = scratch_stack.open_secrets(folder / f"Pulumi.{stack}.yaml")
    state = Path(env["LOCAL_CLOUD_FOLDER"]) / "pulumi" / ".pulumi" / "stacks"
    if not list(state.glob(f"*/{stack}.json")):
        _must(["pulumi", "stack", "init", stack, "--non-interactive"], folder, env)
    if secrets:
        values = [part for path in secrets for part in ("--secret", f"{path}={scratch_stack.PLACEHOLDER}")]
        _must(["pulumi", "config", "set-all", "--stack", stack, "--path", *values, "--non-interactive"], folder, env)


def _must(command: list[str], folder: Path, env: Mapping[str, str]) -> None:
    done = _run(command, folder, env)
    if done.returncode:
        raise PreviewFailed(f"`{' '.join(command[:3])}` failed on a copy of the stack's file: {done.stderr.strip()}")


def _pulumi(verb: str, stack: str, *options: str) -> list[str]:
    return ["pulumi", verb, "--stack", stack, "--non-interactive", *options]


def _run(command: list[str], folder: Path, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PreviewFailed(f"There is no program {command[0]!r}. Run `make setup`.") from error


def _show(command: list[str], folder: Path, env: Mapping[str, str]) -> int:
    """Run, with its output passed on as it comes; a refusal to touch data is explained."""
    process = subprocess.Popen(
        command, cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout  # noqa: S101 (a pipe was asked for)
    guarded = False
    for line in process.stdout:
        guarded = guarded or bool(re.search(r"marked for protection|is protected|it is currently protected", line))
        print(line, end="", flush=True)
    code = process.wait()
    if code and guarded:
        print(SAFE_WAY, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
