"""The commands of the README, typed in this repository, on its own program: they work, and no tracked file changes."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import serve

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(cli: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What `eval "$(python -m local env)"` leaves in a shell, beside what was there."""
    process = serve(tmp_path / "cloud", "--project", "local-project")
    assert process.stdout
    served = json.loads(process.stdout.readline())["env"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield os.environ | served | {"PATH": path}
    process.terminate()
    process.wait()


def test_the_stack_comes_up_stays_as_it_is_and_goes_and_git_sees_nothing(environment: dict[str, str]) -> None:
    def typed(command: str) -> None:
        done = subprocess.run(command.split(), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    before = {file: file.read_bytes() for file in ROOT.glob("Pulumi*")}
    typed("pulumi stack select local")
    typed("pulumi preview -s local")
    typed("pulumi up -s local --yes")
    typed("pulumi preview -s local --expect-no-changes")
    typed("pulumi refresh -s local --yes --expect-no-changes")
    typed("pulumi destroy -s local --yes")
    assert {file: file.read_bytes() for file in ROOT.glob("Pulumi*")} == before
    door = environment["STORAGE_ENDPOINT"]
    assert not httpx.get(f"{door}/storage/v1/b", params={"project": "local-project"}).json().get("items")
    assert not httpx.get(f"{door}/bigquery/v2/projects/local-project/datasets").json().get("datasets")
    declared = sqlite3.connect(Path(environment["LOCAL_CLOUD_FOLDER"]) / "declared" / "declared.sqlite")
    assert declared.execute("SELECT token, id FROM declared").fetchall() == [], "retained images go with their registry"
