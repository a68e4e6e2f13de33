"""Metrics of logs, alert policies and channels as the program declares them, asked as the engine asks."""

from typing import Any

import pytest

from .client import Client, refused

CHANNEL = "gcp:monitoring/notificationChannel:NotificationChannel"
METRIC = "gcp:logging/metric:Metric"
POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"


def promql(query: str, **more: Any) -> dict[str, Any]:
    block = {"query": query, "duration": "0s", "disableMetricValidation": True, **more}
    return policy({"displayName": "late", "conditionPrometheusQueryLanguage": block})


def policy(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"displayName": "a policy", "combiner": "OR", "conditions": list(conditions), **more}


def channel(client: Client, **more: Any) -> tuple[str, dict[str, Any]]:
    return client.create(CHANNEL, {"type": "email", "labels": {"email_address": "a@example.com"}, **more})


def test_a_policy_reads_back_without_drift_and_changes_in_place(client: Client) -> None:
    client.create(METRIC, {"name": "good_a", "filter": 'severity="INFO"'})
    inputs = promql("absent_over_time(logging_googleapis_com:user_good_a[26h])")
    id, outputs = client.create(POLICY, inputs)
    assert outputs["name"] == id
    assert id.startswith("projects/test-project/alertPolicies/")
    read = client.read(POLICY, id, inputs, outputs)
    assert read
    assert client.diff(POLICY, read[0], inputs, read[1]) == {}
    changed = inputs | {"displayName": "another"}
    assert client.diff(POLICY, inputs, changed, outputs) == {"displayName": False}
    after = client.update(POLICY, id, inputs, changed, outputs)
    assert (after["name"], after["creationRecords"]) == (id, outputs["creationRecords"])


def test_a_metric_of_another_name_is_another_metric(client: Client) -> None:
    old, new = ({"name": name, "filter": "a"} for name in ("one", "two"))
    assert client.diff(METRIC, old, new) == {"name": True}


def test_a_filter_that_cloud_logging_cannot_read_is_refused(client: Client) -> None:
    assert client.refusals(METRIC, {"name": "bad", "filter": 'severity=("INFO"'})[0].startswith("filter: ")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (promql("absent_over_time(x[1h]"), "conditions[0].conditionPrometheusQueryLanguage.query"),
        (
            promql("logging_googleapis_com:user_good > 1", disableMetricValidation=False),
            "conditions[0].conditionPrometheusQueryLanguage.disableMetricValidation",
        ),
        (policy({"displayName": "empty"}), "conditions[0]"),
        (
            policy({"displayName": "long", "conditionAbsent": {"duration": "93600s", "filter": "x"}}),
            "conditions[0].conditionAbsent.duration",
        ),
        (
            policy({"displayName": "log", "conditionMatchedLog": {"filter": "severity=ERROR"}}),
            "alertStrategy.notificationRateLimit",
        ),
        (promql("up == 0") | {"combiner": "ANY"}, "combiner"),
        (promql("up == 0") | {"documentation": {"content": "x" * 9000}}, "documentation.content"),
    ],
)
def test_a_policy_that_monitoring_refuses_is_refused_before_anything_is_made(
    client: Client, wrong: dict[str, Any], place: str
) -> None:
    assert client.refusals(POLICY, wrong)[0].startswith(f"{place}: ")


def test_a_policy_about_a_metric_that_nobody_declared_is_refused(client: Client) -> None:
    text = refused(lambda: client.create(POLICY, promql("absent_over_time(logging_googleapis_com:user_nowhere[1h])")))
    assert "Cannot find metric" in text


def test_a_policy_needs_its_channels(client: Client) -> None:
    gone = ["projects/test-project/notificationChannels/1"]
    assert "does not exist" in refused(
        lambda: client.create(POLICY, promql("up == 0") | {"notificationChannels": gone})
    )


def test_a_channel_by_mail_needs_an_address(client: Client) -> None:
    wrong = {"type": "email", "labels": {"email_address": "the team"}}
    assert client.refusals(CHANNEL, wrong)[0].startswith("labels.email_address: ")
    assert client.refusals(CHANNEL, wrong | {"labels": {"email_address": "The.Team@example.com"}}) == []


def test_a_channel_in_use_goes_only_when_that_was_declared(client: Client) -> None:
    id, outputs = channel(client)
    client.create(POLICY, promql("up == 0") | {"notificationChannels": [id]})
    assert "is used by" in refused(lambda: client.delete(CHANNEL, id, outputs))
    client.delete(CHANNEL, id, {**outputs, "forceDelete": True})
    assert client.read(CHANNEL, id, {}, outputs) is None
