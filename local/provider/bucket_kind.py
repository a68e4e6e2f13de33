"""Buckets, as the provider declares them. Their objects are in object_kind.py."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from local.provider.kind import Scope
from local.provider.rest_kind import Field, RestKind, renamed
from local.provider.values import Properties

API = "https://www.googleapis.com/storage/v1"  # where the platform says its resources are
# Plural in the SDK, because they are lists; singular in the API.
CONDITIONS = {
    "matchesStorageClasses": "matchesStorageClass",
    "matchesPrefixes": "matchesPrefix",
    "matchesSuffixes": "matchesSuffix",
}
CORS = {"methods": "method", "origins": "origin", "responseHeaders": "responseHeader"}
IS_LIVE = {"LIVE": True, "ARCHIVED": False}


def _rules(rules: list[Any]) -> list[Any]:
    """Lifecycle rules as the API has them: `withState` is `isLive` there, and the send…IfZero flags do not exist."""
    sent = []
    for rule in rules:
        condition = {k: v for k, v in rule.get("condition", {}).items() if not k.startswith("send")}
        if (state := condition.pop("withState", None)) in IS_LIVE:
            condition["isLive"] = IS_LIVE[state]
        sent.append({"action": rule.get("action"), "condition": renamed(condition, CONDITIONS)})
    return sent


def _read_rules(rules: list[Any]) -> list[Any]:
    read = renamed(rules, {name: plural for plural, name in CONDITIONS.items()})
    for rule in read:
        live = rule.get("condition", {}).pop("isLive", None)
        if live is not None:
            rule["condition"]["withState"] = "LIVE" if live else "ARCHIVED"
    return list(read)


class Bucket(RestKind):
    """A bucket of Cloud Storage."""

    type = "gcp:storage/bucket:Bucket"
    named = "name"
    remade = ("updated",)
    fields = (
        Field("location", fixed=True),
        Field("storageClass"),
        Field("versioning"),
        Field("lifecycleRules", "lifecycle.rule", _rules, _read_rules),
        Field("softDeletePolicy"),
        Field("uniformBucketLevelAccess", "iamConfiguration.uniformBucketLevelAccess.enabled"),
        Field("publicAccessPrevention", "iamConfiguration.publicAccessPrevention"),
        Field("hierarchicalNamespace", fixed=True),
        Field("defaultEventBasedHold"),
        Field("requesterPays", "billing.requesterPays"),
        Field("cors", send=lambda v: renamed(v, CORS), read=lambda v: renamed(v, {a: b for b, a in CORS.items()})),
        Field("website"),
        Field("encryption"),
        Field("logging"),
        Field("retentionPolicy"),
        Field("autoclass"),
        Field("rpo"),
    )

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Locations are the same in capitals."""
        return name == "location" and str(old).upper() == str(new).upper()

    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """A bucket's id is its name."""
        return f"/storage/v1/b/{quote(id, safe='')}"

    def insert(self, facts: Properties, scope: Scope) -> str:
        """Make the bucket."""
        query = {"project": str(facts["project"])}
        if facts.get("enableObjectRetention"):
            query["enableObjectRetention"] = "true"
        self.rest.call("POST", "/storage/v1/b", {"name": facts["name"], **self.body(facts)}, query=query)
        return str(facts["name"])

    def computed(self, found: Mapping[str, Any]) -> Properties:
        """Times, and addresses as on the platform, which do not change with this machine's ports."""
        return {
            "name": found["name"],
            "location": str(found.get("location", "")).upper(),
            "storageClass": found.get("storageClass"),
            "url": f"gs://{found['name']}",
            "selfLink": f"{API}/b/{found['name']}",
            "projectNumber": int(found.get("projectNumber", 0)),
            "timeCreated": found.get("timeCreated"),
            "updated": found.get("updated"),
        }

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the bucket, and with `forceDestroy` first what is in it, old generations too."""
        path = self.path(id, outputs)
        while outputs.get("forceDestroy") and self.rest.find(path) is not None:
            found = self.rest.call("GET", f"{path}/o", query={"versions": "true"}).get("items", [])
            if not found:
                break
            for item in found:
                self.remove(f"{path}/o/{quote(item['name'], safe='')}", generation=str(item["generation"]))
        self.remove(path)
