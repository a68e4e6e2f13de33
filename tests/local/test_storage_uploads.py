"""All ways into Cloud Storage: in one request, in resumable chunks, in parts; and that hashes are verified."""

import io
import json
import os
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage import transfer_manager

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client

CHUNK = 256 * 1024
DATA = random.Random(7).randbytes(3 * CHUNK + 1000)  # noqa: S311 - any bytes, but the same ones each time


def upload_path(bucket: storage.Bucket, kind: str, name: str = "it", **more: str) -> str:
    return str(httpx.URL(f"/upload/storage/v1/b/{bucket.name}/o", params={"uploadType": kind, "name": name, **more}))


def related(metadata: dict[str, Any], media: bytes, newline: bytes = b"\r\n", boundary: bytes = b"==b==") -> bytes:
    lines = [
        b"--" + boundary, b"Content-Type: application/json", b"", json.dumps(metadata).encode(),
        b"--" + boundary, b"Content-Type: image/png", b"", media,
        b"--" + boundary + b"--",
    ]  # fmt: skip
    return newline.join(lines)


def test_media_alone_needs_only_a_name(bucket: storage.Bucket, http: httpx.Client) -> None:
    answer = http.post(upload_path(bucket, "media"), content=b"abc", headers={"content-type": "text/x-otter"}).json()
    assert (answer["name"], answer["size"], answer["contentType"]) == ("it", "3", "text/x-otter")
    bare = http.post(upload_path(bucket, "media", "bare"), content=b"").json()
    assert (bare["size"], bare["contentType"], bare["md5Hash"]) == (
        "0",
        "application/octet-stream",
        "1B2M2Y8AsgTpgAmY7PhCfg==",
    )


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.parametrize("media", [b"", b"abc\r\n\n", b"--==b==x\r\nlooks like a boundary", bytes(range(256)) * 500])
def test_a_multipart_body_is_split_exactly(
    bucket: storage.Bucket, http: httpx.Client, newline: bytes, quote: str, media: bytes
) -> None:
    boundary = b"==b==" if quote else b"plain-boundary"
    headers = {"content-type": f"multipart/related; boundary={quote}{boundary.decode()}{quote}"}
    body = related({"name": "in-metadata", "metadata": {"k": "v"}}, media, newline, boundary)
    path = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    blob = bucket.get_blob("in-metadata")
    assert (blob.metadata, blob.content_type) == ({"k": "v"}, "image/png")
    assert blob.download_as_bytes() == media


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/related; boundary=other", related({}, b"x")),
        ("multipart/related", related({}, b"x")),
        ('multipart/related; boundary="==b=="', related({}, b"x")[:-4]),
        ('multipart/related; boundary="==b=="', b"--==b==\r\n\r\nnot json\r\n--==b==\r\n\r\nx\r\n--==b==--"),
        ('multipart/related; boundary="==b=="', b"--==b==\r\n\r\n{}"),
    ],
)
def test_a_broken_multipart_body_is_refused(
    bucket: storage.Bucket, http: httpx.Client, content_type: str, body: bytes
) -> None:
    answer = http.post(upload_path(bucket, "multipart"), content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert list(bucket.list_blobs()) == []


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"x-goog-hash": "crc32c=AAAAAA=="}, {}),
        ({"x-goog-hash": "crc32c=NZvg3A==, md5=AAAAAAAAAAAAAAAAAAAAAA=="}, {}),
        ({"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, {}),
        ({}, {"crc32c": "AAAAAA=="}),
        ({}, {"md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}),
    ],
)
def test_a_wrong_hash_is_refused_and_stores_nothing(
    bucket: storage.Bucket, http: httpx.Client, headers: dict[str, str], metadata: dict[str, str]
) -> None:
    multipart = {"content-type": 'multipart/related; boundary="==b=="'} | headers
    answer = http.post(upload_path(bucket, "multipart"), content=related(metadata, b"hello"), headers=multipart)
    assert answer.status_code == 400
    assert "doesn't match calculated" in answer.json()["error"]["message"]
    assert list(bucket.list_blobs()) == []


def test_right_hashes_pass(bucket: storage.Bucket, http: httpx.Client) -> None:
    headers = {"x-goog-hash": "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==", "content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}
    assert http.post(upload_path(bucket, "media"), content=b"hello", headers=headers).status_code == 200
    for checksum in ("md5", "crc32c"):
        bucket.blob("checked").upload_from_string("hello", checksum=checksum)


class Session:
    """A resumable upload by hand."""

    def __init__(self, http: httpx.Client, path: str, **headers: str) -> None:
        started = http.post(path, json={"contentType": "text/x"}, headers=headers)
        assert started.status_code == 200, started.text
        self.http, self.url = http, started.headers["location"]

    def put(self, content: bytes, content_range: str, **headers: str) -> httpx.Response:
        return self.http.put(self.url, content=content, headers={"content-range": content_range, **headers})


def test_a_resumable_upload_tells_how_far_it_is_and_goes_on_from_there(
    bucket: storage.Bucket, http: httpx.Client
) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    fresh = session.put(b"", f"bytes */{len(DATA)}")
    assert (fresh.status_code, "range" in fresh.headers) == (308, False)
    first = session.put(DATA[:CHUNK], f"bytes 0-{CHUNK - 1}/{len(DATA)}")
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    with pytest.raises(exceptions.NotFound):
        bucket.blob("it").reload()
    assert session.put(b"", "bytes */*").headers["range"] == f"bytes=0-{CHUNK - 1}"
    overlapping = session.put(DATA[: 2 * CHUNK], f"bytes 0-{2 * CHUNK - 1}/{len(DATA)}")
    assert overlapping.headers["range"] == f"bytes=0-{2 * CHUNK - 1}"
    too_far = session.put(DATA[3 * CHUNK :], f"bytes {3 * CHUNK}-{len(DATA) - 1}/{len(DATA)}")
    assert (too_far.status_code, "exceeds already uploaded size" in too_far.text) == (400, True)
    last = session.put(DATA[2 * CHUNK :], f"bytes {2 * CHUNK}-{len(DATA) - 1}/{len(DATA)}")
    assert (last.status_code, last.json()["size"], last.json()["contentType"]) == (200, str(len(DATA)), "text/x")
    assert bucket.blob("it").download_as_bytes() == DATA
    again = session.put(b"", f"bytes */{len(DATA)}")
    assert (again.status_code, again.json()["generation"]) == (200, last.json()["generation"])


@pytest.mark.parametrize("verb", ["PUT", "POST"])
def test_a_resumable_upload_may_send_everything_at_once(bucket: storage.Bucket, http: httpx.Client, verb: str) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    assert http.request(verb, session.url, content=DATA).status_code == 200
    assert bucket.blob("it").download_as_bytes() == DATA


def test_clients_that_follow_redirects_are_answered_without_308(bucket: storage.Bucket, http: httpx.Client) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    answer = session.put(b"", "bytes */*", **{"x-guploader-no-308": "yes"})
    assert (answer.status_code, answer.headers["x-http-status-code-override"]) == (200, "308")


def test_a_packed_request_is_refused(bucket: storage.Bucket, http: httpx.Client) -> None:
    answer = http.post(upload_path(bucket, "media"), content=b"x", headers={"content-encoding": "gzip"})
    assert (answer.status_code, "content-encoding" in answer.text) == (501, True)


def test_a_resumable_upload_of_nothing_makes_an_empty_object(bucket: storage.Bucket, http: httpx.Client) -> None:
    assert Session(http, upload_path(bucket, "resumable")).put(b"", "bytes */0").json()["size"] == "0"


@pytest.mark.parametrize(
    ("content", "content_range"),
    [(b"abc", "bytes 0-3/9"), (b"abc", "bytes */9"), (b"abc", "octets 0-2/9"), (b"abc", "bytes 0-2/2")],
)
def test_a_chunk_that_does_not_fit_its_range_is_refused(
    bucket: storage.Bucket, http: httpx.Client, content: bytes, content_range: str
) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    assert session.put(content, content_range).status_code == 400
    assert "range" not in session.put(b"", "bytes */*").headers


def test_a_cancelled_upload_is_gone(bucket: storage.Bucket, http: httpx.Client) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    session.put(DATA[:CHUNK], f"bytes 0-{CHUNK - 1}/*")
    assert http.delete(session.url).status_code == 499
    assert session.put(b"", "bytes */*").status_code == 404


def test_the_hash_of_a_resumable_upload_is_verified_at_its_end(bucket: storage.Bucket, http: httpx.Client) -> None:
    session = Session(http, upload_path(bucket, "resumable"))
    answer = session.put(b"hello", "bytes 0-4/5", **{"x-goog-hash": "crc32c=AAAAAA=="})
    assert answer.status_code == 400
    assert list(bucket.list_blobs()) == []


def test_an_announced_length_is_kept(bucket: storage.Bucket, http: httpx.Client) -> None:
    session = Session(http, upload_path(bucket, "resumable"), **{"x-upload-content-length": "6"})
    assert session.put(b"hello", "bytes 0-4/5").status_code == 400
    assert list(bucket.list_blobs()) == []


def test_the_precondition_of_a_resumable_upload_holds_at_its_end(bucket: storage.Bucket, http: httpx.Client) -> None:
    session = Session(http, upload_path(bucket, "resumable", ifGenerationMatch="0"))
    bucket.blob("it").upload_from_string("first")
    assert session.put(b"hello", "bytes 0-4/5").status_code == 412
    assert http.post(upload_path(bucket, "resumable", ifGenerationMatch="0"), json={}).status_code == 412
    assert bucket.blob("it").download_as_text() == "first"


def test_a_writer_of_unknown_length_streams(bucket: storage.Bucket) -> None:
    for size in (0, CHUNK, len(DATA)):
        with bucket.blob("stream").open("wb", chunk_size=CHUNK) as writer:
            writer.write(DATA[:size])
        with bucket.blob("stream").open("rb", chunk_size=CHUNK) as reader:
            assert reader.read() == DATA[:size]


def test_the_client_uploads_files_in_chunks(bucket: storage.Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    blob = bucket.blob("file", chunk_size=CHUNK)
    blob.upload_from_filename(tmp_path / "file", content_type="text/x", if_generation_match=0)
    assert blob.crc32c
    out = io.BytesIO()
    bucket.blob("file", chunk_size=CHUNK).download_to_file(out)
    assert out.getvalue() == DATA
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("file", chunk_size=CHUNK).upload_from_filename(tmp_path / "file", if_generation_match=0)


def test_an_upload_of_an_unknown_kind_is_refused(bucket: storage.Bucket, http: httpx.Client) -> None:
    assert http.post(upload_path(bucket, "carrier-pigeon"), content=b"x").status_code == 400
    answer = http.post(upload_path(bucket, "media", predefinedAcl="publicRead"), content=b"x")
    assert (answer.status_code, "predefinedAcl" in answer.text) == (501, True)


def test_the_transfer_manager_uploads_in_parts(bucket: storage.Bucket, tmp_path: Path) -> None:
    data = os.urandom(11 * 1024 * 1024)
    (tmp_path / "big").write_bytes(data)
    blob = bucket.blob("big/ä")
    blob.metadata, blob.cache_control = {"made": "in parts"}, "no-store"
    size = 5 * 1024 * 1024
    transfer_manager.upload_chunks_concurrently(
        str(tmp_path / "big"), blob, content_type="text/x", chunk_size=size, max_workers=3, worker_type="thread"
    )
    blob.reload()
    assert (blob.metadata, blob.cache_control, blob.content_type) == ({"made": "in parts"}, "no-store", "text/x")
    assert (blob.size, blob.md5_hash) == (len(data), None)
    transfer_manager.download_chunks_concurrently(blob, str(tmp_path / "back"), chunk_size=size, worker_type="thread")
    assert (tmp_path / "back").read_bytes() == data


def test_parts_are_listed_checked_and_aborted(bucket: storage.Bucket, http: httpx.Client) -> None:
    path = f"/{bucket.name}/parts"
    started = http.post(f"{path}?uploads").text
    upload = started.split("<UploadId>")[1].split("<")[0]
    etag = http.put(f"{path}?partNumber=2&uploadId={upload}", content=b"two").headers["etag"]
    assert f"<PartNumber>2</PartNumber><ETag>{etag}</ETag><Size>3</Size>" in http.get(f"{path}?uploadId={upload}").text

    def complete(number: int, tag: str) -> httpx.Response:
        part = f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        return http.post(f"{path}?uploadId={upload}", content=body)

    assert "<Code>InvalidPart</Code>" in complete(1, etag).text
    assert "<Code>InvalidPart</Code>" in complete(2, '"0"').text
    wrong = {"x-goog-hash": "crc32c=AAAAAA=="}
    refused = http.put(f"{path}?partNumber=1&uploadId={upload}", content=b"one", headers=wrong)
    assert (refused.status_code, "<Code>BadDigest</Code>" in refused.text) == (400, True)
    assert http.delete(f"{path}?uploadId={upload}").status_code == 204
    assert "<Code>NoSuchUpload</Code>" in complete(2, etag).text
    assert list(bucket.list_blobs()) == []


def test_the_xml_api_reads_and_writes_the_same_objects(bucket: storage.Bucket, http: httpx.Client) -> None:
    path = f"/{bucket.name}/dir/ä%20b.txt"
    headers = {"x-goog-meta-owner": "dee", "content-type": "text/x", "x-goog-if-generation-match": "0"}
    put = http.put(path, content=b"hello", headers=headers)
    assert (put.status_code, put.headers["etag"]) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    blob = bucket.get_blob("dir/ä b.txt")
    assert (blob.metadata, blob.content_type) == ({"owner": "dee"}, "text/x")
    assert http.put(path, content=b"again", headers=headers).status_code == 412
    got = http.get(path, headers={"range": "bytes=1-3"})
    assert (got.status_code, got.content, got.headers["x-goog-meta-owner"]) == (206, b"ell", "dee")
    head = http.head(path)
    assert (head.content, head.headers["content-length"]) == (b"", "5")
    assert head.headers["x-goog-generation"] == str(blob.generation)
    assert http.get(path, headers={"if-none-match": put.headers["etag"]}).status_code == 304
    assert http.delete(path).status_code == 204
    missing = http.get(path)
    assert (missing.status_code, "<Code>NoSuchKey</Code>" in missing.text) == (404, True)
    assert "<Code>NoSuchBucket</Code>" in http.get("/no-such-bucket/x").text


def test_a_signed_address_works_until_it_expires(bucket: storage.Bucket, http: httpx.Client) -> None:
    bucket.blob("it").upload_from_string("hello")
    signed = "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=c&X-Goog-SignedHeaders=host&X-Goog-Signature=aa"
    path = f"/{bucket.name}/it?{signed}&response-content-type=text/y"
    fresh = http.get(f"{path}&X-Goog-Date=29990101T000000Z&X-Goog-Expires=60")
    assert (fresh.text, fresh.headers["content-type"]) == ("hello", "text/y")
    stale = http.get(f"{path}&X-Goog-Date=20200101T000000Z&X-Goog-Expires=60")
    assert (stale.status_code, "<Code>ExpiredToken</Code>" in stale.text) == (400, True)
    assert http.get(f"{path}&X-Goog-Date=today&X-Goog-Expires=60").status_code == 400


def test_a_resumable_upload_can_begin_at_a_signed_address(bucket: storage.Bucket, http: httpx.Client) -> None:
    started = http.post(f"/{bucket.name}/it", headers={"x-goog-resumable": "start", "content-type": "text/x"})
    assert started.status_code == 201
    assert http.put(started.headers["location"], content=b"hello").status_code == 200
    assert bucket.get_blob("it").content_type == "text/x"


def test_what_the_xml_api_lacks_is_refused(bucket: storage.Bucket, http: httpx.Client) -> None:
    path = f"/{bucket.name}/it"
    assert http.put(path, content=b"x", headers={"x-goog-acl": "public-read"}).status_code == 501
    assert http.put(path, headers={"x-goog-copy-source-if-match": "e", "x-goog-copy-source": "/a/b"}).status_code == 501
    part = http.put(f"{path}?partNumber=1&uploadId=x", headers={"x-goog-copy-source": "/a/b"})
    assert (part.status_code, "x-goog-copy-source" in part.text) == (501, True)
    assert http.get(f"{path}?acl").status_code == 501
    assert http.post(path).status_code == 501
    assert http.get("/storage/v1/b/x/notificationConfigs").status_code == 501


def test_a_boundary_between_apostrophes_is_read_as_gcloud_means_it(http: httpx.Client, bucket: storage.Bucket) -> None:
    kind = {"content-type": "multipart/related; boundary='==b=='"}
    body = related({"name": "x"}, b"media")
    answer = http.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart", content=body, headers=kind)
    assert answer.status_code == 200, answer.text
    assert bucket.blob("x").download_as_bytes() == b"media"
