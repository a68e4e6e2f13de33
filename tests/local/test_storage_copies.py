"""Objects made from objects, many calls in one request, and what other parts of the local cloud see."""

import dataclasses
import uuid
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import storage

from local.storage import Storage
from local.wire import CloudError

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client


@pytest.fixture
def source(bucket: storage.Bucket) -> storage.Blob:
    blob = bucket.blob("source.csv")
    blob.metadata = {"owner": "bo"}
    blob.upload_from_string("1,2\n", content_type="text/csv")
    return blob


def test_compose_joins_objects_in_the_order_given(bucket: storage.Bucket, source: storage.Blob) -> None:
    bucket.blob("second").upload_from_string("3,4\n")
    joined = bucket.blob("joined.csv")
    joined.content_type = "text/csv"
    joined.compose([source, bucket.blob("second"), source], if_generation_match=0)
    assert joined.download_as_text() == "1,2\n3,4\n1,2\n"
    assert (joined.component_count, joined.md5_hash, joined.content_type) == (3, None, "text/csv")
    again = bucket.blob("again")
    again.compose([joined, source])
    assert again.component_count == 4


def test_compose_checks_its_sources(bucket: storage.Bucket, source: storage.Blob) -> None:
    target = bucket.blob("joined")
    with pytest.raises(exceptions.NotFound, match="absent"):
        target.compose([source, bucket.blob("absent")])
    with pytest.raises(exceptions.PreconditionFailed):
        target.compose([source], if_source_generation_match=[source.generation + 1])
    with pytest.raises(exceptions.BadRequest, match="32"):
        target.compose([source] * 33)
    assert not target.exists()


def test_compose_can_delete_its_sources(bucket: storage.Bucket, source: storage.Blob, http: httpx.Client) -> None:
    body = {"sourceObjects": [{"name": "source.csv"}], "deleteSourceObjects": True}
    assert http.post(f"/storage/v1/b/{bucket.name}/o/joined/compose", json=body).status_code == 200
    assert [blob.name for blob in bucket.list_blobs()] == ["joined"]


def test_a_copy_keeps_content_and_metadata(
    bucket: storage.Bucket, source: storage.Blob, client: storage.Client
) -> None:
    other = client.create_bucket(f"other-{uuid.uuid4().hex[:8]}")
    copy = bucket.copy_blob(source, other, "copy.csv")
    assert (copy.bucket.name, copy.download_as_text()) == (other.name, "1,2\n")
    assert (copy.metadata, copy.content_type, copy.crc32c) == ({"owner": "bo"}, "text/csv", source.crc32c)
    assert copy.generation > source.generation
    source.delete()
    assert copy.download_as_text() == "1,2\n", "the copy does not depend on its source"


def test_the_xml_api_copies_content_and_metadata(
    bucket: storage.Bucket, client: storage.Client, http: httpx.Client
) -> None:
    source, other = bucket.blob("dir/ä b.csv"), client.create_bucket(f"{bucket.name}-other")
    source.metadata = {"owner": "bo"}
    source.upload_from_string("1,2\n", content_type="text/csv")
    named = {"x-goog-copy-source": quote(f"/{bucket.name}/dir/ä b.csv")}
    answer = http.put(f"/{other.name}/copy.csv", headers=named)
    copy = other.get_blob("copy.csv")
    assert (copy.download_as_text(), copy.metadata, copy.content_type) == ("1,2\n", {"owner": "bo"}, "text/csv")
    assert f"<ETag>{answer.headers['etag']}</ETag></CopyObjectResult>" in answer.text
    assert answer.headers["x-goog-generation"] == str(copy.generation)
    own = {"x-goog-metadata-directive": "REPLACE", "x-goog-meta-owner": "cy", "content-type": "text/x"}
    http.put(f"/{other.name}/own.csv", headers=named | own)
    assert (other.get_blob("own.csv").metadata, other.get_blob("own.csv").content_type) == ({"owner": "cy"}, "text/x")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-goog-if-generation-match": "0"}, 412, "PreconditionFailed"),
        ({"x-goog-copy-source-if-generation-match": "1"}, 412, "PreconditionFailed"),
        ({"x-goog-copy-source-if-metageneration-match": "2"}, 412, "PreconditionFailed"),
        ({"x-goog-copy-source-generation": "1"}, 404, "NoSuchKey"),
        ({"x-goog-copy-source": "{bucket}/absent"}, 404, "NoSuchKey"),
        ({"x-goog-copy-source": "no-such-bucket/source.csv"}, 404, "NoSuchBucket"),
        ({"x-goog-copy-source": "{bucket}/old.csv"}, 400, "InvalidArgument"),
        ({"x-goog-copy-source": "{bucket}"}, 400, "InvalidArgument"),
        ({"x-goog-metadata-directive": "MERGE"}, 400, "InvalidArgument"),
        ({"if-match": "e"}, 501, "NotImplemented"),
    ],
)
def test_a_copy_of_the_xml_api_is_refused_and_leaves_what_was_there(
    bucket: storage.Bucket, source: storage.Blob, http: httpx.Client, headers: dict[str, str], status: int, code: str
) -> None:
    bucket.blob("old.csv").upload_from_string("old")
    given = {"x-goog-copy-source": f"{bucket.name}/source.csv"} | headers
    answer = http.put(
        f"/{bucket.name}/old.csv", headers={k: v.replace("{bucket}", bucket.name) for k, v in given.items()}
    )
    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    assert bucket.blob("old.csv").download_as_text() == "old"


def test_a_copy_of_the_xml_api_takes_no_content(
    bucket: storage.Bucket, source: storage.Blob, http: httpx.Client
) -> None:
    named = {"x-goog-copy-source": f"{bucket.name}/source.csv"}
    assert http.put(f"/{bucket.name}/x", headers=named, content=b"more").status_code == 400
    assert not bucket.blob("x").exists()


def test_a_rewrite_is_done_in_one_call_and_may_bring_its_own_metadata(
    bucket: storage.Bucket, source: storage.Blob
) -> None:
    plain = bucket.blob("plain")
    assert plain.rewrite(source) == (None, 4, 4)
    assert (plain.metadata, plain.content_type) == ({"owner": "bo"}, "text/csv")
    own = bucket.blob("own")
    own.metadata = {"owner": "cy"}
    own.rewrite(source)
    assert own.metadata == {"owner": "cy"}


def test_a_rewrite_between_locations_takes_the_calls_it_is_asked_to(
    bucket: storage.Bucket, client: storage.Client, http: httpx.Client
) -> None:
    source, far = bucket.blob("long"), client.create_bucket(f"{bucket.name}-far", location="us-east4")
    source.upload_from_string(bytes(range(256)) * 10_000)  # 2.4 MiB
    path, asked = (
        f"/storage/v1/b/{bucket.name}/o/long/rewriteTo/b/{far.name}/o/long",
        {"maxBytesRewrittenPerCall": 2**20},
    )
    answers = [http.post(path, params=asked).json()]
    while not answers[-1]["done"]:
        assert not far.blob("long").exists(), "nothing is seen before the last call"
        answers.append(http.post(path, params=asked | {"rewriteToken": answers[-1]["rewriteToken"]}).json())
    assert [int(a["totalBytesRewritten"]) for a in answers] == [2**20, 2**21, source.size]
    assert far.get_blob("long").crc32c == source.crc32c
    other = path.replace("/o/long/rewriteTo", "/o/source.csv/rewriteTo")
    bucket.blob("source.csv").upload_from_string("1,2")
    strange = http.post(other, params=asked | {"rewriteToken": answers[0]["rewriteToken"]})
    assert strange.status_code == httpx.codes.BAD_REQUEST
    assert http.post(path, params={"maxBytesRewrittenPerCall": 1000}).status_code == httpx.codes.BAD_REQUEST


def test_the_storage_class_changes_by_rewriting(bucket: storage.Bucket, source: storage.Blob) -> None:
    generation = source.generation
    source.update_storage_class("NEARLINE")
    found = bucket.get_blob("source.csv")
    assert (found.storage_class, found.content_type, found.download_as_text()) == ("NEARLINE", "text/csv", "1,2\n")
    assert found.generation > generation
    bucket.storage_class = "COLDLINE"
    bucket.patch()
    assert bucket.copy_blob(found, bucket, "copy").storage_class == "COLDLINE", "a copy takes its bucket's class"


def test_a_move_renames_in_one_step(bucket: storage.Bucket, source: storage.Blob) -> None:
    moved = bucket.move_blob(source, "moved.csv")
    assert (moved.download_as_text(), moved.metadata, moved.metageneration) == ("1,2\n", {"owner": "bo"}, 1)
    assert [blob.name for blob in bucket.list_blobs()] == ["moved.csv"]
    assert list(bucket.list_blobs(soft_deleted=True)) == []
    with pytest.raises(exceptions.BadRequest, match="own name"):
        bucket.move_blob(moved, "moved.csv")


def test_a_batch_answers_each_call_on_its_own(client: storage.Client, bucket: storage.Bucket) -> None:
    for number in range(3):
        bucket.blob(f"o {number}").upload_from_string("x")
    labelled = bucket.blob("o 2")
    labelled.metadata = {"seen": "yes"}
    with client.batch(raise_exception=False) as batch:
        bucket.blob("o 0").delete()
        bucket.blob("absent").delete()
        bucket.blob("o 1").delete()
        labelled.patch()
    assert [answer.status_code for answer in batch._responses] == [204, 404, 204, 200]
    (left,) = bucket.list_blobs()
    assert (left.name, left.metadata) == ("o 2", {"seen": "yes"})


def test_a_batch_refuses_downloads_and_broken_bodies(http: httpx.Client, bucket: storage.Bucket) -> None:
    bucket.blob("it").upload_from_string("x")
    call = f"Content-Type: application/http\r\n\r\nGET /storage/v1/b/{bucket.name}/o/it?alt=media HTTP/1.1\r\n\r\n"
    headers = {"content-type": "multipart/mixed; boundary=b"}
    answer = http.post("/batch/storage/v1", content=f"--b\r\n{call}\r\n--b--", headers=headers)
    assert (answer.status_code, "HTTP/1.1 501" in answer.text) == (200, True)
    assert http.post("/batch/storage/v1", content=b"{}", headers={"content-type": "text/plain"}).status_code == 400


@pytest.fixture
def local(tmp_path: Path) -> Storage:
    """Cloud Storage in this process, as the warehouse and the images use it."""
    storage_ = Storage(tmp_path / "storage")
    storage_.buckets.create("p", {"name": "inside-bucket"})
    return storage_


def put(local: Storage, tmp_path: Path, name: str, text: str, if_generation_match: int | None = None) -> int:
    file = tmp_path / "moved-in"
    file.write_text(text)
    stored = local.put_file(
        "inside-bucket", name, file, content_type="text/csv", if_generation_match=if_generation_match
    )
    assert not file.exists(), "the file is taken"
    return stored.generation


def test_a_file_put_inside_is_found_with_its_path(local: Storage, tmp_path: Path) -> None:
    first = put(local, tmp_path, "in/a.csv", "hello")
    found = local.find("inside-bucket", "in/a.csv")
    assert found.path.read_text() == "hello"
    assert (found.generation, found.size, found.content_type) == (first, 5, "text/csv")
    assert (found.md5, found.crc32c) == ("XUFAKrxLKna5cZ2REBfFkg==", "mnG7TA==")
    put(local, tmp_path, "in/a.csv", "other")
    with pytest.raises(CloudError, match="No such object"):
        local.find("inside-bucket", "in/a.csv", first)
    with pytest.raises(CloudError, match="pre-conditions"):
        put(local, tmp_path, "in/a.csv", "third", if_generation_match=0)
    assert local.find("inside-bucket", "in/a.csv").path.read_text() == "other"


def test_an_asterisk_in_an_address_stands_for_any_text(local: Storage, tmp_path: Path) -> None:
    for name in ("in/1.csv", "in/x/2.csv", "in/3.txt", "other/4.csv", "in/*.csv"):
        put(local, tmp_path, name, "x")
    assert [found.name for found in local.glob("gs://inside-bucket/in/*.csv")] == ["in/*.csv", "in/1.csv", "in/x/2.csv"]
    assert [found.name for found in local.glob("gs://inside-bucket/in/3.txt")] == ["in/3.txt"]
    assert local.glob("gs://inside-bucket/nothing*") == []
    with pytest.raises(CloudError, match="gs://BUCKET/NAME"):
        local.glob("inside-bucket/in")
    with pytest.raises(CloudError, match="bucket does not exist"):
        local.glob("gs://absent-bucket/in")


def test_a_stored_object_cannot_be_altered(local: Storage, tmp_path: Path) -> None:
    put(local, tmp_path, "a", "x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        local.find("inside-bucket", "a").size = 5  # type: ignore[misc]  # that it is refused is the point
