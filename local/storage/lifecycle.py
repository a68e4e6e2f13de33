"""Lifecycle rules of buckets, as far as their form goes: they are kept and answered, never run.

https://cloud.google.com/storage/docs/json_api/v1/buckets#resource-representations
"""

from collections.abc import Mapping
from typing import Any

from local.storage.resources import CLASSES
from local.storage.routes import invalid, words

ACTIONS = words("Delete SetStorageClass AbortIncompleteMultipartUpload")
NUMBERS = words("age daysSinceCustomTime daysSinceNoncurrentTime numNewerVersions")
CONDITIONS = NUMBERS | words(
    "createdBefore customTimeBefore isLive matchesPrefix matchesStorageClass matchesSuffix noncurrentTimeBefore"
)


def check(lifecycle: Mapping[str, Any]) -> None:
    """Refuse rules that Cloud Storage refuses.

    Raises:
        CloudError: 400 naming the rule.
    """
    for number, rule in enumerate(lifecycle.get("rule") or []):
        if fault := _fault(rule):
            raise invalid(f"Invalid lifecycle.rule[{number}]: {fault}")


def _fault(rule: Any) -> str:
    if not isinstance(rule, Mapping) or not all(isinstance(rule.get(n), Mapping) for n in ("action", "condition")):
        return f"expected an action and a condition, not {rule!r}"
    action = rule["action"]
    condition = {name: value for name, value in rule["condition"].items() if value is not None}
    if action.get("type") not in ACTIONS:
        return f"action {action.get('type')!r} is not one of {', '.join(sorted(ACTIONS))}"
    if action["type"] == "SetStorageClass" and action.get("storageClass") not in CLASSES:
        return f"storage class {action.get('storageClass')!r} is not one of {', '.join(sorted(CLASSES))}"
    if unknown := sorted(condition.keys() - CONDITIONS):
        return f"condition {unknown[0]!r} is not one of {', '.join(sorted(CONDITIONS))}"
    wrong = [name for name in sorted(NUMBERS & condition.keys()) if not _is_whole(condition[name])]
    return f"condition {wrong[0]!r} is {condition[wrong[0]]!r}, not a whole number from 0" if wrong else ""


def _is_whole(value: Any) -> bool:
    return str(value).removesuffix(".0").isdigit()  # Pulumi sends every number with a fraction
