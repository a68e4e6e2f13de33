"""Where the running Pulumi program lies: relative paths of assets and build contexts start there.

A provider that the engine starts itself has that folder as its own; one that it attaches to is told nothing, so the
engine is found as the process at the other end of the connection.
"""

from pathlib import Path

import psutil
import yaml

from local.wire import CloudError


def folder_of(peer: str) -> Path:
    """The folder of the program that the engine behind a gRPC peer (`ipv4:127.0.0.1:PORT`) runs.

    Raises:
        CloudError: the engine's process or its project file was not found.
    """
    working = _working_directory(int(peer.rpartition(":")[2]))
    for folder in (working, *working.parents):
        for name in ("Pulumi.yaml", "Pulumi.yml"):
            if (folder / name).is_file():
                main = (yaml.safe_load((folder / name).read_text()) or {}).get("main") or "."
                place = (folder / main).resolve()
                return place if place.is_dir() else place.parent
    raise CloudError(400, "invalid", f"There is no Pulumi.yaml in {str(working)!r} or above it. Use absolute paths.")


def _working_directory(port: int) -> Path:
    for process in psutil.process_iter():
        try:
            # The cheap question first: only a process with this loopback port is the engine.
            if any(c.laddr and c.laddr.port == port for c in process.net_connections("tcp")):
                return Path(process.cwd())
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # another user's, or gone: not the engine that talks to us
    raise CloudError(400, "invalid", "The engine's folder cannot be found on this system. Use absolute paths.")
