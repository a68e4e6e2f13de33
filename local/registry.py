"""An image registry on loopback, a child of the local cloud: Debian's `docker-registry` over a folder.

Does not own images (containers.py). Docker takes every registry of 127.0.0.0/8 without TLS.
"""

import json
import os
import queue
import re
import shutil
import threading
from pathlib import Path

import httpx

from local import processes
from local.attempt import Attempt

PROGRAM = "docker-registry"
START_SECONDS = 20.0
# What Docker 20 and newer push; the digest of a manifest is that of the bytes in the form it was pushed in.
MANIFESTS = ", ".join(
    f"application/vnd.{form}+json"
    for form in ("docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2",
                 "oci.image.manifest.v1", "oci.image.index.v1")
)  # fmt: skip
_LISTENING = re.compile(rb"listening on (127\.0\.0\.1:\d+)")


class RegistryFailed(Exception):
    """The registry could not be started; the message holds its last words."""


class Registry:
    """A running registry. It dies with this process, however that ends.

    Args:
        folder: of the registry; its images survive a restart.
        cloud: the folder of the local cloud that it belongs to.

    Attributes:
        address: `127.0.0.1:PORT`; another one after each start.
        left_behind: the address of a registry here that was killed; empty when there was none.
    """

    def __init__(self, folder: Path, cloud: Path) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise RegistryFailed(f"there is no program `{PROGRAM}` (Debian and Ubuntu: apt-get install {PROGRAM})")
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.json"  # JSON is YAML, which it reads
        self._data = folder / "data"
        config.write_text(json.dumps(_config(self._data)))
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._started = False
        self._process = Attempt(
            [program, "serve", str(config)],
            env=processes.marked(cloud, {"PATH": os.environ.get("PATH", os.defpath), "OTEL_TRACES_EXPORTER": "none"}),
            folder=folder,
            timeout_seconds=None,
            sink=self._heard,
        )
        self._watcher = threading.Thread(target=self._watch, name="registry", daemon=True)
        self._watcher.start()
        self.address = self._address()
        self._started = True
        self._note = folder / "address"
        self.left_behind = self._note.read_text() if self._note.exists() else ""
        self._note.write_text(self.address)
        self._client = httpx.Client(base_url=f"http://{self.address}", trust_env=False, timeout=30)

    def digest(self, name: str, reference: str) -> str | None:
        """The digest of a manifest, by tag or digest; None when there is none."""
        answer = self._client.head(f"/v2/{name}/manifests/{reference}", headers={"Accept": MANIFESTS})
        return answer.headers.get("Docker-Content-Digest") if answer.status_code == httpx.codes.OK else None

    def remove(self, name: str, digest: str) -> None:
        """Remove an image; one that is gone already is no error."""
        self._client.delete(f"/v2/{name}/manifests/{digest}")

    def clear(self) -> None:
        """Remove every image."""
        shutil.rmtree(self._data, ignore_errors=True)

    def close(self) -> None:
        """End it, and wait for that."""
        self._client.close()
        self._process.stop()
        self._watcher.join()
        self._note.unlink()

    def _heard(self, _: str, lines: list[bytes]) -> None:
        for line in () if self._started else lines:  # later it tells of each request
            self._lines.put(line)

    def _watch(self) -> None:
        self._process.wait()
        self._lines.put(None)

    def _address(self) -> str:
        said: list[bytes] = []
        while True:
            try:
                line = self._lines.get(timeout=START_SECONDS)
            except queue.Empty:
                line = None
            if line is None:
                self._process.stop()
                words = b"\n".join(said[-5:]).decode(errors="replace")
                raise RegistryFailed(f"`{PROGRAM}` did not start: {words or 'it said nothing'}")
            if found := _LISTENING.search(line):
                return found[1].decode()
            said.append(line)


def _config(data: Path) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0"},
    }
