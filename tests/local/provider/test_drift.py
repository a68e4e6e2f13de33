"""What somebody changes by hand: a refresh shows it, an `up` puts it right, and another changes nothing."""

import json
from pathlib import Path

import httpx
import pytest

from local.declared import Declared
from tests.conftest import ROOT, serve
from tests.tools import cut_up

pytestmark = pytest.mark.engine
PROJECT = "local-project"
BUCKET = f"/storage/v1/b/{PROJECT}-local-customer-value-runs"
TABLE = f"/bigquery/v2/projects/{PROJECT}/datasets/predictions/tables/customer_value"
JOB = f"/v2/projects/{PROJECT}/locations/europe-west1/jobs/local-customer-value-training"
GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"


def change_by_hand(client: httpx.Client, cloud: Path) -> str:
    """A label, a description, a variable of a job and a grant; returns the id of the grant."""
    client.patch(BUCKET, json={"labels": {"owner": "somebody"}}).raise_for_status()
    client.patch(TABLE, json={"description": "mine now"}).raise_for_status()
    job = client.get(JOB).json()
    variables = job["template"]["template"]["containers"][0]["env"]
    next(v for v in variables if v["name"] == "MODEL")["value"] = "another"
    client.patch(JOB, json=job).raise_for_status()
    declared = Declared(cloud / "declared")
    grant = declared.of_type(GRANT)[0].id
    declared.remove(GRANT, grant)
    declared.close()
    return grant


def test_drift_is_shown_and_repaired_and_a_second_up_changes_nothing(cli: None, tmp_path: Path) -> None:
    served = serve(tmp_path / "cloud", "--project", PROJECT, "--jobs", "processes")
    assert served.stdout
    env = cut_up.environment(json.loads(served.stdout.readline())["env"])
    cut_up.up(ROOT, env, "local")
    again = ("pulumi", "up", "-s", "local", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes")
    cut_up.typed(ROOT, env, *again)
    with httpx.Client(base_url=env["STORAGE_ENDPOINT"]) as client:
        grant = change_by_hand(client, tmp_path / "cloud")
        preview = ("pulumi", "preview", "-s", "local", "--refresh", "--diff", "--non-interactive")
        shown = cut_up.typed(ROOT, env, *preview)
        for sign in ("somebody", "mine now", '"another"', "3 to update", "1 to create"):
            assert sign in shown, sign
        shown = cut_up.typed(ROOT, env, "pulumi", "refresh", "-s", "local", "--yes", "--skip-preview", "--diff")
        assert "3 updated" in shown
        assert "1 deleted" in shown
        cut_up.up(ROOT, env, "local")
        assert client.get(BUCKET).json()["labels"]["owner"] != "somebody"
        assert client.get(TABLE).json()["description"].startswith("Predictions of customer_value")
        assert '"another"' not in client.get(JOB).text
    declared = Declared(tmp_path / "cloud" / "declared")
    assert declared.get(GRANT, grant)
    declared.close()
    cut_up.typed(ROOT, env, "pulumi", "refresh", "-s", "local", "--yes", "--skip-preview", "--expect-no-changes")
    served.terminate()
    served.wait()
