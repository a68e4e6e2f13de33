"""Google's own credentials through the metadata server, and who passes the two doors."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.declared import Declared, Resource
from local.metadata import ACCOUNT, AIRFLOW, COMPOSER, Metadata, reported
from local.wire import CloudError
from tests.conftest import RunningCloud

JOBS = "/v2/projects/quay/locations/europe-west4/jobs"


@pytest.fixture
def account(cloud: RunningCloud) -> Iterator[str]:
    email = f"sa-{uuid.uuid4().hex[:6]}@quay.iam.gserviceaccount.com"
    declared = Declared(cloud.folder / "declared")
    declared.put(Resource(ACCOUNT, email, {"email": email}))
    yield email
    declared.remove(ACCOUNT, email)
    declared.close()


# In a process of its own, because google-auth reads its environment when it is imported.
IDENTITY = """
import json, google.auth, google.auth.transport.requests
credentials, project = google.auth.default()
credentials.refresh(google.auth.transport.requests.Request())
print(json.dumps([type(credentials).__module__, project, credentials.service_account_email, credentials.token]))
"""


def identity(cloud: RunningCloud, who: str) -> tuple[str, str, str, str]:
    """What `google.auth.default()` finds as `who`: module of the credentials, project, e-mail, token."""
    env = {name: value.replace("/sa/airflow", f"/sa/{who}") for name, value in cloud.state()["airflow_env"].items()}
    del env["GOOGLE_CLOUD_PROJECT"]  # else the metadata server is not asked for it
    done = subprocess.run([sys.executable, "-c", IDENTITY], env=env, capture_output=True, text=True, check=True)
    module, project, email, token = json.loads(done.stdout)
    return module, project, email, token


def jobs_door(cloud: RunningCloud) -> str:
    return str(cloud.state()["airflow_env"]["RUN_ENDPOINT"])


def token(cloud: RunningCloud, who: str) -> str:
    base = f"{jobs_door(cloud)}/sa/{who}/computeMetadata/v1/instance/service-accounts/default"
    return str(httpx.get(f"{base}/token").json()["access_token"])


def test_default_credentials_are_the_reported_account(cloud: RunningCloud, account: str) -> None:
    module, project, email, token = identity(cloud, reported(account))
    assert module == "google.auth.compute_engine.credentials"
    assert project == cloud.env["GOOGLE_CLOUD_PROJECT"]
    assert email == account.removesuffix(".gserviceaccount.com") + ".local"
    answer = httpx.get(jobs_door(cloud) + JOBS, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403, "it is known who asks, and that nobody let it in"
    assert "run.jobs.list" in answer.json()["error"]["message"]


def test_the_persons_own_credentials_are_the_owners(cloud: RunningCloud) -> None:
    assert identity(cloud, "owner")[3].startswith("local.owner.")


def test_the_clients_see_no_real_service_account(cloud: RunningCloud, account: str) -> None:
    base = f"{jobs_door(cloud)}/sa/{reported(account)}/computeMetadata/v1/instance/service-accounts"
    answer = httpx.get(f"{base}/default/?recursive=true")
    assert answer.headers["metadata-flavor"] == "Google"
    assert not answer.json()["email"].endswith("gserviceaccount.com"), "google-auth would look it up at Google"


def test_airflow_is_the_account_of_the_declared_environment(tmp_path: Path) -> None:
    declared = Declared(tmp_path)  # not the session's, where other tests declare environments, too
    metadata = Metadata(tmp_path, "quay", declared)
    with pytest.raises(CloudError, match="pulumi up"):
        metadata.account_of(AIRFLOW)
    account = "airflow@quay.iam.gserviceaccount.com"
    declared.put(Resource(COMPOSER, "quay-airflow", {"config": {"nodeConfig": {"serviceAccount": account}}}))
    assert metadata.account_of(AIRFLOW) == account
    declared.close()


def test_an_undeclared_account_gets_no_token(cloud: RunningCloud) -> None:
    who = "nobody@quay.iam.local"
    answer = httpx.get(f"{jobs_door(cloud)}/sa/{who}/computeMetadata/v1/instance/service-accounts/default/token")
    assert answer.status_code == 404
    assert "nobody@quay.iam.gserviceaccount.com" in answer.json()["error"]["message"]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer made-up"}, {"authorization": "Bearer local.owner.0"}])
def test_the_jobs_door_wants_a_token_of_this_cloud(cloud: RunningCloud, header: dict[str, str]) -> None:
    answer = httpx.get(jobs_door(cloud) + JOBS, headers=header)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert httpx.get(cloud.url + JOBS, headers=header).status_code == 200, "at the owner's door nobody needs one"


def test_a_token_changed_in_one_letter_is_refused(cloud: RunningCloud, account: str) -> None:
    forged = token(cloud, reported(account)).replace(".sa-", ".xa-")
    assert httpx.get(jobs_door(cloud) + JOBS, headers={"authorization": f"Bearer {forged}"}).status_code == 401
