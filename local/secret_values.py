"""Values of secrets on this machine: files that a person writes, `secrets/SECRET/VERSION` in the local cloud's folder.

The small part of Secret Manager that jobs need. Values are read when an execution starts, as Cloud Run does, for an
account that may, and are never kept or logged. Does not own grants (iam/).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from local.iam.authority import Authority
from local.run_store import Resource
from local.wire import CloudError

ACCESS = "secretmanager.versions.access"
_NAME = re.compile(
    r"[A-Za-z0-9_-]{1,255}"
)  # https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets


class Secrets:
    """What jobs may read, and its values.

    Args:
        folder: of the local cloud.
        authority: knows who may read a secret.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder, self._authority = folder, authority

    def check(self, project: str, task: Resource) -> None:
        """Refuse a task whose account may not read a secret, as Cloud Run does when a job is declared and when it runs.

        Raises:
            CloudError: 403, in Cloud Run's words (hashicorp/terraform-provider-google#13786,
                sourcegraph/sourcegraph-public-snapshot#59045).
        """
        caller = account(project, task)
        for place, variable in enumerate(_variables(task)):
            if "valueSource" in variable:
                key = variable["valueSource"]["secretKeyRef"]
                version = f"projects/{project}/secrets/{key['secret']}/versions/{key['version']}"
                if not self._authority.allows(caller, ACCESS, version):
                    self._authority.denied(caller, ACCESS, version)
                    raise _denied(place, version, caller)

    def resolved(self, project: str, task: Resource) -> dict[str, str]:
        """The environment that a task declares, with the values of its secrets.

        Raises:
            CloudError: 403 as above; 404 naming the file that would hold a value.
        """
        self.check(project, task)
        return {
            v["name"]: _value(self._folder, v["valueSource"]) if "valueSource" in v else str(v["value"])
            for v in _variables(task)
        }


def account(project: str, task: Resource) -> str:
    """The declared service account; else the project's default one, which has no token here unless declared."""
    return str(task.get("serviceAccount") or f"{project}-compute@developer.gserviceaccount.com")


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


def _variables(task: Resource) -> Sequence[Resource]:
    declared: Sequence[Resource] = task["containers"][0]["env"]
    return declared


def _denied(place: int, version: str, caller: str) -> CloudError:
    field = f"spec.template.spec.containers[0].env[{place}].value_from.secret_key_ref.name"
    remedy = "The service account used must be granted the 'Secret Manager Secret Accessor' role"
    text = f"{field}: Permission denied on secret: {version} for Revision service account {caller}. {remedy} "
    return CloudError(
        403, "forbidden", f"{text}(roles/secretmanager.secretAccessor) at the secret, project or higher level."
    )


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
