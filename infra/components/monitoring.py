"""Alerts: a run failed, or there was no good run for too long; and whom they reach.

Does not own what is asked and said (alert_texts.py) or what happens in a run (service/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import alert_texts
import pulumi
import pulumi_gcp as gcp
from alert_texts import Watched
from settings import StackSettings

from service.spec import ActionSpec, ModelSpec


@dataclass(frozen=True, kw_only=True)
class AlertingArgs:
    """The stack, which says whom to tell."""

    stack: StackSettings


class Alerting(pulumi.ComponentResource):
    """What the alerts of all models share: the metric of good runs, and the channels to people."""

    channels: list[pulumi.Output[str]]

    def __init__(self, name: str, args: AlertingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:Alerting", name, None, opts)
        gcp.logging.Metric(
            "good-runs",
            name=alert_texts.good_runs_metric(args.stack.name),
            description="Runs that ended well, by job.",
            filter=alert_texts.good_runs_filter(args.stack.name, args.stack.region),
            metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(metric_kind="DELTA", value_type="INT64", unit="1"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.channels = [self._create_channel(email, args).name for email in args.stack.alert_emails]
        self.register_outputs({"channels": self.channels})

    def _create_channel(self, email: str, args: AlertingArgs) -> gcp.monitoring.NotificationChannel:
        return gcp.monitoring.NotificationChannel(
            f"alerts-{email}",
            type="email",
            display_name=f"predictions {args.stack.name}: {email}",
            labels={"email_address": email},
            # People attach it to policies of their own, which would hold up `destroy`.
            force_delete=True,
            user_labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(parent=self),
        )


@dataclass(frozen=True, kw_only=True)
class ModelAlertsArgs:
    """The model, its jobs and the times they were made by action, and what all alerts share.

    Attributes:
        scheduled: whether something starts the jobs, so that their absence means anything.
    """

    stack: StackSettings
    model: ModelSpec
    jobs: Mapping[str, str]
    deployed_at: Mapping[str, pulumi.Input[str]]
    channels: Sequence[pulumi.Input[str]]
    scheduled: bool


class ModelAlerts(pulumi.ComponentResource):
    """The alerts of one model, two per action."""

    def __init__(self, name: str, args: ModelAlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelAlerts", name, None, opts)
        for action in args.model.actions.values():
            watched = Watched(
                location=args.stack.region,
                job=args.jobs[action.name],
                metric=alert_texts.good_runs_metric(args.stack.name),
            )
            self._create_failed(action, watched, args)
            if args.scheduled:
                self._create_late(action, watched, args)
        self.register_outputs({})

    def _create_failed(self, action: ActionSpec, watched: Watched, args: ModelAlertsArgs) -> None:
        # Cloud Run's own count: it includes what ends a run before it can write a word, such as too little memory.
        count = gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=alert_texts.failed_filter(watched),
            comparison="COMPARISON_GT",
            threshold_value=0,
            duration="0s",
            aggregations=[
                gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                    alignment_period="300s", per_series_aligner="ALIGN_DELTA"
                )
            ],
        )
        what = f"{args.model.name} {action.name} failed"
        condition = gcp.monitoring.AlertPolicyConditionArgs(display_name=what, condition_threshold=count)
        notes = alert_texts.failed_notes(args.model, action, args.stack.project, watched)
        self._create_policy(f"{args.model.name}-{action.name}-failed", what, condition, notes, "ERROR", args)

    def _create_late(self, action: ActionSpec, watched: Watched, args: ModelAlertsArgs) -> None:
        window = alert_texts.window(action)
        absence = gcp.monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
            # Not condition_absent, which ends at 23.5 hours and never begins before a first point.
            query=pulumi.Output.from_input(args.deployed_at[action.name]).apply(
                lambda made: alert_texts.late_query(watched, window, made)
            ),
            duration="0s",
            evaluation_interval="300s",
            # A metric of logs exists for Monitoring only minutes after it is made, and the first `up` would fail:
            # https://github.com/hashicorp/terraform-provider-google/issues/11102
            disable_metric_validation=True,
        )
        what = f"{args.model.name} {action.name} is late"
        condition = gcp.monitoring.AlertPolicyConditionArgs(
            display_name=what, condition_prometheus_query_language=absence
        )
        notes = alert_texts.late_notes(args.model, action, watched)
        self._create_policy(f"{args.model.name}-{action.name}-late", what, condition, notes, "CRITICAL", args)

    def _create_policy(
        self,
        name: str,
        what: str,
        condition: gcp.monitoring.AlertPolicyConditionArgs,
        notes: str,
        severity: str,
        args: ModelAlertsArgs,
    ) -> None:
        gcp.monitoring.AlertPolicy(
            name,
            display_name=f"predictions {args.stack.name}: {what}",
            combiner="OR",
            conditions=[condition],
            documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=notes, mime_type="text/markdown"),
            # A failure is a single point, after which nothing would ever say that it is over.
            alert_strategy=gcp.monitoring.AlertPolicyAlertStrategyArgs(auto_close="86400s"),
            notification_channels=list(args.channels),
            severity=severity,
            user_labels=args.stack.labels(args.model),
            opts=pulumi.ResourceOptions(parent=self),
        )
