"""Buckets and objects as the program declares them, asked as the engine asks."""

import httpx

from local.provider.values import UNKNOWN, Asset, Secret
from tests.conftest import RunningCloud

from .client import BUCKET, Client, bucket, refused

OBJECT = "gcp:storage/bucketObject:BucketObject"


def test_a_location_in_other_capitals_is_the_same_location(client: Client) -> None:
    assert client.diff(BUCKET, {"location": "us"}, {"location": "US"}) == {}


def test_a_preview_makes_nothing_and_knows_only_what_was_asked_for(client: Client, cloud: RunningCloud) -> None:
    id, outputs = client.create(BUCKET, {"name": "only-planned", "location": "EU"}, preview=True)
    assert id == ""
    assert outputs["name"] == "only-planned"
    assert outputs["url"] is UNKNOWN
    assert outputs["project"] == "test-project"
    assert httpx.get(f"{cloud.url}/storage/v1/b/only-planned").status_code == 404


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
