"""Objects of Cloud Storage, through the official client: what is stored comes back, under the conditions asked for."""

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import storage

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client

NAMES = [
    "plain.csv", "a/b/c.parquet", "with space & plus+.txt", "hash#tag?query", "100%2Fencoded", "a/../b/./c", "//double",
    "Ünïcödé/日本語/🦦", "back\\slash:colon*", "trailing/", "x" * 1024, "é" * 512,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_legal_name_comes_back_as_it_was(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string(name.encode(), content_type="text/plain")
    found = bucket.get_blob(name)
    assert found.name == name
    assert found.download_as_bytes() == name.encode()
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    found.delete()
    assert bucket.get_blob(name) is None


@pytest.mark.parametrize("name", ["", "x" * 1025, "line\nbreak", ".", "..", ".well-known/acme-challenge/x"])
def test_an_illegal_name_is_refused(bucket: storage.Bucket, http: httpx.Client, name: str) -> None:
    upload = f"/upload/storage/v1/b/{bucket.name}/o"
    assert http.post(upload, params={"uploadType": "media", "name": name}, content=b"x").status_code == 400


def test_a_name_and_its_extension_with_a_slash_are_two_objects(bucket: storage.Bucket) -> None:
    for name in ("otter", "otter/pup", "otter/pup/"):
        bucket.blob(name).upload_from_string(name)
    assert {blob.name: blob.download_as_text() for blob in bucket.list_blobs()} == {
        name: name for name in ("otter", "otter/pup", "otter/pup/")
    }


def test_an_upload_answers_everything_that_google_tells_about_an_object(bucket: storage.Bucket) -> None:
    blob = bucket.blob("report.csv")
    blob.metadata, blob.cache_control, blob.custom_time = {"owner": "ann"}, "no-store", datetime(2024, 2, 3, tzinfo=UTC)
    blob.upload_from_string("hello", content_type="text/csv")
    blob.reload()
    assert (blob.size, blob.content_type, blob.storage_class) == (5, "text/csv", "STANDARD")
    assert (blob.md5_hash, blob.crc32c) == ("XUFAKrxLKna5cZ2REBfFkg==", "mnG7TA==")
    assert (blob.metadata, blob.cache_control, blob.metageneration) == ({"owner": "ann"}, "no-store", 1)
    assert blob.custom_time == datetime(2024, 2, 3, tzinfo=UTC)
    assert blob.id == f"{bucket.name}/report.csv/{blob.generation}"
    assert blob.etag
    assert blob.time_created == blob.updated
    assert datetime.now(UTC) - blob.time_created < timedelta(minutes=1)
    assert abs(blob.generation / 1e6 - blob.time_created.timestamp()) < 60, "generations are microseconds since 1970"


def test_what_is_missing_is_404_in_googles_words(bucket: storage.Bucket, client: storage.Client) -> None:
    with pytest.raises(exceptions.NotFound, match=f"No such object: {bucket.name}/absent"):
        bucket.blob("absent").download_as_bytes()
    for call in (bucket.blob("absent").reload, bucket.blob("absent").delete, bucket.blob("absent").patch):
        with pytest.raises(exceptions.NotFound, match=f"No such object: {bucket.name}/absent"):
            call()
    elsewhere = client.bucket("no-such-bucket").blob("x")
    for attempt in (
        elsewhere.reload,
        lambda: elsewhere.upload_from_string("x"),
        lambda: list(client.list_blobs("no-such-bucket")),
    ):
        with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
            attempt()


def test_of_sixteen_that_create_the_same_object_exactly_one_wins(bucket: storage.Bucket) -> None:
    def attempt(number: int) -> bool:
        try:
            bucket.blob("lock").upload_from_string(str(number), if_generation_match=0)
        except exceptions.PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(attempt, range(16)))
    assert won.count(True) == 1
    assert bucket.blob("lock").download_as_text() == str(won.index(True))


def test_compare_and_swap_loses_no_update(bucket: storage.Bucket) -> None:
    bucket.blob("counter").upload_from_string("0")

    def add(_: int) -> None:
        while True:
            current = bucket.get_blob("counter")
            try:
                value = int(current.download_as_text(if_generation_match=current.generation)) + 1
                bucket.blob("counter").upload_from_string(str(value), if_generation_match=current.generation)
            except (exceptions.PreconditionFailed, exceptions.NotFound):
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert bucket.blob("counter").download_as_text() == "12"


def test_generations_rise_strictly_over_all_objects(bucket: storage.Bucket) -> None:
    def upload(number: int) -> int:
        blob = bucket.blob(f"o{number % 3}")
        blob.upload_from_string("x")
        return int(blob.generation)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(upload, range(40)))) == 40
    assert upload(0) < upload(1) < upload(0)


CALLS: dict[str, Callable[..., Any]] = {
    "get": lambda blob, **conditions: blob.reload(**conditions),
    "download": lambda blob, **conditions: blob.download_as_bytes(**conditions),
    "patch": lambda blob, **conditions: blob.patch(**conditions),
    "update": lambda blob, **conditions: blob.update(**conditions),
    "delete": lambda blob, **conditions: blob.delete(**conditions),
    "upload": lambda blob, **conditions: blob.upload_from_string("new", **conditions),
    "rewrite": lambda blob, **conditions: blob.rewrite(blob.bucket.blob("source"), **conditions),
    "copy": lambda blob, **conditions: blob.bucket.copy_blob(
        blob.bucket.blob("source"), blob.bucket, "it", **conditions
    ),
    "move": lambda blob, **conditions: blob.bucket.move_blob(blob.bucket.blob("source"), "it", **conditions),
}


@pytest.mark.parametrize("verb", CALLS)
def test_every_verb_honours_every_precondition(bucket: storage.Bucket, verb: str) -> None:
    bucket.blob("source").upload_from_string("source")
    bucket.blob("it").upload_from_string("old")
    blob = bucket.get_blob("it")
    wrong: list[dict[str, int]] = [
        {"if_generation_match": 0}, {"if_generation_match": blob.generation + 1}, {"if_metageneration_match": 2},
        {"if_generation_not_match": blob.generation}, {"if_metageneration_not_match": 1},
    ]  # fmt: skip
    for conditions in wrong:
        refused: type[Exception] = exceptions.PreconditionFailed
        if verb in ("get", "download") and any("not" in name for name in conditions):
            refused = exceptions.NotModified
        with pytest.raises(refused):
            CALLS[verb](blob, **conditions)
    assert bucket.blob("it").download_as_text() == "old", "a refused request changes nothing"
    assert bucket.get_blob("it").metageneration == 1
    CALLS[verb](blob, if_generation_match=blob.generation, if_metageneration_match=1)


@pytest.mark.parametrize("verb", ["rewrite", "copy", "move"])
def test_preconditions_on_the_source_are_checked(bucket: storage.Bucket, verb: str) -> None:
    bucket.blob("source").upload_from_string("source")
    generation = bucket.get_blob("source").generation
    for conditions in ({"if_source_generation_match": 5}, {"if_source_generation_not_match": generation}):
        with pytest.raises(exceptions.PreconditionFailed):
            CALLS[verb](bucket.blob("it"), **conditions)
    assert bucket.get_blob("it") is None


def test_conditions_on_an_absent_object(bucket: storage.Bucket) -> None:
    for conditions in (
        {"if_generation_match": 7},
        {"if_generation_not_match": 0},
        {"if_generation_not_match": 7},
        {"if_metageneration_match": 1},
    ):
        with pytest.raises(exceptions.PreconditionFailed):
            bucket.blob("absent").upload_from_string("x", **conditions)


@pytest.mark.parametrize(
    ("asked", "part", "place"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-30", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_a_range_is_answered_with_its_place(
    bucket: storage.Bucket, http: httpx.Client, asked: str, part: bytes, place: str
) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    answer = http.get(f"/download/storage/v1/b/{bucket.name}/o/digits?alt=media", headers={"Range": asked})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, part, place)
    changed = http.get(str(answer.url), headers={"Range": asked, "If-Range": "another"})
    assert (changed.status_code, changed.content) == (200, b"0123456789")


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(bucket: storage.Bucket, http: httpx.Client, asked: str) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    answer = http.get(f"/storage/v1/b/{bucket.name}/o/digits?alt=media", headers={"Range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")


def test_a_download_carries_the_headers_that_clients_check(bucket: storage.Bucket, http: httpx.Client) -> None:
    blob = bucket.blob("page")
    blob.content_disposition, blob.content_language = 'attachment; filename="ä.txt"', "de"
    blob.upload_from_string("hello", content_type="text/plain")
    blob.reload()
    path = f"/storage/v1/b/{bucket.name}/o/page?alt=media"
    headers = http.get(path).headers
    assert headers["x-goog-hash"] == f"crc32c={blob.crc32c},md5={blob.md5_hash}"
    assert headers["x-goog-generation"] == str(blob.generation)
    assert headers["x-goog-metageneration"] == "1"
    assert headers["x-goog-stored-content-length"] == headers["content-length"] == "5"
    assert headers["x-goog-stored-content-encoding"] == "identity"
    assert headers["content-type"] == "text/plain"
    assert headers["content-language"] == "de"
    assert headers["etag"] == blob.etag
    head = http.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", "5")


def test_an_etag_saves_a_download_and_guards_one(bucket: storage.Bucket, http: httpx.Client) -> None:
    bucket.blob("page").upload_from_string("hello")
    etag = bucket.get_blob("page").etag
    for path in (f"/storage/v1/b/{bucket.name}/o/page", f"/storage/v1/b/{bucket.name}/o/page?alt=media"):
        assert http.get(path, headers={"If-None-Match": etag}).status_code == 304
        assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert http.get(path, headers={"If-Match": "other"}).status_code == 412
        assert http.get(path, headers={"If-Match": etag}).status_code == 200
        assert http.get(path, headers={"If-Modified-Since": "Wed, 01 Jan 2200 00:00:00 GMT"}).status_code == 304
        assert http.get(path, headers={"If-Unmodified-Since": "Wed, 01 Jan 2020 00:00:00 GMT"}).status_code == 412


def test_an_etag_guards_a_change_too(bucket: storage.Bucket, http: httpx.Client) -> None:
    bucket.blob("it").upload_from_string("x")
    path, etag = f"/storage/v1/b/{bucket.name}/o/it", bucket.get_blob("it").etag
    assert http.patch(path, json={}, headers={"If-Match": "other"}).status_code == 412
    assert http.delete(path, headers={"If-None-Match": etag}).status_code == 412
    assert http.patch(f"/storage/v1/b/{bucket.name}", json={}, headers={"If-Match": "other"}).status_code == 412
    upload = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=it"
    assert http.post(upload, content=b"y", headers={"If-None-Match": "*"}).status_code == 501
    assert http.delete(path, headers={"If-Match": etag}).status_code == 204


def test_gzip_is_unpacked_only_for_clients_that_do_not_take_it(bucket: storage.Bucket, http: httpx.Client) -> None:
    packed = gzip.compress(b"otter " * 100)
    blob = bucket.blob("packed")
    blob.content_encoding = "gzip"
    blob.upload_from_string(packed, content_type="text/plain")
    path = f"/storage/v1/b/{bucket.name}/o/packed?alt=media"
    plain = http.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.content == b"otter " * 100
    assert "content-encoding" not in plain.headers
    assert plain.headers["x-goog-stored-content-encoding"] == "gzip"
    assert bucket.blob("packed").download_as_bytes(raw_download=True) == packed
    assert bucket.blob("packed").download_as_bytes() == b"otter " * 100


def test_a_patch_merges_and_an_update_replaces(bucket: storage.Bucket, http: httpx.Client) -> None:
    blob = bucket.blob("it")
    blob.metadata, blob.cache_control = {"keep": "1", "drop": "2"}, "no-cache"
    blob.upload_from_string("x", content_type="text/csv")
    path = f"/storage/v1/b/{bucket.name}/o/it"
    patch = {"metadata": {"drop": None, "add": "3"}, "cacheControl": None, "contentLanguage": "fi"}
    patched = http.patch(path, json=patch).json()
    assert patched["metadata"] == {"keep": "1", "add": "3"}
    assert "cacheControl" not in patched
    assert (patched["contentType"], patched["contentLanguage"], patched["metageneration"]) == ("text/csv", "fi", "2")
    updated = http.put(path, json={"metadata": {"only": "4"}, "contentType": "text/plain"}).json()
    assert (updated["metadata"], updated["contentType"]) == ({"only": "4"}, "text/plain")
    assert "contentLanguage" not in updated
    assert updated["generation"] == patched["generation"]
    assert updated["storageClass"] == "STANDARD"
    assert updated["updated"] >= patched["updated"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"storageClass": "COLDLINE"}, 400),
        ({"customTime": "2023-01-01T00:00:00Z"}, 400),
        ({"customTime": None}, 400),
        ({"customTime": "yesterday"}, 400),
        ({"metadata": {"n": 5}}, 400),
        ({"metadata": {"k": "v" * 8192}}, 400),
        ({"contentType": 5}, 400),
        ({"acl": [{"entity": "allUsers", "role": "READER"}]}, 501),
        ({"retention": {"mode": "Locked"}}, 501),
        ({"contentTyp": "text/plain"}, 501),
    ],
)
def test_what_cannot_change_or_is_not_understood_is_refused(
    bucket: storage.Bucket, http: httpx.Client, body: dict[str, Any], status: int
) -> None:
    blob = bucket.blob("it")
    blob.custom_time = datetime(2024, 1, 1, tzinfo=UTC)
    blob.upload_from_string("x")
    assert http.patch(f"/storage/v1/b/{bucket.name}/o/it", json=body).status_code == status
    assert bucket.get_blob("it").metageneration == 1


@pytest.mark.parametrize(
    "call",
    ["o/it?userProjekt=x", "o/it?kmsKeyName=k", "o?filter=x", "o?matchGlob=a*&delimiter=/", "?enableAutoclass=1"],
)
def test_a_parameter_that_is_not_understood_is_refused(bucket: storage.Bucket, http: httpx.Client, call: str) -> None:
    bucket.blob("it").upload_from_string("x")
    answer = http.get(f"/storage/v1/b/{bucket.name}/{call}".replace("/?", "?"))
    assert answer.status_code == 501
    assert "does not support the query parameter" in answer.json()["error"]["message"]


def test_encryption_keys_are_refused(bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="x-goog-encryption"):
        bucket.blob("secret", encryption_key=b"k" * 32).upload_from_string("x")


@pytest.mark.parametrize("hold", ["temporary_hold", "event_based_hold"])
def test_a_hold_protects_from_deletion_and_overwriting(bucket: storage.Bucket, hold: str) -> None:
    blob = bucket.blob("evidence")
    blob.upload_from_string("kept")
    setattr(blob, hold, True)
    blob.patch()
    for attempt in (blob.delete, lambda: bucket.blob("evidence").upload_from_string("other")):
        with pytest.raises(exceptions.Forbidden, match="hold"):
            attempt()
    setattr(blob, hold, False)
    blob.patch()
    blob.delete()


def test_a_retention_policy_protects_until_its_end(bucket: storage.Bucket) -> None:
    bucket.blob("ledger").upload_from_string("kept")
    bucket.retention_period = 3600
    bucket.patch()
    later = bucket.blob("later")
    later.upload_from_string("kept too")
    [listed, _] = bucket.list_blobs()
    for blob in (bucket.get_blob("ledger"), listed, later):
        assert blob.retention_expiration_time == blob.time_created + timedelta(hours=1)
    with pytest.raises(exceptions.Forbidden, match="retention policy"):
        bucket.blob("ledger").delete()
    bucket.retention_period = None
    bucket.patch()
    assert bucket.get_blob("ledger").retention_expiration_time is None
    bucket.blob("ledger").delete()


def test_with_versioning_nothing_is_lost_until_a_generation_is_deleted(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    for text in ("one", "two"):
        bucket.blob("it").upload_from_string(text)
    bucket.blob("it").delete()
    assert bucket.get_blob("it") is None
    assert list(bucket.list_blobs()) == []
    first, second = bucket.list_blobs(versions=True)
    assert (first.download_as_text(), second.download_as_text()) == ("one", "two")
    assert first.generation < second.generation
    assert first.time_deleted
    assert bucket.blob("it", generation=first.generation).exists()
    bucket.blob("it", generation=first.generation).delete()
    assert [blob.generation for blob in bucket.list_blobs(versions=True)] == [second.generation]
    copy = bucket.copy_blob(bucket.blob("it"), bucket, source_generation=second.generation)
    assert copy.download_as_text() == "two", "an old version is brought back by copying it"


def test_without_versioning_a_deleted_object_can_be_restored(bucket: storage.Bucket) -> None:
    bucket.blob("it").upload_from_string("precious")
    generation = bucket.get_blob("it").generation
    bucket.blob("it").delete()
    (gone,) = bucket.list_blobs(soft_deleted=True)
    assert (gone.generation, gone.hard_delete_time - gone.soft_delete_time) == (generation, timedelta(days=7))
    restored = bucket.restore_blob("it", generation=generation)
    assert restored.generation > generation
    assert bucket.blob("it").download_as_text() == "precious"


def test_without_soft_deletion_a_deleted_object_is_gone(bucket: storage.Bucket) -> None:
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    bucket.blob("it").upload_from_string("x")
    generation = bucket.get_blob("it").generation
    bucket.blob("it").delete()
    assert list(bucket.list_blobs(soft_deleted=True)) == []
    with pytest.raises(exceptions.NotFound):
        bucket.restore_blob("it", generation=generation)
