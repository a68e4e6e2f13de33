"""The declared Airflow environment: what Composer would accept, and the addresses it would answer with.

Does not run Airflow; local/airflow.py does, from what is declared here.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from local.declared import Declared
from local.provider.declared_kind import DeclaredKind
from local.provider.grants import refuse_missing_account
from local.provider.kind import Scope
from local.provider.rest import Rest
from local.provider.schemas import Fault
from local.provider.values import UNKNOWN, Properties, known
from local.wire import CloudError

# As the provider checks it, aliases such as `composer-3-airflow-3` included; the policy pack wants a whole build:
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/composer/resource_composer_environment.go
IMAGE = re.compile(r"composer-3-airflow-(\d+)(\.\d+(\.\d+)?)?(-build\.\d+)?")


class Environment(DeclaredKind):
    """A Composer 3 environment."""

    type = "gcp:composer/environment:Environment"
    id = "projects/{project}/locations/{region}/environments/{name}"
    named = "name"
    placed = "region"

    def __init__(self, declared: Declared, rest: Rest) -> None:
        super().__init__(declared)
        self.rest = rest

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """The image must be one of Composer 3, and the account must be named: it cannot be set later."""
        yield from super().faults(inputs)
        config = inputs.get("config")
        if not isinstance(config, Mapping):
            if config is not UNKNOWN:
                yield Fault("config", "The environment needs a config with softwareConfig and nodeConfig.")
            return
        image = _at(config, "softwareConfig", "imageVersion")
        if known(image) and not (isinstance(image, str) and IMAGE.fullmatch(image)):
            yield Fault(
                "config.softwareConfig.imageVersion",
                f"{image!r} is no image of Composer 3. Give one such as 'composer-3-airflow-3.3.1-build.2'.",
            )
        window = _at(config, "maintenanceWindow")
        if isinstance(window, Mapping) and known(window) and _hours(window) < 12:
            text = "Composer wants 12 hours a week or more, as FREQ=WEEKLY;BYDAY=SA,SU or FREQ=DAILY between two times."
            yield Fault("config.maintenanceWindow", text)
        if not _at(config, "nodeConfig", "serviceAccount"):
            yield Fault(
                "config.nodeConfig.serviceAccount",
                "No service account is named. Composer 3 demands one, and it cannot be changed later.",
            )

    def planned(self, inputs: Mapping[str, Any], outputs: Properties | None, scope: Scope) -> Properties:
        """Addresses are not known before the environment exists."""
        planned = super().planned(inputs, outputs, scope)
        if isinstance(planned.get("config"), dict):
            before = (outputs or {}).get("config", {})
            made = {name: before.get(name, UNKNOWN) for name in ("airflowUri", "dagGcsPrefix", "gkeCluster")}
            planned["config"] = {**planned["config"], **made}
        return planned

    def complete(self, inputs: Mapping[str, Any], scope: Scope) -> Properties:
        """Adds the addresses to the block in which the SDK looks for them."""
        facts = super().complete(inputs, scope)
        bucket = _at(facts, "storageConfig", "bucket")
        if known(facts) and isinstance(facts.get("config"), dict) and bucket:
            facts["config"] = {
                **facts["config"],
                "dagGcsPrefix": f"gs://{bucket}/dags",
                # The rehearsal's Airflow chooses a port when it starts; this name answers nowhere (RFC 6761).
                "airflowUri": f"https://{facts.get('name')}.airflow.invalid",
            }
        return facts

    def refuse_reference(self, facts: Properties, id: str, scope: Scope) -> None:
        """Bucket and account must exist and fit; a bucket serves one environment at a time."""
        account = str(_at(facts, "config", "nodeConfig", "serviceAccount")).rpartition("/")[2]
        refuse_missing_account(self.declared, account, str(facts["project"]))
        name = _at(facts, "storageConfig", "bucket")
        if not name:
            raise CloudError(501, "notImplemented", "The local cloud makes no bucket for it: set storageConfig.bucket.")
        found = self.rest.find(f"/storage/v1/b/{name}")
        if found is None:
            raise CloudError(400, "invalid", f"Bucket {name!r} of storageConfig does not exist.")
        if fault := _unfit(found, str(facts["region"])):
            raise CloudError(400, "invalid", f"Bucket {name!r} does not fit this environment: {fault}.")
        for other in self.declared.of_type(self.type):
            if other.id != id and _at(other.properties, "storageConfig", "bucket") == name:
                raise CloudError(400, "invalid", f"Bucket {name!r} already belongs to environment {other.id!r}.")

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """As others; Airflow's major version cannot change in place."""
        versions = [str(_at(i, "config", "softwareConfig", "imageVersion")) for i in (outputs, inputs)]
        before, after = (IMAGE.fullmatch(version) for version in versions)
        if before and after and before.group(1) != after.group(1):
            text = f"Airflow cannot go from {versions[0]!r} to {versions[1]!r} in place. Make a second environment."
            raise CloudError(400, "invalid", text)
        return super().update(id, old, inputs, outputs, scope)


def _unfit(bucket: Mapping[str, Any], region: str) -> str:
    """Why Composer would refuse a bucket: https://cloud.google.com/composer/docs/composer-3/custom-bucket."""
    if str(bucket.get("location", "")).lower() != region.lower():
        return f"it is in {bucket.get('location')!r}, the environment in {region!r}"
    if bucket.get("storageClass", "STANDARD") != "STANDARD":
        return f"its class is {bucket['storageClass']!r}, not STANDARD"
    if bucket.get("retentionPolicy"):
        return "it has a retention policy"
    return "it has a hierarchical namespace" if _at(bucket, "hierarchicalNamespace", "enabled") else ""


def _hours(window: Mapping[str, Any]) -> float:
    """The hours of a week that a maintenance window holds; 0 where its form is wrong."""
    rule = re.fullmatch(r"FREQ=(DAILY|WEEKLY;BYDAY=((?:SU|MO|TU|WE|TH|FR|SA)(?:,|$))+)", str(window.get("recurrence")))
    try:
        start, end = (datetime.fromisoformat(str(window.get(name))) for name in ("startTime", "endTime"))
    except ValueError:
        return 0
    days = 7 if rule and rule.group(1) == "DAILY" else str(window["recurrence"]).count(",") + 1
    return days * (end - start).total_seconds() / 3600 if rule else 0


def _at(value: Any, *path: str) -> Any:
    for step in path:
        if not isinstance(value, Mapping):
            return value if value is UNKNOWN else None
        value = value.get(step)
    return value
