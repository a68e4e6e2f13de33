"""Two stacks that share one Airflow environment, on the real engine and the local cloud, read by the real Airflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from local.dags_sync import DagsSync
from tests import scratch_clone
from tests.conftest import RunningCloud
from tests.engine import Engine

pytestmark = pytest.mark.engine
BUCKET = "platform-airflow-bucket"
# What Airflow makes of a folder, asked of a process whose home is its own.
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1])
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors}))
"""


def _stack(folder: Path, cloud: RunningCloud, name: str, *, makes_source: bool) -> Engine:
    config = {
        "gcp:project": "harbour-lab",
        "gcp:region": "europe-north1",
        "predictions:dataset": f"forecasts_{name}",
        "predictions:owner": name,
        "predictions:protectData": "false",
        "predictions:exampleSource": str(makes_source).lower(),
        "predictions:orchestrator": "existing",
        "predictions:existingEnvironment": "platform-airflow",
        "predictions:existingDagsBucket": BUCKET,
        "predictions:existingAirflowAccount": "airflow@platform-9.iam.gserviceaccount.com",
    }
    return Engine(scratch_clone.copy(folder), cloud, name, config)


def _parsed(folder: Path, home: Path) -> dict[str, object]:
    env = os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-c", PARSE, str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_two_stacks_share_an_environment_and_each_leaves_only_its_own(cloud: RunningCloud, tmp_path: Path) -> None:
    options = {"api_endpoint": cloud.url}
    client = storage.Client(project="platform-9", credentials=AnonymousCredentials(), client_options=options)
    client.create_bucket(BUCKET, location="europe-north1")
    for name in ("north", "south", "airflow"):
        (tmp_path / name).mkdir()
    north = _stack(tmp_path / "north", cloud, "north", makes_source=True)
    south = _stack(tmp_path / "south", cloud, "south", makes_source=False)
    # The other stack may be a release behind, so its tasks are another module than ours.
    (south.clone / "dags" / "prediction_tasks.py").open("a").write("\nRELEASE = 'south'\n")
    north.up()
    south.up()
    dags = tmp_path / "dags"
    sync = DagsSync(client, dags)
    sync.copy(BUCKET, "dags/")
    ids = [f"{stack}_customer_value_{action}" for stack in ("north", "south") for action in ("application", "training")]
    assert _parsed(dags, tmp_path / "airflow") == {"dags": ids, "errors": {}}
    north("preview", "--expect-no-changes")
    south.destroy()
    sync.copy(BUCKET, "dags/")
    assert _parsed(dags, tmp_path / "airflow") == {"dags": ids[:2], "errors": {}}, "what is north's must stay"
    north.destroy()
    assert [blob.name for blob in client.list_blobs(BUCKET)] == []
