"""The stack `local` is there as soon as the local cloud is, and no tracked file pays for it."""

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from local.provider import stacks
from tests.conftest import RunningCloud

ROOT = Path(__file__).resolve().parents[3]


def copies(folder: Path, *names: str) -> Path:
    """A project folder with some of this repository's stack files."""
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_the_tracked_stack_file_carries_the_salt_of_the_empty_passphrase() -> None:
    text = (ROOT / "Pulumi.local.yaml").read_text()
    assert "encryptionsalt: v1:" in text, "otherwise the first preview writes one into the tracked file"


def test_without_a_program_there_is_no_stack_and_that_is_said(tmp_path: Path) -> None:
    project = copies(tmp_path / "empty", "Pulumi.yaml")
    assert "no Pulumi program with a stack 'local'" in stacks.ensure(project, tmp_path / "state", {})


def test_without_a_cli_the_local_cloud_starts_and_says_so(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    env = {"PYTHONPATH": os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"))), "PATH": os.defpath}
    command = [str(tmp_path / "venv" / "bin" / "python"), "-m", "local", "serve", "--folder", str(tmp_path / "cloud")]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert "PULUMI_DEBUG_PROVIDERS" in json.loads(process.stdout.readline())["env"]
    process.terminate()
    assert "Run `make setup`" in process.communicate(timeout=20)[1]


@pytest.mark.engine
def test_a_stack_that_exists_is_left_alone(cli: None, cloud: RunningCloud) -> None:
    state = cloud.folder / "pulumi" / ".pulumi" / "stacks" / "predictions" / "local.json"
    before = state.stat()
    assert stacks.ensure(ROOT, cloud.folder / "pulumi", cloud.env) == ""
    assert state.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.engine
def test_a_stack_that_cannot_be_made_says_why(cli: None, cloud: RunningCloud, tmp_path: Path) -> None:
    project = copies(tmp_path / "project", "Pulumi.yaml", "Pulumi.local.yaml")
    env = cloud.env | {"PULUMI_BACKEND_URL": "file:///no/such/folder"}
    assert "/no/such/folder" in stacks.ensure(project, tmp_path / "state", env)
