"""Cloud Run jobs as the program declares them, asked as the engine asks."""

from typing import Any

import httpx

from tests.conftest import RunningCloud

from .client import Client, refused

JOB = "gcp:cloudrunv2/job:Job"
JOB_GRANT = "gcp:cloudrunv2/jobIamMember:JobIamMember"


def job(name: str, **task: Any) -> dict[str, Any]:
    container = {
        "image": "europe-west6-docker.pkg.dev/test-project/models/churn@sha256:" + "0" * 64,
        "args": ["apply"],
        "commands": ["python"],
        "envs": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resources": {"limits": {"cpu": "2", "memory": "4Gi"}},
    }
    template = {"taskCount": 1, "template": {"containers": [container], "timeout": "600s", "maxRetries": 1, **task}}
    return {"name": name, "location": "europe-west6", "template": template, "deletionProtection": False}


def test_a_job_is_what_was_declared(client: Client, cloud: RunningCloud) -> None:
    id, outputs = client.create(JOB, job("declared-job"))
    assert id == "projects/test-project/locations/europe-west6/jobs/declared-job"
    task = httpx.get(f"{cloud.url}/v2/{id}").json()["template"]["template"]
    assert task["maxRetries"] == 1
    assert task["containers"][0]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert task["containers"][0]["command"] == ["python"]
    found = client.read(JOB, id, job("declared-job"), outputs)
    assert found
    assert client.diff(JOB, found[0], job("declared-job"), found[1]) == {}


def test_a_job_that_somebody_changed_is_seen_and_put_right(client: Client, cloud: RunningCloud) -> None:
    wanted = job("changed-job")
    id, outputs = client.create(JOB, wanted)
    resource = httpx.get(f"{cloud.url}/v2/{id}").json()
    resource["template"]["template"]["containers"][0]["env"][1]["value"] = "theirs"
    httpx.patch(f"{cloud.url}/v2/{id}", json=resource).raise_for_status()
    found = client.read(JOB, id, wanted, outputs)
    assert found
    assert client.diff(JOB, found[0], wanted, found[1]) == {"template.template.containers[0].envs[1].value": False}
    client.update(JOB, id, found[0], wanted, found[1])
    again = client.read(JOB, id, wanted, outputs)
    assert again
    assert client.diff(JOB, again[0], wanted, again[1]) == {}


def test_a_job_keeps_nothing_that_is_declared_no_more(client: Client, cloud: RunningCloud) -> None:
    old = job("shrunk-job") | {"labels": {"team": "science"}, "annotations": {"why": "x"}}
    id, outputs = client.create(JOB, old)
    client.update(JOB, id, old, job("shrunk-job"), outputs)
    real = httpx.get(f"{cloud.url}/v2/{id}").json()
    assert real["labels"] == {"goog-pulumi-provisioned": "true"}
    assert not real.get("annotations")


def test_a_job_is_protected_until_the_stack_says_otherwise(client: Client, cloud: RunningCloud) -> None:
    inputs = {name: value for name, value in job("protected-job").items() if name != "deletionProtection"}
    id, outputs = client.create(JOB, inputs)
    assert "deletionProtection" in refused(lambda: client.delete(JOB, id, outputs))
    freed = client.update(JOB, id, inputs, job("protected-job"), outputs)
    client.delete(JOB, id, freed)
    assert httpx.get(f"{cloud.url}/v2/{id}").status_code == 404


def test_what_cloud_run_refuses_is_said_in_its_words(client: Client) -> None:
    assert "template.template.timeout" in refused(lambda: client.create(JOB, job("impossible", timeout="soon")))


def test_a_grant_on_a_job_needs_the_job(client: Client) -> None:
    grant = {"role": "roles/run.viewer", "member": "user:a@example.com", "location": "europe-west6", "name": "granted"}
    assert "does not exist" in refused(lambda: client.create(JOB_GRANT, grant))
    client.create(JOB, job("granted"))
    assert client.create(JOB_GRANT, grant)[0].endswith("/jobs/granted/roles/run.viewer/user:a@example.com")
