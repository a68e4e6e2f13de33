"""The one-way copy of a bucket's DAG files, through Google's own storage client."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local.dags_sync import DagsSync
from local.declared import Declared, Resource
from local.metadata import COMPOSER
from tests.conftest import RunningCloud


@pytest.fixture
def bucket(cloud: RunningCloud) -> storage.Bucket:
    options = {"api_endpoint": cloud.url}
    client = storage.Client(project="test-project", credentials=AnonymousCredentials(), client_options=options)
    return client.create_bucket(f"files-{uuid.uuid4().hex}")


@pytest.fixture
def sync(bucket: storage.Bucket, tmp_path: Path) -> DagsSync:
    return DagsSync(bucket.client, tmp_path / "dags")


def put(bucket: storage.Bucket, name: str, text: str) -> None:
    bucket.blob(name).upload_from_string(text)


def files(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "dags"
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_what_lies_below_the_prefix_appears_and_nothing_else(
    bucket: storage.Bucket, sync: DagsSync, tmp_path: Path
) -> None:
    put(bucket, "dags/a.py", "one")
    put(bucket, "dags/deep/er/b.json", "{}")
    put(bucket, "plugins/c.py", "no")
    sync.copy(bucket.name, "dags/")
    assert files(tmp_path) == {"a.py": "one", "deep/er/b.json": "{}"}


def test_changes_and_deletions_follow(bucket: storage.Bucket, sync: DagsSync, tmp_path: Path) -> None:
    put(bucket, "dags/a.py", "one")
    put(bucket, "dags/b.py", "two")
    sync.copy(bucket.name, "dags/")
    put(bucket, "dags/a.py", "one and a half")
    bucket.blob("dags/b.py").delete()
    sync.copy(bucket.name, "dags/")
    assert files(tmp_path) == {"a.py": "one and a half"}


def test_a_file_that_did_not_change_is_not_written_again(
    bucket: storage.Bucket, sync: DagsSync, tmp_path: Path
) -> None:
    put(bucket, "dags/a.py", "one")
    sync.copy(bucket.name, "dags/")
    before = (tmp_path / "dags" / "a.py").stat().st_mtime_ns
    sync.copy(bucket.name, "dags/")
    assert (tmp_path / "dags" / "a.py").stat().st_mtime_ns == before, "Airflow would parse it again"


def test_files_of_an_earlier_deployment_are_removed(bucket: storage.Bucket, sync: DagsSync, tmp_path: Path) -> None:
    (tmp_path / "dags" / "old.dag.json").write_text("{}")
    sync.copy(bucket.name, "dags/")
    assert files(tmp_path) == {}


def test_names_that_leave_the_folder_are_left_out(bucket: storage.Bucket, sync: DagsSync, tmp_path: Path) -> None:
    for name in ("dags/../../evil.py", "dags//evil.py", "dags/folder/"):
        put(bucket, name, "evil")
    sync.copy(bucket.name, "dags/")
    assert files(tmp_path) == {}
    assert not list(tmp_path.parent.glob("evil.py"))


def test_an_environment_with_another_airflow_ends_the_copying_with_the_reason(tmp_path: Path) -> None:
    declared = Declared(tmp_path / "declared")
    config = {"softwareConfig": {"imageVersion": "composer-3-airflow-3.0.1-build.0"}}
    declared.put(Resource(COMPOSER, "environments/old", {"config": config}))
    declared.close()
    places = ["--declared", str(tmp_path / "declared"), "--to", str(tmp_path / "dags")]
    command = [sys.executable, "-m", "local.dags_sync", *places]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "means Airflow 3.0.1" in done.stderr
