"""What no stack may declare: a rule looks at one resource and says what is wrong with it and what to do.

Pure: takes a type and the inputs in camelCase, as the engine and the tests' recorder have them. Does not own what needs
two resources to see, such as a bucket in another region than its environment.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Inputs = Mapping[str, Any]
Faults = Iterator[str]

BASIC_ROLES = ("roles/owner", "roles/editor", "roles/viewer")
# Roles that no smaller resource offers.
PROJECT_ROLES = ("roles/bigquery.jobUser", "roles/composer.worker")
LABELLED = (
    "gcp:artifactregistry/repository:Repository",
    "gcp:bigquery/dataset:Dataset",
    "gcp:bigquery/table:Table",
    "gcp:cloudrunv2/job:Job",
    "gcp:composer/environment:Environment",
    "gcp:storage/bucket:Bucket",
)
LONGEST_TASK_SECONDS = 168 * 3600  # https://cloud.google.com/run/docs/configuring/task-timeout


@dataclass(frozen=True)
class Rule:
    """A rule: why it is there, and what finds its faults in a resource of a type."""

    description: str
    faults: Callable[[str, Inputs], Faults]


def _public_grant(type: str, inputs: Inputs) -> Faults:
    if _is_grant(type) and inputs["member"] in ("allUsers", "allAuthenticatedUsers"):
        yield f"Member '{inputs['member']}' is everybody. Name an account or a group."


def _basic_role(type: str, inputs: Inputs) -> Faults:
    if _is_grant(type) and inputs["role"] in BASIC_ROLES:
        yield f"Role '{inputs['role']}' opens everything. Grant the smallest role that works."


def _project_role(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:projects/iAMMember:IAMMember" and inputs["role"] not in PROJECT_ROLES:
        yield f"Role '{inputs['role']}' is granted on the whole project. Grant it on the resource."


def _evicting_grant(type: str, _: Inputs) -> Faults:
    if re.search(r"(IAM|Iam)(Binding|Policy)$", type):
        yield "It takes away what others have granted. Use the resource that ends in Member."


def _account_key(type: str, _: Inputs) -> Faults:
    if type == "gcp:serviceaccount/key:Key":
        yield "A key can be copied and does not expire. Attach the account instead, or use federation."


def _moving_image(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:cloudrunv2/job:Job":
        for container in inputs["template"]["template"]["containers"]:
            if not re.search(r"@sha256:[0-9a-f]{64}$", container["image"]):
                yield f"Image '{container['image']}' can move under a deployed job. Name it by its digest."


def _open_bucket(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:storage/bucket:Bucket":
        if inputs.get("uniformBucketLevelAccess") is not True:
            yield "Objects could be opened one by one. Set uniform_bucket_level_access=True."
        if inputs.get("publicAccessPrevention") != "enforced":
            yield "A later grant could make it public. Set public_access_prevention='enforced'."


def _endless_bucket(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:storage/bucket:Bucket" and not inputs.get("lifecycleRules"):
        yield "What is overwritten is kept and paid for without end. Give it lifecycle rules."


def _dear_table(type: str, inputs: Inputs) -> Faults:
    # Of a model's tables only its predictions grow with every day; runs are few, and views hold none.
    if type == "gcp:bigquery/table:Table" and "model" in (inputs.get("labels") or {}) and "view" not in inputs:
        for key in ("timePartitioning", "requirePartitionFilter", "clusterings"):
            if not inputs["tableId"].endswith("_runs") and not inputs.get(key):
                yield f"'{key}' is missing: each query would pay for every day there ever was."


def _nobodys_resource(type: str, inputs: Inputs) -> Faults:
    if type in LABELLED:
        for key in sorted({"stack", "owner"} - (inputs.get("labels") or {}).keys()):
            yield f"Label '{key}' is missing: nobody could tell who pays for it. Use settings.labels()."


def _other_airflow(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:composer/environment:Environment":
        image = inputs["config"]["softwareConfig"]["imageVersion"]
        if not re.fullmatch(r"composer-3-airflow-3\.\d+\.\d+-build\.\d+", image):
            yield f"Image '{image}' is no pinned build of Airflow 3; another major version needs a new environment."


def _endless_task(type: str, inputs: Inputs) -> Faults:
    if type == "gcp:cloudrunv2/job:Job":
        task = inputs["template"]["template"]
        seconds = re.fullmatch(r"(\d+)s", str(task.get("timeout")))
        if not seconds or not 0 < int(seconds.group(1)) <= LONGEST_TASK_SECONDS:
            yield f"Timeout '{task.get('timeout')}' is none that Cloud Run takes. Set it in seconds, such as '3600s'."
        if "maxRetries" not in task:
            yield "max_retries is missing: Google's default of 3 repeats a failing run for hours."


def _is_grant(type: str) -> bool:
    return type.endswith(("IamMember", "IAMMember"))


RULES: Mapping[str, Rule] = {
    "no-public-grant": Rule("Nothing is open to everybody.", _public_grant),
    "no-basic-role": Rule("Nobody gets owner, editor or viewer, which BigQuery copies into datasets.", _basic_role),
    "no-wide-grant": Rule("A role is granted on its resource wherever there is one.", _project_role),
    "no-evicting-grant": Rule("Grants only add.", _evicting_grant),
    "no-account-key": Rule("Service accounts have no keys.", _account_key),
    "image-by-digest": Rule("A job's image is named by its digest.", _moving_image),
    "closed-buckets": Rule("Buckets have uniform access and cannot become public.", _open_bucket),
    "bucket-lifecycle": Rule("Every bucket says what expires.", _endless_bucket),
    "partitioned-predictions": Rule("Predictions are partitioned, clustered, and asked for by date.", _dear_table),
    "owned-resources": Rule("Whatever can cost money says whose it is.", _nobodys_resource),
    "pinned-airflow": Rule("Composer runs a pinned build of Airflow 3.", _other_airflow),
    "bounded-tasks": Rule("A task has a time limit and a number of retries.", _endless_task),
}
