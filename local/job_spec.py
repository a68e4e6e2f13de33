"""What a Cloud Run job declares: the rules of the service for it, its defaults, and the overrides of one run.

Does not own jobs that exist (jobs.py) or what runs (executions.py).
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from local import labels, secret_values
from local.run_store import Resource
from local.wire import CloudError

TASK_DEFAULTS = {"maxRetries": 3, "timeout": "600s", "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2"}
LIMITS = {"cpu": "1000m", "memory": "512Mi"}  # kept and answered, not enforced on a laptop
MAX_TIMEOUT_SECONDS = 168 * 3600
MAX_TASKS, MAX_RETRIES = 10_000, 10
_JOB_ID = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
_SECONDS = re.compile(r"(\d+(?:\.\d{1,9})?)s")

_OUTPUT_ONLY = {
    "name", "uid", "generation", "createTime", "updateTime", "deleteTime", "expireTime", "creator", "lastModifier",
    "observedGeneration", "terminalCondition", "conditions", "executionCount", "latestCreatedExecution", "reconciling",
    "satisfiesPzs", "etag",
}  # fmt: skip
# The fields of each message: those that count here, and those that would need what a laptop lacks.
_JOB = {"labels", "annotations", "client", "clientVersion", "launchStage", "binaryAuthorization", "template"}
_JOB_LACKS = {"startExecutionToken", "runExecutionToken"}
_EXECUTION = {"labels", "annotations", "parallelism", "taskCount", "template"}
_TASK = {"containers", "maxRetries", "timeout", "serviceAccount", "executionEnvironment", "vpcAccess"}
_TASK_LACKS = {"volumes", "encryptionKey", "nodeSelector", "gpuZonalRedundancyDisabled"}
_NETWORK = {"connector", "egress", "networkInterfaces"}
_CONTAINER = {"name", "image", "command", "args", "env", "resources"}
_CONTAINER_LACKS = {
    "ports", "volumeMounts", "workingDir", "livenessProbe", "startupProbe", "readinessProbe", "dependsOn",
    "baseImageUri", "buildInfo",
}  # fmt: skip


def check_id(job_id: str) -> None:
    """Refuse an impossible job id.

    Raises:
        CloudError: 400.
    """
    if not _JOB_ID.fullmatch(job_id):
        rule = (
            "use at most 49 lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen"
        )
        raise _bad(f"Job id {job_id!r} is not valid: {rule}")


def declared(body: Mapping[str, Any]) -> Resource:
    """The declared part of a job, checked, with the service's defaults.

    Raises:
        CloudError: 400 for what the service refuses, 501 for what the local cloud lacks, naming the field.
    """
    job = _known(body, "", _JOB | _OUTPUT_ONLY, _JOB_LACKS)
    kept = {name: value for name, value in job.items() if name in _JOB}
    if wrong := labels.fault(kept.get("labels", {})):
        raise _bad(f"labels: {wrong}")
    execution = _known(kept.get("template"), "template", _EXECUTION)
    task = _known(execution.get("template"), "template.template", _TASK, _TASK_LACKS)
    task = TASK_DEFAULTS | task
    task["containers"] = [_container(task.get("containers"))]
    _known(task.get("vpcAccess", {}), "template.template.vpcAccess", _NETWORK)
    seconds(task["timeout"], "template.template.timeout")
    task["maxRetries"] = _whole(task["maxRetries"], "template.template.maxRetries", 0, MAX_RETRIES)
    execution["taskCount"] = _whole(execution.get("taskCount", 1), "template.taskCount", 1, MAX_TASKS)
    if "parallelism" in execution:
        execution["parallelism"] = _whole(execution["parallelism"], "template.parallelism", 0, MAX_TASKS)
    return {"launchStage": "GA"} | kept | {"template": execution | {"template": task}}


def for_run(job: Resource, overrides: Mapping[str, Any]) -> Resource:
    """The execution template of one run: what the job declares, with the overrides of `jobs.run`.

    Raises:
        CloudError: 400 for an override that the service refuses.
    """
    _known(overrides, "overrides", {"containerOverrides", "taskCount", "timeout"})
    template: Resource = copy.deepcopy(job["template"])
    if overrides.get("taskCount"):
        template["taskCount"] = _whole(overrides["taskCount"], "overrides.taskCount", 1, MAX_TASKS)
    if overrides.get("timeout"):
        seconds(overrides["timeout"], "overrides.timeout")
        template["template"]["timeout"] = overrides["timeout"]
    container = template["template"]["containers"][0]
    for number, change in enumerate(overrides.get("containerOverrides") or []):
        _override(container, change, f"overrides.containerOverrides[{number}]")
    return template


def seconds(text: Any, field: str) -> float:
    """A duration such as `600s`.

    Raises:
        CloudError: 400 when it is none, or not one that a task may have.
    """
    match = _SECONDS.fullmatch(str(text))
    if not match or not 0 < float(match[1]) <= MAX_TIMEOUT_SECONDS:
        raise _bad(f"{field}: {text!r} is not a duration in seconds of at most {MAX_TIMEOUT_SECONDS}s, such as '600s'")
    return float(match[1])


def _container(containers: Any) -> Resource:
    if not isinstance(containers, list) or not containers:
        raise _bad("template.template.containers: a job needs a container")
    if len(containers) > 1:
        raise _lacking("template.template.containers: more than one container")
    place = "template.template.containers[0]"
    container = _known(containers[0], place, _CONTAINER, _CONTAINER_LACKS)
    if not container.get("image"):
        raise _bad(f"{place}.image is missing")
    container["env"] = _environment(container.get("env") or [], f"{place}.env")
    resources = container.get("resources") or {}
    container["resources"] = resources | {"limits": LIMITS | (resources.get("limits") or {})}
    return container


def _override(container: Resource, change: Any, place: str) -> None:
    known = _known(change, place, {"name", "args", "env", "clearArgs"})
    if known.get("name") and known["name"] != container.get("name"):
        raise _bad(f"{place}.name: the job has no container {known['name']!r}")
    if known.get("args"):
        container["args"] = [str(argument) for argument in known["args"]]
    elif known.get("clearArgs"):
        container["args"] = []
    merged = {variable["name"]: variable for variable in container["env"]}
    merged |= {variable["name"]: variable for variable in _environment(known.get("env") or [], f"{place}.env")}
    container["env"] = list(merged.values())


def _environment(variables: list[Any], place: str) -> list[Resource]:
    kept = []
    for number, variable in enumerate(variables):
        here = f"{place}[{number}]"
        known = _known(variable, here, {"name", "value", "valueSource"})
        if not known.get("name") or "=" in known["name"]:
            raise _bad(f"{here}.name: {known.get('name')!r} cannot name a variable")
        if source := known.get("valueSource"):
            kept.append({"name": known["name"], "valueSource": secret_values.checked(source, f"{here}.valueSource")})
        else:
            kept.append({"name": known["name"], "value": str(known.get("value", ""))})
    return kept


def _known(message: Any, place: str, fields: set[str], lacks: frozenset[str] | set[str] = frozenset()) -> Resource:
    """The fields that are set; an unknown one is refused as the real service does, one we lack as not implemented."""
    if not isinstance(message, Mapping):
        raise _bad(f"{place or 'the body'} must be an object, not {message!r}")
    kept = {name: value for name, value in message.items() if value is not None}
    for name in kept:
        here = f"{place}.{name}" if place else name
        if name in lacks and kept[name]:
            raise _lacking(here)
        if name not in fields | lacks:
            raise _bad(f"Unknown name {here!r}: Cannot find field.")
    return {name: value for name, value in kept.items() if name not in lacks}


def _whole(value: Any, field: str, least: int, most: int) -> int:
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    if not str(value).isdigit() or not least <= int(value) <= most:
        raise _bad(f"{field}: {value!r} is not a whole number from {least} to {most}")
    return int(value)


def _bad(message: str) -> CloudError:
    return CloudError(400, "badRequest", message)


def _lacking(field: str) -> CloudError:
    return CloudError(501, "notImplemented", f"The local cloud does not support {field} of a Cloud Run job")
