"""Copies the DAG files of the declared Composer environment's bucket to Airflow's folder, one way, as Composer does.

Runs as a child of `python -m local airflow`, with Airflow's identity, so that its account's grants decide what it may
read. Does not own what is declared (composer.py) nor Airflow itself (airflow.py).
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path, PurePosixPath

import google.auth
import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client

from local import composer
from local.declared import Declared

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
CALL_SECONDS = 10
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class DagsSync:
    """Makes a folder hold what lies below a prefix of a bucket, and nothing else.

    Args:
        client: of Cloud Storage.
        folder: created when missing; what it holds at first is replaced.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, folder
        self._copied: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, bucket: str, prefix: str) -> None:
        """Bring the folder up to date: new and changed objects are written, whatever has no object is removed.

        Each file appears whole, by a rename. A failure in the middle leaves some files old; the next call goes on.
        """
        listed = self._client.list_blobs(bucket, prefix=prefix, timeout=CALL_SECONDS, retry=None)
        blobs = {name: blob for blob in listed if (name := _file_name(blob.name, prefix))}
        for name, blob in blobs.items():
            if self._copied.get(name) != blob.generation:
                text = blob.download_as_bytes(if_generation_match=blob.generation, timeout=CALL_SECONDS, retry=None)
                self._write(name, text)
                self._copied[name] = blob.generation
        self.keep(set(blobs))

    def keep(self, names: set[str]) -> None:
        """Remove every file but these."""
        for path in [p for p in self._folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]:
            name = path.relative_to(self._folder).as_posix()
            if name not in names:
                path.unlink()
                self._copied.pop(name, None)
                log.info("removed %s", name)

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")  # no name that Airflow reads
        temporary.write_bytes(content)
        temporary.rename(path)
        log.info("wrote %s, %d bytes", name, len(content))


def _file_name(object_name: str, prefix: str) -> str:
    """Path below the folder; empty for what Composer cannot copy either: folders, and names that leave the folder."""
    name = object_name.removeprefix(prefix)
    return "" if name.endswith("/") or ".." in PurePosixPath(name).parts or name.startswith("/") else name


def follow(declared: Declared, folder: Path) -> None:
    """Copy once a second, for ever. While no environment is declared the folder stays empty.

    Raises:
        composer.Mismatch: the declared environment is not one that this Airflow can play.
    """
    fault = ""
    known: composer.Environment | None = None
    sync = DagsSync(None, folder)
    while True:
        environment = composer.read(declared)
        try:
            if environment != known:
                log.info("the declared environment is %s", environment)
                sync, known = DagsSync(connect() if environment else None, folder), environment
            if environment:
                sync.copy(environment.bucket, environment.prefix)
            else:
                sync.keep(set())
            fault = ""
        except (GoogleAPICallError, GoogleAuthError, requests.RequestException) as error:
            known = None  # a grant, the bucket or the whole cloud may come back, and under another address or account
            if str(error) != fault:
                log.warning("cannot read the DAG files, trying again: %s", fault := str(error))
        time.sleep(POLL_SECONDS)


def connect() -> Client:
    """A client of the local cloud with the identity of this process."""
    credentials, project = google.auth.default(scopes=SCOPES)
    options = {"api_endpoint": os.environ["STORAGE_ENDPOINT"]}
    return Client(project=project, credentials=credentials, client_options=options)


def main() -> int:
    """Follow until a signal; 2 when the declaration and this Airflow do not fit."""
    example = "python -m local.dags_sync --declared .local/cloud/declared --to .local/cloud/airflow/dags"
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"example: {example}")
    parser.add_argument("--declared", type=Path, required=True, help="folder of the local cloud's declarations")
    parser.add_argument("--to", type=Path, required=True, help="Airflow's DAG folder")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        follow(Declared(args.declared), args.to)
    except composer.Mismatch as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
