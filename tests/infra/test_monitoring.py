"""The alerts: what each asks, whom it tells, and what it tells them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from alert_texts import LAST_WORDS, Watched, late_query, longest_pause, window

import service.run
from service.spec import ActionSpec, Input, Schedule, load_all
from tests.conftest import RunningCloud

from .conftest import Clone, Declared

POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
METRIC = "gcp:logging/metric:Metric"
CHANNEL = "gcp:monitoring/notificationChannel:NotificationChannel"
WATCHED = Watched(location="us-east4", job="tides-high-tide-training", metric="good")


def _condition(declared: Declared, policy: str, kind: str) -> dict[str, Any]:
    [condition] = declared.one(POLICY, policy)["conditions"]
    found: dict[str, Any] = condition[kind]
    return found


def test_each_action_has_an_alert_of_a_failed_run_and_one_of_no_good_run(local: Declared) -> None:
    names = {policy.name for policy in local.of_type(POLICY)}
    assert names == {f"customer_value-{a}-{what}" for a in ("training", "application") for what in ("failed", "late")}


def test_the_metric_counts_the_entry_that_the_service_writes_last(local: Declared, cloud: RunningCloud) -> None:
    assert service.run.LAST_WORDS == LAST_WORDS
    [metric] = local.of_type(METRIC)

    def counted(message: str, job: str, location: str = "europe-west1") -> bool:
        labels = {"job_name": job, "location": location, "project_id": "seal-project"}
        entry = {
            "logName": "projects/seal-project/logs/run.googleapis.com%2Fstderr",
            "resource": {"type": "cloud_run_job", "labels": labels},
            "jsonPayload": {"message": message, "run_id": "r-1"},
            "insertId": f"{job}-{location}-{len(message)}",
        }
        httpx.post(f"{cloud.url}/v2/entries:write", json={"entries": [entry]}).raise_for_status()
        question = f'{metric["filter"]} AND insertId="{entry["insertId"]}"'
        body = {"resourceNames": ["projects/seal-project"], "filter": question}
        found = httpx.post(f"{cloud.url}/v2/entries:list", json=body).raise_for_status().json()
        return bool(found.get("entries"))

    assert counted("Well done.", "local-customer-value-training")
    assert not counted("The training begins.", "local-customer-value-training")
    assert not counted("Well done.", "dev-customer-value-training"), "another stack in the same project"
    assert not counted("Well done.", "local-customer-value-training", "us-east4"), "another stack elsewhere"


@pytest.mark.parametrize(("action", "hours"), [("training", 32 * 24), ("application", 26)])
def test_no_good_run_is_noticed_after_the_pause_of_the_schedule_and_a_margin(
    local: Declared, action: str, hours: int
) -> None:
    absence = _condition(local, f"customer_value-{action}-late", "conditionPrometheusQueryLanguage")
    job, metric = f"local-customer-value-{action}", local.of_type(METRIC)[0]["name"]
    series = f'user_{metric}{{monitored_resource="cloud_run_job",location="europe-west1",job_name="{job}"}}[{hours}h]'
    assert f"absent_over_time(logging_googleapis_com:{series})" in absence["query"]
    assert absence["disableMetricValidation"] is True, "the first up would fail: the metric is a second old"
    assert local.one("gcp:cloudrunv2/job:Job", f"customer_value-{action}")["name"] == job


def test_a_new_deployment_has_the_whole_window_before_anybody_is_told() -> None:
    query = late_query(WATCHED, timedelta(hours=26), "2026-10-25T06:30:15.123456789Z")
    grace = re.search(r"vector\(time\(\)\) > (\d+)", query)
    assert grace
    assert datetime.fromtimestamp(int(grace.group(1)), UTC) == datetime(2026, 10, 26, 8, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "timezone", "pause"),
    [
        ("0 7 * * *", "UTC", timedelta(days=1)),
        ("*/5 * * * *", "UTC", timedelta(days=1)),
        ("30 2 * * *", "Europe/Berlin", timedelta(days=1)),
        ("0 0 1 * *", "UTC", timedelta(days=31)),
        ("0 6 * * 1-5", "America/New_York", timedelta(days=3)),
    ],
)
def test_the_pause_of_a_schedule_is_its_longest(cron: str, timezone: str, pause: timedelta) -> None:
    found = longest_pause(Schedule(cron=cron, timezone=timezone))
    assert abs(found - pause) <= timedelta(hours=1), "the clock is set back once a year"


def test_a_long_run_has_the_time_it_may_take() -> None:
    action = ActionSpec(
        name="training",
        input=Input(file="x.csv"),
        config="c.json",
        schedule=Schedule(cron="0 7 * * *"),
        timeout_seconds=6 * 3600,
        max_retries=1,
    )
    assert window(action) == timedelta(hours=24 + 12)


def test_a_failure_is_counted_by_the_platform_for_its_job_only(local: Declared) -> None:
    count = _condition(local, "customer_value-application-failed", "conditionThreshold")
    assert 'resource.labels.job_name="local-customer-value-application"' in count["filter"]
    assert 'metric.labels.result="failed"' in count["filter"]
    assert (count["comparison"], count["thresholdValue"], count["duration"]) == ("COMPARISON_GT", 0, "0s")


def test_every_alert_says_what_to_do_and_what_the_owner_knows(local: Declared) -> None:
    [model] = load_all()
    for policy in local.of_type(POLICY):
        notes = policy["documentation"]["content"]
        assert "gcloud" in notes, f"{policy.name}: which command shows why?"
        assert model.triage.strip() in notes, f"{policy.name}: the triage notes of model.yaml are missing"
        assert model.owner in notes
        assert len(notes) <= 8192, "Cloud Monitoring takes no more"


def test_triage_notes_of_any_length_fit(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda model: model.update(triage="Ask the harbour master. " * 900))
    for policy in clone.run().of_type(POLICY):
        assert len(policy["documentation"]["content"]) <= 8192


def test_everybody_on_the_list_is_told_of_every_alert(protected: Declared) -> None:
    channels = protected.of_type(CHANNEL)
    assert [c["labels"] for c in channels] == [
        {"email_address": "data@acme.example"},
        {"email_address": "oncall@acme.example"},
    ]
    for channel in channels:
        assert channel["forceDelete"] is True, "policies that people made would hold up `destroy`"
    for policy in protected.of_type(POLICY):
        assert len(policy["notificationChannels"]) == 2


def test_without_a_list_alerts_are_declared_and_tell_nobody(local: Declared) -> None:
    assert local.of_type(CHANNEL) == []
    assert {len(policy["notificationChannels"]) for policy in local.of_type(POLICY)} == {0}


def test_where_nothing_starts_the_jobs_nothing_is_late(clone: Clone) -> None:
    names = {policy.name for policy in clone.run(orchestrator="none").of_type(POLICY)}
    assert names == {"customer_value-training-failed", "customer_value-application-failed"}
