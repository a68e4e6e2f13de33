"""`make down`: in a stack that may vanish nothing stays, whatever was in it, and what does stay is named."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.declared import Declared, Resource
from tests.conftest import ROOT, RunningCloud
from tests.local.provider.conftest import cli as cli  # a fixture

from . import cut_up
from .test_recover import Cloud

pytestmark = pytest.mark.engine
PROJECT = "local-project"
DATASETS = f"/bigquery/v2/projects/{PROJECT}/datasets"
MODELS = f"{PROJECT}-local-customer-value-models"


@pytest.fixture
def own_cloud(cli: None, tmp_path: Path) -> Iterator[Cloud]:
    served = Cloud(tmp_path / "cloud")
    yield served
    served.close()


def down(env: dict[str, str], *, code: int) -> str:
    return cut_up.typed(ROOT, env, sys.executable, "-m", "tools.down", "--stack", "local", code=code)


def fill(client: httpx.Client) -> None:
    """What people and runs leave in a stack: rows, objects and their old versions, a table made by hand."""
    for content in (b"old", b"new"):
        where = {"uploadType": "media", "name": "versions/v1/model.bin"}
        client.post(f"/upload/storage/v1/b/{MODELS}/o", params=where, content=content).raise_for_status()
    reference = {"projectId": PROJECT, "datasetId": "predictions", "tableId": "by_hand"}
    client.post(f"{DATASETS}/predictions/tables", json={"tableReference": reference}).raise_for_status()
    insert = (
        "INSERT INTO predictions.customer_value (run_date, model_version, run_id, predicted_at, customer_id, "
        "probability_alive, expected_purchases) "
        "VALUES ('2024-05-01', 'v1', 'r', '2024-05-01 00:00:00', '0001', 0.5, 1.0)"
    )
    query = {"query": insert, "useLegacySql": False, "location": "europe-west1"}
    answer = client.post(f"/bigquery/v2/projects/{PROJECT}/queries", json=query)
    assert answer.json().get("numDmlAffectedRows") == "1", answer.text


def test_nothing_is_left_of_a_full_stack_and_what_was_made_beside_it_is_named(own_cloud: Cloud) -> None:
    cut_up.up(ROOT, own_cloud.env, "local")
    with httpx.Client(base_url=own_cloud.env["STORAGE_ENDPOINT"]) as client:
        fill(client)
        assert "Nothing of stack 'local' is left." in down(own_cloud.env, code=0)
        assert not client.get(DATASETS).json().get("datasets")
        assert client.get(f"/storage/v1/b/{MODELS}").status_code == 404

        client.post("/storage/v1/b", params={"project": PROJECT}, json={"name": f"{PROJECT}-notes"}).raise_for_status()
        where = {"uploadType": "media", "name": "a.txt"}
        client.post(f"/upload/storage/v1/b/{PROJECT}-notes/o", params=where, content=b"a").raise_for_status()
        place = {"projectId": PROJECT, "datasetId": "by_hand"}
        client.post(DATASETS, json={"datasetReference": place}).raise_for_status()
        table = {"tableReference": {**place, "tableId": "forgotten"}}
        client.post(f"{DATASETS}/by_hand/tables", json=table).raise_for_status()
    account = f"projects/{PROJECT}/serviceAccounts/left@{PROJECT}.iam.gserviceaccount.com"
    declared = Declared(own_cloud.folder / "declared")
    declared.put(Resource("gcp:serviceaccount/account:Account", account, {"accountId": "left"}))
    declared.close()
    told = down(own_cloud.env, code=1)
    assert f"data plane  bucket with 1 object versions  {PROJECT}-notes" in told
    assert "data plane  table  by_hand.forgotten" in told
    assert f"control plane  Account  {account}" in told
    assert "Of stack 'local' are left: 0 in the state, 4 on the platform." in told


def test_without_a_way_to_look_nobody_says_that_nothing_is_left(cloud: RunningCloud) -> None:
    env = {**os.environ, **cloud.env, "STORAGE_ENDPOINT": f"{cloud.url}/nowhere"}
    code = "from tools import leftovers; from tools.engine import Stack; leftovers.find(Stack('local'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert "ToolFailed: What is left in project 'local-project' cannot be listed" in done.stderr
