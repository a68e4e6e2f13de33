"""Cloud Run jobs."""

from collections.abc import Mapping
from typing import Any

from local.provider.kind import Scope
from local.provider.rest_kind import Field, RestKind, renamed
from local.provider.values import Properties

# Lists have plural names in the SDK and singular ones in the API.
NAMES = {"commands": "command", "envs": "env", "dependsOns": "dependsOn"}
PLURALS = {singular: plural for plural, singular in NAMES.items()}


class Job(RestKind):
    """A job; protected from deletion unless the stack says otherwise."""

    type = "gcp:cloudrunv2/job:Job"
    named = "name"
    remade = ("conditions", "etag", "generation", "observedGeneration", "terminalConditions", "updateTime")
    protected = True
    fields = (
        Field("template", send=lambda v: renamed(v, NAMES), read=lambda v: renamed(v, PLURALS)),
        Field("annotations"),
        Field("client"),
        Field("clientVersion"),
        Field("launchStage"),
        Field("binaryAuthorization"),
    )

    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """A job's id is its resource name."""
        return f"/v2/{id}"

    def insert(self, facts: Properties, scope: Scope) -> str:
        """Make the job and wait until it is there."""
        place = f"projects/{facts['project']}/locations/{facts['location']}/jobs"
        operation = self.rest.call("POST", f"/v2/{place}", self.body(facts), query={"jobId": str(facts["name"])})
        self.rest.finish(operation, "v2")
        return f"{place}/{facts['name']}"

    def patch(self, id: str, body: Properties, before: Properties, facts: Properties, scope: Scope) -> None:
        """The API replaces the whole job, so what is declared no more is simply not sent."""
        labels = {key: value for key, value in body.get("labels", {}).items() if value is not None}
        whole = {key: value for key, value in body.items() if value is not None} | {"labels": labels}
        self.rest.finish(self.rest.call("PATCH", self.path(id, facts), whole), "v2")

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the job and wait until it is gone."""
        if self.rest.find(self.path(id, outputs)) is not None:
            self.rest.finish(self.rest.call("DELETE", self.path(id, outputs)), "v2")

    def computed(self, found: Mapping[str, Any]) -> Properties:
        """What the service says of the job beside its configuration."""
        _, project, _, location, _, name = str(found["name"]).split("/")
        same = (
            "conditions", "createTime", "creator", "deleteTime", "etag", "expireTime", "generation", "lastModifier",
            "latestCreatedExecution", "launchStage", "observedGeneration", "uid", "updateTime",
        )  # fmt: skip
        computed = {key: found[key] for key in same if key in found}
        latest = computed.pop("latestCreatedExecution", None)
        terminal = found.get("terminalCondition")
        return {
            **computed,
            "project": project,
            "location": location,
            "name": name,
            "executionCount": int(found.get("executionCount", 0)),
            "reconciling": bool(found.get("reconciling", False)),
            "latestCreatedExecutions": [latest] if latest else [],
            "terminalConditions": [terminal] if terminal else [],
        }
