"""What a killed `pulumi` leaves in a backend: locks, and half-written notes about its files.

Reads locks in `file://` and `gs://`, and tells whether who took one is still there. Does not remove a lock: `pulumi
cancel` does.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import google.auth
import psutil
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from tools.engine import EXIT_USAGE, Stack, ToolFailed

CLOCK_SECONDS = 2  # a process is older than its lock; clocks of kernel and files differ by less


@dataclass(frozen=True)
class Lock:
    """One lock: its place, and the process that took it."""

    place: str
    pid: int
    user: str
    host: str
    taken: datetime

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}@{self.host}, since {self.taken:%Y-%m-%d %H:%M:%S} UTC ({self.place})"

    def refusal(self) -> str:
        """Why this lock must stay; empty when its process has ended."""
        if self.host != socket.gethostname():
            return (
                f"It was taken on another machine, where this one cannot look. Run this on {self.host!r}; if that "
                "machine is gone for good (a CI runner, say), `pulumi cancel` gives the lock back."
            )
        if self._runs():
            return f"That process still runs. Wait for its end, or stop it with `kill -INT {self.pid}`."
        return ""

    def _runs(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # A process that began after the lock was taken only has the same number.
            return process.create_time() <= self.taken.timestamp() + CLOCK_SECONDS
        except psutil.NoSuchProcess:
            return False


def of(stack: Stack) -> list[Lock]:
    """The locks of a stack.

    Raises:
        ToolFailed: the backend cannot be read.
    """
    backend = stack.backend()
    # https://github.com/pulumi/pulumi/blob/master/pkg/backend/diy/lock.go
    folder = f".pulumi/locks/organization/{stack.project}/{stack.name}"
    if backend.startswith("file://"):
        found = _in_folder(_path(backend) / folder)
    elif backend.startswith("gs://"):
        found = _in_bucket(backend.removeprefix("gs://").partition("?")[0].strip("/"), folder)
    else:
        text = f"Backend {backend!r} is neither file:// nor gs://, so its locks cannot be read here."
        raise ToolFailed(f"{text} Look who holds the stack, then run `pulumi cancel` yourself.", EXIT_USAGE)
    return [_lock(place, text) for place, text in found]


def mend_notes(stack: Stack) -> list[Path]:
    """Remove what the end of a process left half-written beside a stack's files in a `file://` backend; safe to repeat.

    Beside each file the CLI keeps its content type and hash in `FILE.attrs`, which is not written in one piece. Cut
    short, it hides the file ("failed to load checkpoint: EOF"); without it the file is read as it is. `FILE.*.tmp` was
    never put in place. Only for a stack that nobody holds.
    """
    backend = stack.backend()
    if not backend.startswith("file://"):
        return []
    root = _path(backend) / ".pulumi"
    places = [root / "stacks" / stack.project, root / "history" / stack.project / stack.name]
    notes = [note for place in places for note in place.glob(f"{stack.name}*.attrs") if not _is_json(note)]
    unfinished = [file for place in places for file in place.glob(f"{stack.name}.json*.tmp")]
    for file in (*notes, *unfinished):
        file.unlink()
    return notes


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    return True


def _path(backend: str) -> Path:
    return Path(backend.removeprefix("file://").partition("?")[0]).expanduser()


def _in_folder(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("*.json")):
        yield str(file), file.read_text()


def _in_bucket(backend: str, folder: str) -> Iterator[tuple[str, str]]:
    name, _, prefix = backend.partition("/")
    try:
        credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        # Said explicitly: left to itself the client would drop credentials where an emulator's variable is set.
        options = {"api_endpoint": os.environ.get("STORAGE_ENDPOINT") or "https://storage.googleapis.com"}
        client = storage.Client(project=project or "none", credentials=credentials, client_options=options)
        for blob in client.list_blobs(name, prefix=f"{prefix}/{folder}/".lstrip("/")):
            yield f"gs://{name}/{blob.name}", blob.download_as_text()
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        text = f"The locks in 'gs://{backend}' cannot be read: {error}"
        raise ToolFailed(f"{text} Log in: `gcloud auth application-default login`.") from error


def _lock(place: str, text: str) -> Lock:
    found: dict[str, Any] = json.loads(text)
    taken = datetime.fromisoformat(found["timestamp"])
    return Lock(place, int(found["pid"]), str(found["username"]), str(found["hostname"]), taken)
