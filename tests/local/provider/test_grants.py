"""Grants need what they open and whom they name, as on the platform."""

import pytest

from tests.conftest import RunningCloud

from .client import BUCKET, Client, account, bucket, refused

BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
JOB_GRANT = "gcp:cloudrunv2/jobIamMember:JobIamMember"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"


def test_a_grant_needs_its_resource(client: Client) -> None:
    email = account(client, "grantee-one")
    grant = {"bucket": "no-such-bucket", "role": "roles/storage.objectUser", "member": f"serviceAccount:{email}"}
    assert "'b/no-such-bucket' does not exist" in refused(lambda: client.create(BUCKET_GRANT, grant))


def test_a_grant_needs_its_member(client: Client) -> None:
    email = "nobody@test-project.iam.gserviceaccount.com"
    grant = {"project": "test-project", "role": "roles/run.viewer", "member": f"serviceAccount:{email}"}
    assert f"Service account '{email}' does not exist" in refused(lambda: client.create(PROJECT_GRANT, grant))


def test_a_grant_may_name_a_group_or_an_account_of_another_project(client: Client) -> None:
    for member in ("group:team@example.com", "serviceAccount:x@other.iam.gserviceaccount.com"):
        client.create(PROJECT_GRANT, {"project": "test-project", "role": "roles/run.viewer", "member": member})


def test_the_same_grant_twice_is_one_grant(client: Client, cloud: RunningCloud) -> None:
    grant = {"project": "test-project", "role": "roles/run.viewer", "member": "user:a@example.com"}
    first, second = (client.create(PROJECT_GRANT, grant)[0] for _ in range(2))
    assert first == second == "test-project/roles/run.viewer/user:a@example.com"


def test_a_grant_ends_with_its_bucket(client: Client) -> None:
    outputs = bucket(client, "soon-gone")
    grant = {"bucket": "soon-gone", "role": "roles/storage.objectUser", "member": "user:a@example.com"}
    id, granted = client.create(BUCKET_GRANT, grant)
    assert client.read(BUCKET_GRANT, id, grant, granted)
    client.delete(BUCKET, "soon-gone", outputs)
    assert client.read(BUCKET_GRANT, id, grant, granted) is None


@pytest.mark.parametrize(
    ("wrong", "place"),
    [({"role": "run.viewer"}, "role"), ({"member": "me@example.com"}, "member")],
)
def test_a_role_or_member_without_its_form_is_refused(client: Client, wrong: dict[str, str], place: str) -> None:
    grant = {"project": "test-project", "role": "roles/run.viewer", "member": "user:a@example.com", **wrong}
    assert client.refusals(PROJECT_GRANT, grant)[0].startswith(f"{place}: ")


def test_a_grant_on_a_job_must_name_the_job(client: Client) -> None:
    grant = {"role": "roles/run.viewer", "member": "user:a@example.com", "location": "europe-west6"}
    assert client.refusals(JOB_GRANT, grant)[0].startswith("name: ")


def test_every_part_of_a_grant_replaces_it(client: Client) -> None:
    old = {"project": "test-project", "role": "roles/run.viewer", "member": "user:a@example.com"}
    for name, value in {"project": "p2", "role": "roles/run.admin", "member": "user:b@example.com"}.items():
        assert client.diff(PROJECT_GRANT, old, {**old, name: value}) == {name: True}


def test_a_role_of_which_nothing_is_known_is_refused_by_its_name(client: Client) -> None:
    grant = {"project": "test-project", "role": "roles/ml.admin", "member": "user:a@example.com"}
    [reason] = client.refusals(PROJECT_GRANT, grant)
    assert reason.startswith("role: Role 'roles/ml.admin' is not known to the local cloud")
    assert "local/iam/roles.toml" in reason


def test_a_role_that_exists_on_projects_only_is_refused_elsewhere(client: Client) -> None:
    grant = {"bucket": "any", "role": "roles/composer.worker", "member": "user:a@example.com"}
    assert "exists on projects only" in client.refusals(BUCKET_GRANT, grant)[0]
    assert not client.refusals(PROJECT_GRANT, {"project": "p", "role": grant["role"], "member": grant["member"]})


@pytest.mark.parametrize(
    ("expression", "refusal"),
    [
        ("resource.name.startsWith('projects/_/buckets/b/objects/out/')", None),
        ("request.time < timestamp('2030-01-01T00:00:00Z')", None),
        ("request.time.getDayOfWeek('UTC') == 1", "'request.time.getDayOfWeek' is not understood"),
        ("resource.name.startsWith('a'", "cannot be read as a condition"),
    ],
)
def test_a_condition_is_understood_or_refused(client: Client, expression: str, refusal: str | None) -> None:
    grant = {"bucket": "any", "role": "roles/storage.objectUser", "member": "user:a@example.com"}
    grant |= {"condition": {"title": "some", "expression": expression}}  # type: ignore[dict-item]  # as the engine sends it
    reasons = client.refusals(BUCKET_GRANT, grant)
    assert (
        (not reasons)
        if refusal is None
        else (refusal in reasons[0] and reasons[0].startswith("condition.expression: "))
    )
