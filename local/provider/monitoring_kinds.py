"""Metrics of logs, alert policies and notification channels: declared, checked, and never sent to anybody.

Does not evaluate a policy. What it checks is what Cloud Monitoring refuses, as far as a declaration shows it.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from local import log_filter
from local.provider.declared_kind import DeclaredKind, now
from local.provider.kind import Scope, State
from local.provider.schemas import Fault
from local.provider.values import Properties, known
from local.wire import CloudError

COMBINERS = ("AND", "OR", "AND_WITH_MATCHING_RESOURCE")
LONGEST_NOTES = 8192  # https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Documentation
# A metric of logs, as a filter and as PromQL name it.
USER_METRIC = re.compile(r"logging\.googleapis\.com/user/([\w./-]+)|logging_googleapis_com:user_(\w+)")


class LogMetric(DeclaredKind):
    """A metric that counts log entries."""

    type = "gcp:logging/metric:Metric"
    id = "{name}"
    named = "name"

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """The filter must be one that Cloud Logging reads."""
        yield from super().faults(inputs)
        text = inputs.get("filter")
        if isinstance(text, str):
            try:
                log_filter.parse(text)
            except CloudError as error:
                yield Fault("filter", error.message)


class _Numbered(DeclaredKind):
    """A type whose name the platform makes up."""

    collection: str

    def create(self, inputs: Properties, scope: Scope) -> State:
        """As others, under a new number."""
        facts = self.complete(inputs, scope)
        self.refuse_reference(facts, "", scope)
        name = f"projects/{facts['project']}/{self.collection}/{secrets.randbelow(9 * 10**18) + 10**18}"
        return State(name, {**facts, "name": name, **self.made()})

    def made(self) -> Properties:
        """Other outputs that are fixed when the resource is made."""
        return {}

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Replace the row; what was made up stays."""
        kept = {name: outputs[name] for name in ("name", *self.made()) if name in outputs}
        return {**super().update(id, old, inputs, outputs, scope), **kept}


class AlertPolicy(_Numbered):
    """A policy with the conditions of an alert."""

    type = "gcp:monitoring/alertPolicy:AlertPolicy"
    collection = "alertPolicies"
    id = "{name}"

    def made(self) -> Properties:
        """Who made it, and when."""
        return {"creationRecords": [{"mutateTime": now(), "mutatedBy": "owner"}]}

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """Combiner, length of the notes, and each condition."""
        if known(inputs.get("combiner")) and inputs.get("combiner") not in COMBINERS:
            yield Fault("combiner", f"{inputs.get('combiner')!r} is none of {', '.join(COMBINERS)}.")
        notes = inputs.get("documentation")
        text = notes.get("content") if isinstance(notes, Mapping) else None
        if isinstance(text, str) and len(text) > LONGEST_NOTES:
            yield Fault("documentation.content", f"It has {len(text)} characters; the limit is {LONGEST_NOTES}.")
        conditions = inputs.get("conditions")
        for number, condition in enumerate(conditions if isinstance(conditions, list) else []):
            if isinstance(condition, Mapping):
                yield from _condition_faults(f"conditions[{number}]", condition, inputs)

    def refuse_reference(self, facts: Properties, id: str, scope: Scope) -> None:
        """Channels and metrics of logs must exist: a policy about a metric that nobody feeds never fires."""
        for channel in facts.get("notificationChannels") or []:
            if self.declared.get(NotificationChannel.type, str(channel)) is None:
                raise CloudError(400, "invalid", f"Notification channel {channel!r} does not exist.")
        metrics = {metric.id for metric in self.declared.of_type(LogMetric.type)}
        names = metrics | {re.sub(r"\W", "_", metric) for metric in metrics}
        for path, plain in USER_METRIC.findall(str(facts.get("conditions"))):
            if (path or plain) not in names:
                text = f'Cannot find metric(s) that match type = "logging.googleapis.com/user/{path or plain}".'
                raise CloudError(404, "notFound", text)


def _condition_faults(place: str, condition: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Fault]:
    kinds = [name for name in condition if name.startswith("condition")]
    if len(kinds) != 1:
        yield Fault(place, f"It must be of one kind, and has {len(kinds)}: {', '.join(kinds) or 'no condition…'}.")
        return
    block = condition[kinds[0]]
    if not isinstance(block, Mapping):
        return
    if kinds == ["conditionAbsent"] and _seconds(block.get("duration")) > 84_600:
        yield Fault(f"{place}.conditionAbsent.duration", "An absence can last 23.5 hours at most. Use PromQL.")
    if kinds == ["conditionMatchedLog"] and "notificationRateLimit" not in (policy.get("alertStrategy") or {}):
        yield Fault("alertStrategy.notificationRateLimit", "It is required with a condition on log entries.")
    query = block.get("query")
    if kinds == ["conditionPrometheusQueryLanguage"] and isinstance(query, str):
        if any(query.count(opening) != query.count(closing) for opening, closing in ("()", "[]", "{}")):
            yield Fault(f"{place}.{kinds[0]}.query", "Its brackets do not match.")
        if "logging_googleapis_com:user_" in query and block.get("disableMetricValidation") is not True:
            reason = "A new metric of logs is unknown to Monitoring for up to 10 minutes. Set it to true."
            yield Fault(f"{place}.{kinds[0]}.disableMetricValidation", reason)


def _seconds(duration: Any) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(duration))
    return float(match.group(1)) if match else 0


class NotificationChannel(_Numbered):
    """Where alerts go."""

    type = "gcp:monitoring/notificationChannel:NotificationChannel"
    collection = "notificationChannels"
    id = "{name}"

    def made(self) -> Properties:
        """Mail addresses of a project's own people need no verification."""
        return {"verificationStatus": "VERIFICATION_STATUS_UNSPECIFIED"}

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """A channel by mail needs an address."""
        labels = inputs.get("labels")
        if inputs.get("type") == "email" and known(labels):
            address = labels.get("email_address") if isinstance(labels, Mapping) else None
            if not re.fullmatch(r"[^@\s]+@[^@\s]+", str(address or "")):
                yield Fault("labels.email_address", f"{address!r} is no e-mail address.")

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Refused while a policy names it, unless `forceDelete` takes it off there."""
        for policy in self.declared.of_type(AlertPolicy.type):
            if id in (policy.properties.get("notificationChannels") or []) and not outputs.get("forceDelete"):
                text = f"Notification channel {id!r} is used by {policy.id!r}. Set forceDelete, or take it off there."
                raise CloudError(400, "failedPrecondition", text)
