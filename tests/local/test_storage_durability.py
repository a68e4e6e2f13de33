"""What Cloud Storage acknowledged survives kill -9; what it did not leaves no trace. Large objects fill no memory."""

import hashlib
import json
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from google.cloud import storage

from local.storage import Storage
from tests.conftest import RunningCloud, serve

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client

CHUNK = 256 * 1024
MEGABYTE = 1 << 20
Connect = Callable[[str], storage.Client]


@dataclass
class Survivors:
    """A cloud that was killed while four clients wrote to it, and what they were told before."""

    url: str
    folder: Path
    session: str = ""
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    attempted: dict[str, set[bytes]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


def start(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    process = serve(folder, "--project", "heron-project")
    assert process.stdout
    return process, json.loads(process.stdout.readline())["env"]["STORAGE_ENDPOINT"]


def write_until_cut(story: Survivors, process: "subprocess.Popen[str]", worker: int) -> None:
    """Create, replace and delete objects; worker 0 kills the server after its 60th acknowledged request."""
    generator = random.Random(worker)  # noqa: S311 - any bytes
    with httpx.Client(base_url=story.url) as http:
        for step in range(10_000):
            if worker == 0 and step == 60:
                process.kill()
            name, content = f"w{worker}-{step % 7}", generator.randbytes(generator.choice((0, 10, 5_000, 2 * MEGABYTE)))
            story.attempted.setdefault(name, set()).add(content)
            try:
                if step % 5 == 4:
                    story.acknowledged.pop(name, None)
                    if http.delete(f"/storage/v1/b/herons/o/{name}").status_code == 204:
                        story.deleted.add(name)
                    continue
                story.deleted.discard(name)
                story.acknowledged.pop(name, None)
                upload = http.post(f"/upload/storage/v1/b/herons/o?uploadType=media&name={name}", content=content)
                assert upload.status_code == 200
                story.acknowledged[name] = content
            except httpx.TransportError:
                return


@pytest.fixture(scope="module")
def survivors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivors]:
    folder = tmp_path_factory.mktemp("killed")
    process, url = start(folder)
    story = Survivors(url, folder)
    httpx.post(f"{url}/storage/v1/b?project=p", json={"name": "herons"}).raise_for_status()
    story.session = httpx.post(f"{url}/upload/storage/v1/b/herons/o?uploadType=resumable&name=slow", json={}).headers[
        "location"
    ]
    first = httpx.put(story.session, content=b"a" * CHUNK, headers={"content-range": f"bytes 0-{CHUNK - 1}/*"})
    assert first.headers["range"] == f"bytes=0-{CHUNK - 1}"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda worker: write_until_cut(story, process, worker), range(4)))
    process.wait()
    (folder / "storage" / "contents" / "half-written").write_bytes(b"no row names this file")
    process, restarted = start(folder)
    story.session = story.session.replace(url, restarted)
    story.url = restarted
    yield story
    process.kill()
    process.wait()


def test_a_kill_loses_nothing_that_was_acknowledged(survivors: Survivors, connect: Connect) -> None:
    bucket = connect(survivors.url).bucket("herons")
    assert len(survivors.acknowledged) >= 10
    for name, content in survivors.acknowledged.items():
        assert bucket.blob(name).download_as_bytes() == content, name
    for name in survivors.deleted:
        assert not bucket.blob(name).exists(), name


def test_a_kill_invents_nothing(survivors: Survivors, connect: Connect) -> None:
    found = list(connect(survivors.url).bucket("herons").list_blobs())
    for blob in found:
        content = blob.download_as_bytes(checksum="md5")
        assert content in survivors.attempted[blob.name], blob.name
        assert blob.size == len(content)


def test_what_a_kill_left_behind_is_swept(survivors: Survivors) -> None:
    with sqlite3.connect(survivors.folder / "storage" / "catalog.sqlite") as catalog:
        sql = "SELECT content FROM objects UNION SELECT content FROM uploads"
        known = {name for (name,) in catalog.execute(sql)}
    assert {path.name for path in (survivors.folder / "storage" / "contents").iterdir()} == known


def test_a_resumable_upload_goes_on_after_a_kill(survivors: Survivors, connect: Connect) -> None:
    status = httpx.put(survivors.session, headers={"content-range": "bytes */*"})
    assert (status.status_code, status.headers["range"]) == (308, f"bytes=0-{CHUNK - 1}")
    rest = {"content-range": f"bytes {CHUNK}-{CHUNK + 2}/{CHUNK + 3}"}
    assert httpx.put(survivors.session, content=b"end", headers=rest).status_code == 200
    content = connect(survivors.url).bucket("herons").blob("slow").download_as_bytes()
    assert hashlib.md5(content).hexdigest() == hashlib.md5(b"a" * CHUNK + b"end").hexdigest()  # noqa: S324 - a comparison


def test_a_large_object_is_never_wholly_in_memory(cloud: RunningCloud, connect: Connect) -> None:
    size, server = 200 * MEGABYTE, psutil.Process(cloud.state()["pid"])
    connect(cloud.url).create_bucket("large-herons")
    piece = random.Random(1).randbytes(MEGABYTE)  # noqa: S311 - any bytes
    before, seen = server.memory_info().rss, []

    def pieces() -> Iterator[bytes]:
        for _ in range(size // MEGABYTE):
            seen.append(server.memory_info().rss)
            yield piece

    with httpx.Client(base_url=cloud.url, timeout=60) as http:
        upload = http.post("/upload/storage/v1/b/large-herons/o?uploadType=media&name=big", content=pieces())
        assert upload.json()["size"] == str(size)
        received = 0
        with http.stream("GET", "/storage/v1/b/large-herons/o/big?alt=media") as download:
            for part in download.iter_bytes():
                received += len(part)
                seen.append(server.memory_info().rss) if received % MEGABYTE < len(part) else None
        http.delete("/storage/v1/b/large-herons/o/big")
    assert received == size
    assert max(seen) - before < size / 3


def put(cloud: Storage, folder: Path, name: str) -> int:
    (folder / "file").write_bytes(b"x")
    return cloud.put_file("stilts", name, folder / "file", content_type="text/x").generation


def test_generations_rise_even_when_the_clock_goes_back(tmp_path: Path) -> None:
    inside = Storage(tmp_path / "storage")
    inside.buckets.create("p", {"name": "stilts"})
    put(inside, tmp_path, "a")
    inside.close()
    future = 2**53
    with sqlite3.connect(tmp_path / "storage" / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE clock SET last = ?", (future,))
    inside = Storage(tmp_path / "storage")
    assert put(inside, tmp_path, "a") == future + 1
    assert put(inside, tmp_path, "b") == future + 2
    inside.close()


def test_expired_versions_and_old_uploads_go_at_the_next_start(tmp_path: Path) -> None:
    inside = Storage(tmp_path / "storage")
    inside.buckets.create("p", {"name": "stilts"})
    for _ in range(2):
        put(inside, tmp_path, "a")
    inside.close()
    contents = tmp_path / "storage" / "contents"
    assert len(list(contents.iterdir())) == 2, "the replaced version can be restored"
    with sqlite3.connect(tmp_path / "storage" / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE objects SET expires = '2020-01-01T00:00:00.000Z' WHERE expires IS NOT NULL")
        catalog.execute(
            "INSERT INTO uploads VALUES ('u', 'stilts', 'b', '2020-01-01T00:00:00.000Z', 'gone', '{}', NULL)"
        )
    Storage(tmp_path / "storage").close()
    assert len(list(contents.iterdir())) == 1
    with sqlite3.connect(tmp_path / "storage" / "catalog.sqlite") as catalog:
        assert catalog.execute("SELECT count(*) FROM uploads").fetchone() == (0,)
