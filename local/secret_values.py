"""Values of secrets on this machine: files that a person writes, `secrets/SECRET/VERSION` in the local cloud's folder.

The small part of Secret Manager that jobs need. Values are read when an execution starts, as Cloud Run does, and are
never kept or logged. Does not own who may read one (iam.py, when grants are enforced).
"""

import re
from collections.abc import Iterable
from pathlib import Path

from local.run_store import Resource
from local.wire import CloudError

_NAME = re.compile(
    r"[A-Za-z0-9_-]{1,255}"
)  # https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets


def resolved(folder: Path, variables: Iterable[Resource]) -> dict[str, str]:
    """The environment that a job's variables declare, with the values of its secrets.

    Args:
        folder: of the local cloud.

    Raises:
        CloudError: 404 naming the file that would hold a value.
    """
    return {v["name"]: _value(folder, v["valueSource"]) if "valueSource" in v else str(v["value"]) for v in variables}


def checked(source: Resource, place: str) -> Resource:
    """A `valueSource` as the service would accept it.

    Raises:
        CloudError: 400 naming what is wrong.
    """
    key = source.get("secretKeyRef")
    if not isinstance(key, dict) or set(source) != {"secretKeyRef"} or not set(key) <= {"secret", "version"}:
        raise CloudError(400, "badRequest", f"{place} must be a secretKeyRef with secret and version")
    secret, version = str(key.get("secret", "")).rpartition("/")[2], str(key.get("version") or "latest")
    if not _NAME.fullmatch(secret) or not re.fullmatch(r"latest|[1-9]\d*", version):
        raise CloudError(400, "badRequest", f"{place}: {secret!r}, version {version!r}, cannot name a secret")
    return {"secretKeyRef": {"secret": secret, "version": version}}


def _value(folder: Path, source: Resource) -> str:
    key: dict[str, str] = source["secretKeyRef"]
    versions = folder / "secrets" / key["secret"]
    file = versions / key["version"]
    if key["version"] == "latest" and not file.exists():
        numbers = [int(path.name) for path in versions.glob("*") if path.name.isdigit()]
        file = versions / str(max(numbers, default="latest"))
    if not file.is_file():
        text = f"Secret {key['secret']!r} has no version {key['version']!r} here. Write its value to {str(file)!r}."
        raise CloudError(404, "notFound", text)
    return file.read_text().removesuffix("\n")
