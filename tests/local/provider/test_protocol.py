"""The provider's answers, asked as the engine asks, without the engine."""

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.provider.values import UNKNOWN, Asset, Secret
from tests.conftest import RunningCloud

from .client import Client, refused

ACCOUNT = "gcp:serviceaccount/account:Account"
BUCKET = "gcp:storage/bucket:Bucket"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
ENVIRONMENT = "gcp:composer/environment:Environment"
IMAGE = "docker-build:index:Image"
JOB = "gcp:cloudrunv2/job:Job"
JOB_GRANT = "gcp:cloudrunv2/jobIamMember:JobIamMember"
OBJECT = "gcp:storage/bucketObject:BucketObject"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
SERVICE = "gcp:projects/service:Service"


def account(client: Client, id: str) -> str:
    """Declares a service account and returns its e-mail."""
    return str(client.create(ACCOUNT, {"accountId": id})[1]["email"])


def bucket(client: Client, name: str, **more: Any) -> dict[str, Any]:
    """Makes a bucket and returns its outputs."""
    return client.create(BUCKET, {"name": name, "location": "EUROPE-WEST6", **more})[1]


def environment(name: str, bucket: str, account: str, image: str = "composer-3-airflow-3.3.1-build.2") -> Any:
    config = {"softwareConfig": {"imageVersion": image}, "nodeConfig": {"serviceAccount": account}}
    return {"name": name, "region": "europe-west6", "storageConfig": {"bucket": bucket}, "config": config}


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


def test_a_location_in_other_capitals_is_the_same_location(client: Client) -> None:
    assert client.diff(BUCKET, {"location": "us"}, {"location": "US"}) == {}


def test_the_project_of_the_provider_is_part_of_what_a_resource_is(cloud: RunningCloud) -> None:
    elsewhere = Client(cloud.env, project="other-project")
    inputs = {"repositoryId": "images", "format": "DOCKER"}
    changes = elsewhere.diff(REPOSITORY, inputs, inputs, {"project": "test-project", "location": "europe-west6"})
    assert changes == {"project": True}


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


def test_an_account_has_the_addresses_of_the_platform(client: Client) -> None:
    id, outputs = client.create(ACCOUNT, {"accountId": "churn-train"})
    assert outputs["email"] == "churn-train@test-project.iam.gserviceaccount.com"
    assert outputs["member"] == f"serviceAccount:{outputs['email']}"
    assert id == outputs["name"] == f"projects/test-project/serviceAccounts/{outputs['email']}"


def test_a_second_account_of_one_name_is_a_conflict_unless_the_program_says_so(client: Client) -> None:
    _, first = client.create(ACCOUNT, {"accountId": "twice"})
    assert "already exists" in refused(lambda: client.create(ACCOUNT, {"accountId": "twice"}))
    _, second = client.create(ACCOUNT, {"accountId": "twice", "createIgnoreAlreadyExists": True})
    assert second["uniqueId"] == first["uniqueId"]


def test_an_account_made_again_is_a_new_identity(client: Client) -> None:
    id, first = client.create(ACCOUNT, {"accountId": "reborn"})
    client.delete(ACCOUNT, id, first)
    assert client.create(ACCOUNT, {"accountId": "reborn"})[1]["uniqueId"] != first["uniqueId"]


@pytest.mark.parametrize("id", ["tiny", "With-Capitals", "a" * 31, "ends-with-", "under_score"])
def test_an_account_id_that_the_platform_refuses_is_refused_before_anything_is_made(client: Client, id: str) -> None:
    assert client.refusals(ACCOUNT, {"accountId": id})[0].startswith("accountId: ")


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"team": "A Team"}, {"team": "a" * 64}, {"1st": "a"}])
def test_labels_that_the_platform_refuses_are_refused(client: Client, labels: dict[str, str]) -> None:
    assert client.refusals(BUCKET, {"location": "EU", "labels": labels})[0].startswith("labels")


def test_a_declared_account_can_be_imported(client: Client) -> None:
    id, _ = client.create(ACCOUNT, {"accountId": "adopted-train", "displayName": "Adopted"})
    found = client.read(ACCOUNT, id, {}, {})
    assert found
    assert found[0] == {"accountId": "adopted-train", "displayName": "Adopted", "project": "test-project"}


def test_a_repository_tells_its_address(client: Client) -> None:
    _, outputs = client.create(REPOSITORY, {"repositoryId": "models", "format": "DOCKER"})
    assert outputs["registryUri"] == "europe-west6-docker.pkg.dev/test-project/models"


def test_a_preview_makes_nothing_and_knows_only_what_was_asked_for(client: Client, cloud: RunningCloud) -> None:
    id, outputs = client.create(BUCKET, {"name": "only-planned", "location": "EU"}, preview=True)
    assert id == ""
    assert outputs["name"] == "only-planned"
    assert outputs["url"] is UNKNOWN
    assert outputs["project"] == "test-project"
    assert httpx.get(f"{cloud.url}/storage/v1/b/only-planned").status_code == 404


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


def test_an_environment_tells_where_its_dags_lie(client: Client) -> None:
    bucket(client, "dags-a")
    _, outputs = client.create(ENVIRONMENT, environment("air", "dags-a", account(client, "airflow-a")))
    assert outputs["config"]["dagGcsPrefix"] == "gs://dags-a/dags"
    assert outputs["config"]["airflowUri"].endswith(".invalid"), "an address that answers nowhere, and says so"


def test_where_an_environments_dags_will_lie_is_unknown_in_a_preview(client: Client) -> None:
    _, outputs = client.create(ENVIRONMENT, environment("air", "dags-b", "airflow@x"), preview=True)
    assert outputs["config"]["dagGcsPrefix"] is UNKNOWN


def test_an_environment_needs_a_pinned_image(client: Client) -> None:
    wanted = environment("air", "dags-c", "airflow@x", image="composer-3-airflow-3")
    assert "no pinned build" in client.refusals(ENVIRONMENT, wanted)[0]


@pytest.mark.parametrize(
    ("end", "recurrence", "fits"),
    [
        ("20:00:00Z", "FREQ=WEEKLY;BYDAY=SA,SU", True),
        ("20:00:00Z", "FREQ=WEEKLY;BYDAY=SA", False),
        ("16:00:00Z", "FREQ=DAILY", True),
        ("20:00:00Z", "on weekends", False),
        ("soon", "FREQ=DAILY", False),
    ],
)
def test_an_environment_is_maintained_for_twelve_hours_a_week(
    client: Client, end: str, recurrence: str, fits: bool
) -> None:
    wanted = environment("air", "dags-m", "airflow@x")
    window = {"startTime": "2026-01-03T14:00:00Z", "endTime": f"2026-01-03T{end}", "recurrence": recurrence}
    wanted["config"]["maintenanceWindow"] = window
    assert [text.startswith("config.maintenanceWindow") for text in client.refusals(ENVIRONMENT, wanted)] == (
        [] if fits else [True]
    )


def test_an_environment_needs_a_bucket_of_its_own_in_its_region(client: Client) -> None:
    email = account(client, "airflow-d")
    assert "'dags-d' of storageConfig does not exist" in refused(
        lambda: client.create(ENVIRONMENT, environment("air-d", "dags-d", email))
    )
    client.create(BUCKET, {"name": "dags-d", "location": "US"})
    assert "it is in 'US'" in refused(lambda: client.create(ENVIRONMENT, environment("air-d", "dags-d", email)))
    bucket(client, "dags-e")
    client.create(ENVIRONMENT, environment("air-e", "dags-e", email))
    assert "already belongs" in refused(lambda: client.create(ENVIRONMENT, environment("air-f", "dags-e", email)))


def test_an_environment_does_not_change_airflows_major_version_in_place(client: Client) -> None:
    bucket(client, "dags-g")
    old = environment("air-g", "dags-g", account(client, "airflow-g"), image="composer-3-airflow-2.11.1-build.4")
    id, outputs = client.create(ENVIRONMENT, old)
    new = environment("air-g", "dags-g", "airflow-g@test-project.iam.gserviceaccount.com")
    assert "in place" in refused(lambda: client.update(ENVIRONMENT, id, old, new, outputs))


def test_the_account_of_an_environment_cannot_change(client: Client) -> None:
    old, new = (environment("air", "dags-h", email) for email in ("a@x", "b@x"))
    assert client.diff(ENVIRONMENT, old, new) == {"config.nodeConfig.serviceAccount": True}


def test_an_object_has_exactly_one_content(client: Client) -> None:
    text = Asset("asset", {"text": "x", "hash": "1"})
    assert "Exactly one" in client.refusals(OBJECT, {"bucket": "b", "name": "n"})[0]
    assert "Exactly one" in client.refusals(OBJECT, {"bucket": "b", "name": "n", "source": text, "content": "x"})[0]
    assert client.refusals(OBJECT, {"bucket": "b", "name": "n", "source": Secret(text)}) == []


def test_content_changes_an_object_in_place_and_a_source_replaces_it(client: Client) -> None:
    old, new = ({"bucket": "b", "name": "n", "content": text} for text in "xy")
    assert client.diff(OBJECT, old, new) == {"content": False}
    one, two = ({"bucket": "b", "name": "n", "source": Asset("asset", {"text": t, "hash": t})} for t in "xy")
    assert client.diff(OBJECT, one, two) == {"source": True}


def test_a_file_that_cannot_be_read_is_named(client: Client) -> None:
    bucket(client, "for-files")
    inputs = {"bucket": "for-files", "name": "n", "source": Asset("asset", {"path": "/no/such/file", "hash": "1"})}
    assert "'/no/such/file'" in refused(lambda: client.create(OBJECT, inputs))


def test_a_bucket_with_objects_goes_only_when_that_was_declared(client: Client) -> None:
    kept, forced = bucket(client, "kept-full"), bucket(client, "forced-full", forceDestroy=True)
    for name in ("kept-full", "forced-full"):
        client.create(OBJECT, {"bucket": name, "name": "a/b", "content": "x"})
    assert "not empty" in refused(lambda: client.delete(BUCKET, "kept-full", kept))
    client.delete(BUCKET, "forced-full", forced)
    assert client.read(BUCKET, "forced-full", {}, forced) is None


def test_deletion_policies_are_kept(client: Client, cloud: RunningCloud) -> None:
    prevented = bucket(client, "never-gone", deletionPolicy="PREVENT")
    assert "PREVENT" in refused(lambda: client.delete(BUCKET, "never-gone", prevented))
    client.delete(BUCKET, "left-alone", bucket(client, "left-alone", deletionPolicy="ABANDON"))
    assert httpx.get(f"{cloud.url}/storage/v1/b/left-alone").status_code == 200


def test_deleting_what_is_gone_is_no_error(client: Client, cloud: RunningCloud) -> None:
    outputs = bucket(client, "gone-before")
    httpx.delete(f"{cloud.url}/storage/v1/b/gone-before")
    client.delete(BUCKET, "gone-before", outputs)


def test_a_bucket_that_exists_can_be_imported(client: Client, cloud: RunningCloud) -> None:
    rule = {"action": {"type": "Delete"}, "condition": {"age": 3, "matchesPrefixes": ["tmp/"]}}
    bucket(client, "adopted", lifecycleRules=[rule], uniformBucketLevelAccess=True)
    found = client.read(BUCKET, "adopted", {}, {})
    assert found
    assert found[0]["lifecycleRules"] == [rule]
    assert found[0]["uniformBucketLevelAccess"] is True


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


def test_a_new_registry_password_is_no_change_of_an_image(client: Client) -> None:
    old, new = (
        {"push": True, "registries": [{"address": "r", "username": "u", "password": Secret(p)}], "context": UNKNOWN}
        for p in ("one", "two")
    )
    assert client.diff(IMAGE, old, new) == {}


def test_what_is_declared_is_kept_without_secrets(client: Client, cloud: RunningCloud) -> None:
    client.create(SERVICE, {"service": Secret("run.googleapis.com")})
    client.create(ACCOUNT, {"accountId": "quiet", "description": Secret("do not tell")})
    kept = b"".join(file.read_bytes() for file in (cloud.folder / "declared").iterdir())
    assert b"quiet@test-project" in kept
    assert b"do not tell" not in kept


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


@pytest.fixture
def image(tmp_path: Path) -> dict[str, Any]:
    """Inputs of an image of a model without dependencies."""
    for name, text in {
        ".dockerignore": "*\n!service\n!container\n",
        "container/Dockerfile": "FROM scratch\n",
        "container/requirements.txt": "",
        "service/__main__.py": "print(1)",
        "service/models/churn/requirements.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = {
        "context": {"location": str(tmp_path)},
        "dockerfile": {"location": str(tmp_path / "container/Dockerfile")},
    }
    return {"push": True, "buildArgs": {"MODEL": "churn"}, "tags": ["registry/churn:local"], **places}


def test_an_image_is_built_and_named_by_its_content(client: Client, cloud: RunningCloud, image: dict[str, Any]) -> None:
    id, outputs = client.create(IMAGE, image)
    assert outputs["digest"].startswith("sha256:")
    assert outputs["ref"] == f"registry/churn:local@{outputs['digest']}"
    assert (cloud.folder / "images" / outputs["digest"].removeprefix("sha256:")).is_dir()
    assert client.read(IMAGE, id, image, outputs)
    client.delete(IMAGE, id, outputs)
    assert client.read(IMAGE, id, image, outputs) is None


def test_an_image_changes_with_its_context_and_not_with_what_docker_ignores(
    client: Client, image: dict[str, Any], tmp_path: Path
) -> None:
    _, outputs = client.create(IMAGE, image)
    (tmp_path / "README.md").write_text("not in the image")
    assert client.diff(IMAGE, image, image, outputs) == {}
    (tmp_path / "service" / "__main__.py").write_text("print(2)")
    assert client.diff(IMAGE, image, image, outputs) == {"contextHash": False}
    assert client.update(IMAGE, outputs["digest"], image, image, outputs)["digest"] != outputs["digest"]


def test_a_registry_takes_its_images_along(client: Client, cloud: RunningCloud, image: dict[str, Any]) -> None:
    id, registry = client.create(REPOSITORY, {"repositoryId": "short-lived", "format": "DOCKER"})
    name, _ = client.create(IMAGE, image | {"tags": [f"{registry['registryUri']}/churn:local"]})
    client.delete(REPOSITORY, id, registry)
    rows = sqlite3.connect(cloud.folder / "declared" / "declared.sqlite").execute("SELECT id, properties FROM declared")
    assert not [row for row in rows if row[0] == name and "short-lived" in row[1]], "the program may retain it, not us"


def test_an_image_of_no_model_is_refused_with_the_folder(client: Client, image: dict[str, Any]) -> None:
    image["buildArgs"] = {"MODEL": "chrun"}
    assert "chrun" in refused(lambda: client.create(IMAGE, image))
