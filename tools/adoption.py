"""Which id a resource has on the platform that was being made when `up` was killed, before the state could note it.

Does not ask whether it exists: the engine reads the id afterwards.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.declared import Declared
from tools.engine import EXIT_USAGE, Stack, ToolFailed

# The section "Import" of each resource's page, https://www.pulumi.com/registry/packages/gcp/api-docs/
IDS = {
    "gcp:artifactregistry/repository:Repository": "projects/{project}/locations/{location}/repositories/{repositoryId}",
    "gcp:bigquery/dataset:Dataset": "projects/{project}/datasets/{datasetId}",
    "gcp:bigquery/table:Table": "projects/{project}/datasets/{datasetId}/tables/{tableId}",
    "gcp:cloudrunv2/job:Job": "projects/{project}/locations/{location}/jobs/{name}",
    "gcp:composer/environment:Environment": "projects/{project}/locations/{region}/environments/{name}",
    "gcp:logging/metric:Metric": "{name}",
    "gcp:serviceaccount/account:Account": (
        "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com"
    ),
    "gcp:storage/bucket:Bucket": "{name}",
}
# Making one of these twice is making it once: a grant and a switch are there or not, an object is overwritten by
# itself, an image has the digest of its content, and a provider or a component of ours exists in the state only.
REPEATABLE = re.compile(
    r"IamMember$|IAMMember$|:Service$|:BucketObject$|^docker-build:|^pulumi:providers:|^prediction:infra:"
)
# The platform makes their ids up, and would make a second one of the same name without a word.
NUMBERED = {
    "gcp:monitoring/alertPolicy:AlertPolicy": ["alpha", "monitoring", "policies"],
    "gcp:monitoring/notificationChannel:NotificationChannel": ["beta", "monitoring", "channels"],
}


def repeatable(token: str) -> bool:
    """Whether making it again does nothing to one that exists."""
    return bool(REPEATABLE.search(token))


def id_of(resource: Mapping[str, Any], stack: Stack, known: Mapping[str, str]) -> str:
    """The id it has if it exists; empty when it need not be adopted or was not made.

    Raises:
        ToolFailed: only a person can find the id out.
    """
    token, name = resource["type"], resource["urn"].rpartition("::")[2]
    if name in known:
        return known[name]
    if repeatable(token):
        return ""
    region = stack.config("gcp:region")
    places = {"project": stack.config("gcp:project"), "region": region, "location": region}
    inputs = {**places, **resource.get("inputs", {})}
    if token in IDS:
        return IDS[token].format(**inputs)
    if token in NUMBERED:
        return _numbered(token, inputs, stack)
    text = f"How {token!r} is found on the platform is not known here, so {name!r} cannot be settled."
    raise ToolFailed(f"{text} Find its id, then: make recover STACK={stack.name} ADOPT='{name}=ID'", EXIT_USAGE)


def _numbered(token: str, inputs: Mapping[str, Any], stack: Stack) -> str:
    title = inputs["displayName"]
    here = _on_this_machine(token, title, stack)
    found = sorted(set(_on_the_platform(token, inputs) if here is None else here) - _known_ids(stack))
    if len(found) > 1:
        text = f"{len(found)} resources of type {token!r} are called {title!r}: {', '.join(found)}."
        raise ToolFailed(f"{text} Delete those too many, then run this again.", EXIT_USAGE)
    return found[0] if found else ""


def _known_ids(stack: Stack) -> set[str]:
    return {resource.get("id", "") for resource in stack.export()["deployment"].get("resources", [])}


def _on_this_machine(token: str, title: str, stack: Stack) -> list[str] | None:
    """Ids in the local cloud that the stack is deployed to; None when it is deployed to another."""
    folder = stack.env.get("LOCAL_CLOUD_FOLDER")
    if not folder or "PULUMI_DEBUG_PROVIDERS" not in stack.env:
        return None
    declared = Declared(Path(folder) / "declared")
    try:
        return [found.id for found in declared.of_type(token) if found.properties.get("displayName") == title]
    finally:
        declared.close()


def _on_the_platform(token: str, inputs: Mapping[str, Any]) -> list[str]:
    command = ["gcloud", *NUMBERED[token], "list", f"--project={inputs['project']}", "--format=json(name)"]
    command.append(f"--filter=displayName={json.dumps(inputs['displayName'])}")
    try:
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolFailed("There is no program 'gcloud', which lists alerts. Install the Google Cloud CLI.") from error
    if done.returncode:
        raise ToolFailed(f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
    return [str(found["name"]) for found in json.loads(done.stdout or "[]")]
