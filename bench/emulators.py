"""The public emulators of Storage and BigQuery, installed and served for a comparison in the same run.

Owns their environment and processes. Does not own what is measured (services.py).
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

# bqemulator needs numpy without saying so, and DuckDB's spatial extension, which it would otherwise fetch by itself.
PACKAGES = {
    "gcp-storage-emulator": "2026.7.19", "bqemulator": "1.4.0", "duckdb-extension-spatial": "1.5.5",
    "duckdb-extensions": "1.5.5", "numpy": "2.3.5",
}  # fmt: skip
EXTENSION = "from duckdb_extensions import import_extension; import_extension('spatial')"
START_SECONDS, LAST_WORDS = 60, 400  # characters of the log
PROJECT = "bench"


def install(folder: Path) -> Path:
    """An environment of their own; answers its folder of programs.

    Raises:
        RuntimeError: they cannot be had, for example without a network.
    """
    place = folder / "emulators"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    named = [f"{name}=={version}" for name, version in PACKAGES.items()]
    commands = (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *named],
        [str(place / "bin" / "python"), "-c", EXTENSION],
    )
    env = os.environ | {"HOME": str(place)}  # where DuckDB keeps extensions
    for command in commands:
        done = subprocess.run(
            command, env=env if command[1] == "-c" else None, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"The public emulators cannot be installed: {done.stderr[-300:]}")
    return place / "bin"


@contextlib.contextmanager
def served(programs: Path, name: str) -> Iterator[Any]:
    """The official client of a running emulator."""
    port, other = _free_port(), _free_port()
    options = {
        "gcp-storage-emulator": ["start", "--host", "127.0.0.1", "--port", str(port), "--quiet"],
        "bqemulator": ["start", "--rest-port", str(port), "--grpc-port", str(other)],
    }
    folder = programs.parent / name
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        env = os.environ | {"HOME": str(programs.parent)}
        process = subprocess.Popen([programs / name, *options[name]], cwd=folder, env=env, stdout=log, stderr=log)
        try:
            if not _answers(process, port):
                words = (folder / "log").read_text()[-LAST_WORDS:]
                raise RuntimeError(f"{name} did not start on port {port}: ...{words}")
            kind = storage.Client if name == "gcp-storage-emulator" else bigquery.Client
            given: dict[str, Any] = {"api_endpoint": f"http://127.0.0.1:{port}"}
            yield kind(project=PROJECT, credentials=AnonymousCredentials(), client_options=given)
        finally:
            process.terminate()
            process.wait()


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
