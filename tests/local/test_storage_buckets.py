"""Buckets and their IAM policies, through the official client."""

from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import storage

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client


def test_a_new_bucket_has_googles_defaults(client: storage.Client) -> None:
    created = client.create_bucket("beaver-defaults")
    found = client.get_bucket("beaver-defaults")
    for bucket in (created, found):
        assert (bucket.location, bucket.location_type, bucket.storage_class) == ("US", "multi-region", "STANDARD")
        assert (bucket.metageneration, bucket.etag) == (1, "CAE=")
        assert (bucket.versioning_enabled, bucket.labels, list(bucket.lifecycle_rules)) == (False, {}, [])
        assert bucket.iam_configuration.public_access_prevention == "inherited"
        assert not bucket.iam_configuration.uniform_bucket_level_access_enabled
        assert int(bucket.soft_delete_policy.retention_duration_seconds) == 7 * 86400
        assert bucket.project_number
        assert bucket.time_created


def test_a_bucket_keeps_what_it_was_created_with(client: storage.Client) -> None:
    bucket = client.bucket("beaver-full")
    bucket.storage_class, bucket.labels, bucket.versioning_enabled = "NEARLINE", {"team": "dams"}, True
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.add_lifecycle_delete_rule(age=30, matches_prefix=["tmp/"])
    bucket.create(location="europe-west4")
    found = client.get_bucket("beaver-full")
    assert (found.location, found.location_type, found.storage_class) == ("EUROPE-WEST4", "region", "NEARLINE")
    assert (found.labels, found.versioning_enabled) == ({"team": "dams"}, True)
    assert found.iam_configuration.uniform_bucket_level_access_enabled
    assert found.iam_configuration.uniform_bucket_level_access_locked_time > found.time_created
    assert found.iam_configuration.public_access_prevention == "enforced"
    rules = [{"action": {"type": "Delete"}, "condition": {"age": 30, "matchesPrefix": ["tmp/"]}}]
    assert [dict(rule) for rule in found.lifecycle_rules] == rules


def test_a_second_bucket_of_the_name_is_409(client: storage.Client, bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.Conflict, match="you already own it"):
        client.create_bucket(bucket.name)


@pytest.mark.parametrize(
    "name",
    ["ab", "Upper", "under_", "-dash", "google-like", "goog-x", "192.168.5.4", "a" * 64, "a b", "x..y", "ümlaut"],
)
def test_a_bad_name_is_refused(http: httpx.Client, name: str) -> None:
    answer = http.post("/storage/v1/b?project=p", json={"name": name})
    assert (answer.status_code, "Invalid bucket name" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"location": "the moon"}, 400),
        ({"location": "mars-central1"}, 400),
        ({"storageClass": "HOT"}, 400),
        ({"softDeletePolicy": {"retentionDurationSeconds": 60}}, 400),
        ({"labels": {"n": 1}}, 400),
        ({"labels": {"Team": "dams"}}, 400),
        ({"labels": {"team": "x" * 64}}, 400),
        ({"labels": {f"n{number}": "" for number in range(65)}}, 400),
        ({"lifecycle": {"rule": [{"action": {"type": "Delete"}}]}}, 400),
        ({"lifecycle": {"rule": [{"action": {"type": "Explode"}, "condition": {"age": 1}}]}}, 400),
        ({"lifecycle": {"rule": [{"action": {"type": "SetStorageClass"}, "condition": {"age": 1}}]}}, 400),
        ({"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"days": 1}}]}}, 400),
        ({"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": -1}}]}}, 400),
        ({"versioning": True}, 400),
        ({"iamConfiguration": {"publicAccessPrevention": "maybe"}}, 400),
        ({"acl": [{"entity": "allUsers", "role": "READER"}]}, 501),
        ({"billing": {"requesterPays": True}}, 501),
        ({"encryption": {"defaultKmsKeyName": "k"}}, 501),
        ({"hierarchicalNamespace": {"enabled": True}}, 501),
        ({"versionning": {"enabled": True}}, 501),
    ],
)
def test_what_a_bucket_cannot_be_is_refused(http: httpx.Client, body: dict[str, Any], status: int) -> None:
    answer = http.post("/storage/v1/b?project=p", json={"name": "beaver-refused", **body})
    assert answer.status_code == status
    assert http.get("/storage/v1/b/beaver-refused").status_code == 404


def test_buckets_are_listed_by_project_and_prefix_in_pages(client: storage.Client) -> None:
    for number in range(3):
        client.create_bucket(f"listed-{number}", project="lake-project")
    client.create_bucket("other-3", project="lake-project")
    pages = client.list_buckets(project="lake-project", prefix="listed-", page_size=2)
    assert [bucket.name for bucket in pages] == ["listed-0", "listed-1", "listed-2"]
    assert list(client.list_buckets(project="empty-project")) == []


def test_a_patch_merges_and_null_removes(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "1", "b": "2"}
    bucket.patch()
    changed = client.get_bucket(bucket.name)
    labels = changed.labels
    labels.pop("a")
    labels["c"] = "3"
    changed.labels = labels
    changed.versioning_enabled = True
    changed.patch()
    found = client.get_bucket(bucket.name)
    assert (found.labels, found.versioning_enabled, found.metageneration) == ({"b": "2", "c": "3"}, True, 3)
    assert found.updated >= found.time_created


def test_an_update_replaces(client: storage.Client, bucket: storage.Bucket, http: httpx.Client) -> None:
    bucket.labels = {"a": "1"}
    bucket.update()
    assert http.put(f"/storage/v1/b/{bucket.name}", json={"versioning": {"enabled": True}}).status_code == 200
    found = client.get_bucket(bucket.name)
    assert (found.labels, found.versioning_enabled) == ({}, True)
    assert found.location == "EUROPE-NORTH1"


def test_lifecycle_rules_can_be_cleared(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.add_lifecycle_set_storage_class_rule("COLDLINE", age=5)
    bucket.patch()
    assert len(list(client.get_bucket(bucket.name).lifecycle_rules)) == 1
    bucket.clear_lifecycle_rules()
    bucket.patch()
    assert list(client.get_bucket(bucket.name).lifecycle_rules) == []


def test_a_bucket_does_not_move(bucket: storage.Bucket, http: httpx.Client) -> None:
    assert http.patch(f"/storage/v1/b/{bucket.name}", json={"location": "US"}).status_code == 400


def test_metageneration_conditions_are_checked(bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "1"}
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.patch(if_metageneration_match=2)
    bucket.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.delete(if_metageneration_match=1)
    with pytest.raises(exceptions.NotModified):
        bucket.reload(if_metageneration_not_match=2)


def test_only_an_empty_bucket_is_deleted(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.blob("it").upload_from_string("x")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    assert client.lookup_bucket(bucket.name) is None
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        bucket.delete()
    client.create_bucket(bucket.name)
    assert list(bucket.list_blobs(versions=True)) == list(bucket.list_blobs(soft_deleted=True)) == []


def test_a_policy_is_changed_by_compare_and_swap(bucket: storage.Bucket) -> None:
    mine, theirs = bucket.get_iam_policy(), bucket.get_iam_policy()
    viewer = {"role": "roles/storage.objectViewer", "members": {"user:ann@example.com"}}
    mine.bindings.append(viewer)
    bucket.set_iam_policy(mine)
    assert viewer in bucket.get_iam_policy().bindings
    theirs.bindings.clear()
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(theirs)


def test_conditional_bindings_need_version_3(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    condition = {"title": "t", "expression": "true"}
    policy.bindings.append({"role": "roles/storage.admin", "members": {"user:b@example.com"}, "condition": condition})
    with pytest.raises(exceptions.BadRequest, match="version 3"):
        bucket.set_iam_policy(policy)
    policy.version = 3
    bucket.set_iam_policy(policy)
    assert bucket.get_iam_policy(requested_policy_version=3).version == 3
    with pytest.raises(exceptions.BadRequest, match="version 3"):
        bucket.get_iam_policy(requested_policy_version=1)


def test_public_access_prevention_keeps_everybody_out(bucket: storage.Bucket) -> None:
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    policy = bucket.get_iam_policy()
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention"):
        bucket.set_iam_policy(policy)


def test_the_older_name_of_uniform_access_works(bucket: storage.Bucket, http: httpx.Client) -> None:
    path = f"/storage/v1/b/{bucket.name}"
    for enabled in (True, False):
        answer = http.patch(path, json={"iamConfiguration": {"bucketPolicyOnly": {"enabled": enabled}}}).json()
        assert answer["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is enabled


def test_the_owner_has_every_permission(bucket: storage.Bucket) -> None:
    asked = ["storage.objects.get", "storage.objects.create"]
    assert bucket.test_iam_permissions(asked) == asked


def test_acls_are_refused_unless_they_open_nothing(bucket: storage.Bucket) -> None:
    bucket.blob("it").upload_from_string("x", predefined_acl="projectPrivate")
    with pytest.raises(exceptions.MethodNotImplemented):
        bucket.acl.reload()
    with pytest.raises(exceptions.MethodNotImplemented):
        bucket.blob("it").upload_from_string("x", predefined_acl="publicRead")


def test_every_project_has_a_service_agent_of_its_own(client: storage.Client) -> None:
    first, second = (client.get_service_account_email(project=p) for p in ("otter-project", "vole-project"))
    assert first.startswith("service-")
    assert first != second
