"""Google's own command lines against the local cloud, in one session of each: what docs/local-cloud.md shows."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud import storage

from tests.conftest import RunningCloud

pytest_plugins = ["tests.local.storage_fixtures"]
# Each command takes five seconds, most of them to start.
pytestmark = pytest.mark.soak

Tool = Callable[..., str]


@pytest.fixture
def tool(cloud: RunningCloud, tmp_path: Path) -> Tool:
    """Runs a tool with the environment that the document shows; answers what it printed."""
    env = {
        **os.environ,
        **cloud.env,
        "CLOUDSDK_CONFIG": str(tmp_path / "sdk"),
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "none",
        "CLOUDSDK_CORE_PROJECT": "gannet-3",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{cloud.url}/storage/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{cloud.url}/",
    }

    def run(*command: str) -> str:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed here")
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_gcloud_storage_uploads_lists_shows_moves_and_removes(
    tool: Tool, bucket: storage.Bucket, tmp_path: Path
) -> None:
    (tmp_path / "fish.csv").write_text("n,s\n1,cod\n")
    home = f"gs://{bucket.name}"
    tool("gcloud", "storage", "cp", str(tmp_path / "fish.csv"), f"{home}/in/fish.csv")
    assert f"{home}/in/fish.csv" in tool("gcloud", "storage", "ls", f"{home}/**")
    assert tool("gcloud", "storage", "cat", f"{home}/in/fish.csv") == "n,s\n1,cod\n"
    tool("gcloud", "storage", "mv", f"{home}/in/fish.csv", f"{home}/out.csv")
    assert [blob.name for blob in bucket.list_blobs()] == ["out.csv"]
    tool("gcloud", "storage", "rm", "--recursive", home)
    assert not bucket.exists()


def test_gcloud_logging_writes_and_reads(tool: Tool) -> None:
    tool("gcloud", "logging", "write", "dive", "too deep", "--severity=ERROR")
    assert "too deep" in tool("gcloud", "logging", "read", "severity>=ERROR")


def test_bq_makes_loads_and_queries(tool: Tool, cloud: RunningCloud, tmp_path: Path) -> None:
    (tmp_path / "fish.csv").write_text("n,s\n1,cod\n2,hake\n")
    bq = ("bq", "--api", cloud.url, "--project_id", "gannet-3")
    tool(*bq, "mk", "catch")
    source = ["--source_format=CSV", "--skip_leading_rows=1", "catch.fish", str(tmp_path / "fish.csv")]
    tool(*bq, "load", *source, "n:INTEGER,s:STRING")
    query = "SELECT s FROM catch.fish WHERE n = 2"
    assert tool(*bq, "--format=csv", "query", "--use_legacy_sql=false", query).split() == ["s", "hake"]
    assert "cod" in tool(*bq, "head", "catch.fish")
