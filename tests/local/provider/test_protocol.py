"""The provider's answers that concern every type: names, settings, what it does not have."""

import httpx
import pytest

from local.provider.values import Secret
from tests.conftest import RunningCloud

from .client import ACCOUNT, BUCKET, Client, bucket, refused

REPOSITORY = "gcp:artifactregistry/repository:Repository"
SERVICE = "gcp:projects/service:Service"


def test_a_thing_without_a_name_gets_one_and_keeps_it(client: Client) -> None:
    first = client.check(BUCKET, {"location": "US"}, seed=b"one")
    assert first["name"].startswith("thing-"), "the logical name and a random ending"
    assert client.check(BUCKET, {"location": "EU"}, before=first, seed=b"two")["name"] == first["name"]
    assert client.check(BUCKET, {"location": "EU"}, seed=b"two")["name"] != first["name"], "a replacement is another"


def test_only_a_thing_with_a_fixed_name_is_deleted_before_it_is_replaced(client: Client) -> None:
    named = {"location": "US"}
    ours = client.check(BUCKET, named, seed=b"one")
    moved = client.check(BUCKET, {"location": "EU"}, before=ours)
    assert not client.difference(BUCKET, ours, moved, {}).deleteBeforeReplace
    before, after = ({"location": place, "name": "fixed"} for place in ("US", "EU"))
    assert client.difference(BUCKET, before, after, {}).deleteBeforeReplace, "its name is taken until then"


def test_the_project_of_the_provider_is_part_of_what_a_resource_is(cloud: RunningCloud) -> None:
    elsewhere = Client(cloud.env, project="other-project")
    inputs = {"repositoryId": "images", "format": "DOCKER"}
    changes = elsewhere.diff(REPOSITORY, inputs, inputs, {"project": "test-project", "location": "europe-west6"})
    assert changes == {"project": True}


def test_a_project_written_out_is_the_same_as_the_providers_own(client: Client) -> None:
    inputs = {"repositoryId": "images", "format": "DOCKER"}
    written, outputs = inputs | {"project": "test-project"}, {"project": "test-project", "location": "europe-west6"}
    assert client.diff(REPOSITORY, written, inputs, outputs) == {}
    assert client.diff(REPOSITORY, inputs, written, outputs) == {}


def test_two_provider_instances_keep_their_settings_apart(cloud: RunningCloud, client: Client) -> None:
    other = Client(cloud.env, project="other-project", region="asia-south2")
    for asked, project in ((client, "test-project"), (other, "other-project"), (client, "test-project")):
        assert asked.invoke("gcp:organizations/getClientConfig:getClientConfig")["project"] == project


def test_labels_of_the_provider_are_put_on_everything_with_labels(cloud: RunningCloud) -> None:
    labelled = Client(cloud.env, defaultLabels='{"team": "science", "cost": "1"}')
    outputs = bucket(labelled, "labels-everywhere", labels={"cost": "2"})
    assert outputs["effectiveLabels"] == {"goog-pulumi-provisioned": "true", "team": "science", "cost": "2"}
    real = httpx.get(f"{cloud.url}/storage/v1/b/labels-everywhere").json()["labels"]
    assert real == outputs["effectiveLabels"]
    relabelled = Client(cloud.env, defaultLabels='{"team": "art"}')
    inputs = {"name": "labels-everywhere", "location": "EUROPE-WEST6", "labels": {"cost": "2"}}
    assert relabelled.diff(BUCKET, inputs, inputs, outputs) == {"pulumiLabels": False}
    relabelled.update(BUCKET, "labels-everywhere", inputs, inputs, outputs)
    assert "science" not in httpx.get(f"{cloud.url}/storage/v1/b/labels-everywhere").text


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"team": "A Team"}, {"team": "a" * 64}, {"1st": "a"}])
def test_labels_that_the_platform_refuses_are_refused(client: Client, labels: dict[str, str]) -> None:
    assert client.refusals(BUCKET, {"location": "EU", "labels": labels})[0].startswith("labels")


def test_a_type_of_the_platform_that_the_local_cloud_lacks_is_named_with_what_it_has(client: Client) -> None:
    text = refused(lambda: client.check("gcp:pubsub/topic:Topic", {}))
    assert "does not offer 'gcp:pubsub/topic:Topic'" in text
    assert BUCKET in text


def test_a_type_that_nobody_has_is_refused(client: Client) -> None:
    assert "no resource type" in refused(lambda: client.check("gcp:storage/buckt:Buckt", {}))


def test_a_function_that_the_local_cloud_lacks_is_refused(client: Client) -> None:
    assert "getZones" in refused(lambda: client.invoke("gcp:compute/getZones:getZones"))


def test_the_project_can_be_looked_up(client: Client) -> None:
    found = client.invoke("gcp:organizations/getProject:getProject")
    assert found["projectId"] == "test-project"
    assert found["number"].isdigit()


def test_what_is_declared_is_kept_without_secrets(client: Client, cloud: RunningCloud) -> None:
    client.create(SERVICE, {"service": Secret("run.googleapis.com")})
    client.create(ACCOUNT, {"accountId": "quiet", "description": Secret("do not tell")})
    kept = b"".join(file.read_bytes() for file in (cloud.folder / "declared").iterdir())
    assert b"quiet@test-project" in kept
    assert b"do not tell" not in kept
