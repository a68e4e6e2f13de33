"""The stack `prod` on the real engine and the local cloud: what holds data stays, whatever the program is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import RunningCloud

from .conftest import ROOT

pytestmark = pytest.mark.engine


class Prod:
    """The program with a copy of the stack's file, so that nothing is written to the tracked one."""

    def __init__(self, folder: Path, cloud: RunningCloud) -> None:
        self.folder = folder
        self.env = os.environ | cloud.env | {"NO_COLOR": "1"}
        self.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for name in ("infra", "service", "container", "dags", ".dockerignore"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        for name in ("Pulumi.yaml", "Pulumi.prod.yaml"):
            shutil.copy(ROOT / name, folder)
        self("stack", "init", "prod")
        self("config", "set", "gcp:project", "test-project")

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run the CLI and return what it wrote; `fails` is what the test expects."""
        command = ["pulumi", *arguments, "--stack", "prod", "--non-interactive"]
        if arguments[:2] == ("stack", "init"):
            command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text


def _make_source(cloud: RunningCloud) -> None:
    """The table that the example model reads, which on prod is somebody else's."""
    project = f"{cloud.url}/bigquery/v2/projects/test-project"
    dataset = {"projectId": "test-project", "datasetId": "example_shop"}
    httpx.post(f"{project}/datasets", json={"datasetReference": dataset, "location": "europe-west1"})
    table = {"tableReference": dataset | {"tableId": "transactions"}}
    httpx.post(f"{project}/datasets/example_shop/tables", json=table).raise_for_status()


@pytest.fixture(scope="module")
def prod(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> Prod:
    subprocess.run([sys.executable, ROOT / "tools" / "pulumi_cli.py"], check=True)
    _make_source(cloud)
    deployed = Prod(tmp_path_factory.mktemp("prod"), cloud)
    deployed("up", "--yes", "--skip-preview")
    return deployed


def test_a_second_up_changes_nothing_and_a_refresh_finds_no_drift(prod: Prod) -> None:
    prod("preview", "--expect-no-changes")
    prod("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_change_that_would_replace_data_fails_the_preview(prod: Prod) -> None:
    prod("config", "set", "predictions:dataset", "elsewhere")
    shown = prod("preview", fails=True)
    prod("config", "set", "predictions:dataset", "predictions")
    assert "unable to replace resource" in shown
    assert "protect" in shown


def test_destroy_leaves_every_row_and_file(prod: Prod, cloud: RunningCloud) -> None:
    shown = prod("destroy", "--yes", "--skip-preview", fails=True)
    assert "protect" in shown
    for path in (
        "bigquery/v2/projects/test-project/datasets/predictions/tables/customer_value",
        "bigquery/v2/projects/test-project/datasets/predictions/tables/customer_value_runs",
        "storage/v1/b/test-project-prod-customer-value-models",
        "storage/v1/b/test-project-prod-customer-value-runs",
    ):
        assert httpx.get(f"{cloud.url}/{path}").status_code == 200, path
