"""What no stack may declare: a rule looks at a resource, or at all of them, and says what is wrong and what to do.

Pure: takes resources with inputs in camelCase, as the engine and the tests' recorder have them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Inputs = Mapping[str, Any]
Faults = Iterator[str]

BUCKET = "gcp:storage/bucket:Bucket"
ENVIRONMENT = "gcp:composer/environment:Environment"
JOB = "gcp:cloudrunv2/job:Job"
BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
# Roles that no smaller resource offers.
PROJECT_ROLES = ("roles/bigquery.jobUser", "roles/composer.worker")
# Types that can carry labels, with the input that holds them.
LABELLED = {
    "gcp:artifactregistry/repository:Repository": "labels",
    "gcp:bigquery/dataset:Dataset": "labels",
    "gcp:bigquery/table:Table": "labels",
    JOB: "labels",
    ENVIRONMENT: "labels",
    "gcp:monitoring/alertPolicy:AlertPolicy": "userLabels",
    "gcp:monitoring/notificationChannel:NotificationChannel": "userLabels",
    BUCKET: "labels",
}
AIRFLOW_MAJOR = "3"  # what dags/ is written for
LONGEST_TASK_SECONDS = 168 * 3600  # https://cloud.google.com/run/docs/configuring/task-timeout
# Some failures show only after 40 minutes: https://cloud.google.com/composer/docs/composer-3/create-environments
COMPOSER_SECONDS = 90 * 60


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as the program declares it; a time limit of 0 is the provider's own."""

    type: str
    inputs: Inputs
    create_seconds: float = 0
    update_seconds: float = 0


@dataclass(frozen=True)
class Rule:
    """A rule about one resource: why it is there, and what finds its faults."""

    description: str
    faults: Callable[[Resource], Faults]


@dataclass(frozen=True)
class StackRule:
    """A rule that needs several resources to see."""

    description: str
    faults: Callable[[Sequence[Resource]], Faults]


def _public_grant(resource: Resource) -> Faults:
    if _is_grant(resource) and resource.inputs["member"] in ("allUsers", "allAuthenticatedUsers"):
        yield f"Member '{resource.inputs['member']}' is everybody. Name an account or a group."


def _basic_role(resource: Resource) -> Faults:
    if _is_grant(resource) and resource.inputs["role"] in BASIC_ROLES:
        yield f"Role '{resource.inputs['role']}' opens everything. Grant the smallest role that works."


def _project_role(resource: Resource) -> Faults:
    if resource.type == "gcp:projects/iAMMember:IAMMember" and resource.inputs["role"] not in PROJECT_ROLES:
        yield f"Role '{resource.inputs['role']}' is granted on the whole project. Grant it on the resource."


def _evicting_grant(resource: Resource) -> Faults:
    if re.search(r"(IAM|Iam)(Binding|Policy)$", resource.type):
        yield "It takes away what others have granted. Use the resource that ends in Member."


def _account_key(resource: Resource) -> Faults:
    if resource.type == "gcp:serviceaccount/key:Key":
        yield "A key can be copied and does not expire. Attach the account instead, or use federation."


def _moving_image(resource: Resource) -> Faults:
    if resource.type == JOB:
        for container in resource.inputs["template"]["template"]["containers"]:
            if not re.search(r"@sha256:[0-9a-f]{64}$", container["image"]):
                yield f"Image '{container['image']}' can move under a deployed job. Name it by its digest."


def _open_bucket(resource: Resource) -> Faults:
    if resource.type == BUCKET:
        if resource.inputs.get("uniformBucketLevelAccess") is not True:
            yield "Objects could be opened one by one. Set uniform_bucket_level_access=True."
        if resource.inputs.get("publicAccessPrevention") != "enforced":
            yield "A later grant could make it public. Set public_access_prevention='enforced'."


def _endless_bucket(resource: Resource) -> Faults:
    if resource.type == BUCKET and not resource.inputs.get("lifecycleRules"):
        yield "What is overwritten is kept and paid for without end. Give it lifecycle rules."


def _expiring_versions(resource: Resource) -> Faults:
    if resource.type == BUCKET and str(resource.inputs.get("name")).endswith("-models"):
        for rule in resource.inputs.get("lifecycleRules") or []:
            condition = rule["condition"]
            old = condition.get("withState") == "ARCHIVED" or "daysSinceNoncurrentTime" in condition
            if rule["action"]["type"] == "Delete" and not old:
                yield "A lifecycle rule would delete versions that are current. Give it with_state='ARCHIVED'."


def _dear_table(resource: Resource) -> Faults:
    # Of a model's tables only its predictions grow with every day; runs are few, and views hold none.
    inputs = resource.inputs
    if resource.type == "gcp:bigquery/table:Table" and "model" in (inputs.get("labels") or {}) and "view" not in inputs:
        for key in ("timePartitioning", "requirePartitionFilter", "clusterings"):
            if not inputs["tableId"].endswith("_runs") and not inputs.get(key):
                yield f"'{key}' is missing: each query would pay for every day there ever was."


def _nobodys_resource(resource: Resource) -> Faults:
    if resource.type in LABELLED:
        given = resource.inputs.get(LABELLED[resource.type]) or {}
        for key in sorted({"stack", "owner"} - given.keys()):
            yield f"Label '{key}' is missing: nobody could tell who pays for it. Use settings.labels()."


def _moving_airflow(resource: Resource) -> Faults:
    image = _airflow_image(resource)
    if image and not re.fullmatch(r"composer-3-airflow-\d+\.\d+\.\d+-build\.\d+", image):
        yield f"Image '{image}' is no pinned build of Composer 3: it would be another one tomorrow."


def _other_airflow(resource: Resource) -> Faults:
    image = _airflow_image(resource)
    found = re.search(r"-airflow-(\d+)", image)
    if found and found.group(1) != AIRFLOW_MAJOR:
        what = f"Image '{image}' has Airflow {found.group(1)}, the DAGs are written for {AIRFLOW_MAJOR}"
        yield f"{what}. No environment changes its major version in place: make a second one beside it."


def _airflow_image(resource: Resource) -> str:
    return str(resource.inputs["config"]["softwareConfig"]["imageVersion"]) if resource.type == ENVIRONMENT else ""


def _hasty_environment(resource: Resource) -> Faults:
    if resource.type == ENVIRONMENT and min(resource.create_seconds, resource.update_seconds) < COMPOSER_SECONDS:
        yield "Composer takes up to an hour to begin or change. Set custom_timeouts of 90 minutes or more."


def _distant_bucket(resources: Sequence[Resource]) -> Faults:
    places = {r.inputs["name"]: r.inputs["location"] for r in resources if r.type == BUCKET}
    for environment in [r for r in resources if r.type == ENVIRONMENT]:
        bucket, region = environment.inputs["storageConfig"]["bucket"], environment.inputs["region"]
        place = str(places.get(bucket, region))  # one that another stack made is not seen here
        if place.lower() != region.lower():
            yield f"Bucket '{bucket}' is in '{place}', its Airflow in '{region}'. Composer wants both in one region."


def _endless_task(resource: Resource) -> Faults:
    if resource.type == JOB:
        task = resource.inputs["template"]["template"]
        seconds = re.fullmatch(r"(\d+)s", str(task.get("timeout")))
        if not seconds or not 0 < int(seconds.group(1)) <= LONGEST_TASK_SECONDS:
            yield f"Timeout '{task.get('timeout')}' is none that Cloud Run takes. Set it in seconds, such as '3600s'."
        if "maxRetries" not in task:
            yield "max_retries is missing: Google's default of 3 repeats a failing run for hours."


def _is_grant(resource: Resource) -> bool:
    return resource.type.endswith(("IamMember", "IAMMember"))


RULES: Mapping[str, Rule] = {
    "no-public-grant": Rule("Nothing is open to everybody.", _public_grant),
    "no-basic-role": Rule("Nobody gets owner, editor or viewer, which BigQuery copies into datasets.", _basic_role),
    "no-wide-grant": Rule("A role is granted on its resource wherever there is one.", _project_role),
    "no-evicting-grant": Rule("Grants only add.", _evicting_grant),
    "no-account-key": Rule("Service accounts have no keys.", _account_key),
    "image-by-digest": Rule("A job's image is named by its digest.", _moving_image),
    "closed-buckets": Rule("Buckets have uniform access and cannot become public.", _open_bucket),
    "bucket-lifecycle": Rule("Every bucket says what expires.", _endless_bucket),
    "lasting-versions": Rule("No lifecycle rule deletes a version.", _expiring_versions),
    "partitioned-predictions": Rule("Predictions are partitioned, clustered, and asked for by date.", _dear_table),
    "owned-resources": Rule("Whatever can cost money says whose it is.", _nobodys_resource),
    "pinned-airflow": Rule("Composer runs a pinned build.", _moving_airflow),
    "airflow-major": Rule("No environment changes Airflow's major version in place.", _other_airflow),
    "patient-airflow": Rule("Composer gets the time it needs.", _hasty_environment),
    "bounded-tasks": Rule("A task has a time limit and a number of retries.", _endless_task),
}
STACK_RULES: Mapping[str, StackRule] = {
    "airflow-bucket-region": StackRule("Airflow and the bucket of its DAGs are in one region.", _distant_bucket),
}
