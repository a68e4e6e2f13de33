"""The buckets: of each model one for versions and one for runs, and one for DAGs; their lifecycle; who may use them.

Each model has its own two, so that plain roles on a bucket keep apart who trains from who applies, and model from
model. Does not own the names of objects (service/) or the DAG files (orchestration.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import StackSettings

from service.spec import ModelSpec

LONGEST_NAME = 63  # https://cloud.google.com/storage/docs/buckets#naming
NONCURRENT_DAYS = 30  # one monthly training: long enough to notice what the last one overwrote
STAGED_DAYS = 14  # inputs and outputs of runs, kept for who looks into one; the table has the predictions
AIRFLOW_LOG_DAYS = 90
SOFT_DELETE_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class ModelBucketsArgs:
    """The model, and who is who: members by action, and Airflow's, if there is one."""

    stack: StackSettings
    model: ModelSpec
    members: Mapping[str, pulumi.Input[str]]
    airflow: pulumi.Input[str] | None


class ModelBuckets(pulumi.ComponentResource):
    """A model's versions, which training writes and application reads, and what its runs leave."""

    models: pulumi.Output[str]
    runs: pulumi.Output[str]

    def __init__(self, name: str, args: ModelBucketsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelBuckets", name, None, opts)
        self._name = args.model.name
        # A version lives until somebody deletes it: no rule touches an object that is current.
        models = self._create_bucket(args, "models", _expire_noncurrent())
        staged = _expire_current(STAGED_DAYS, "input/", "output/")
        runs = self._create_bucket(args, "runs", _expire_noncurrent(), staged)
        training, application = args.members["training"], args.members["application"]
        self._grant("training-writes-versions", models.name, "objectUser", training)
        self._grant("application-reads-versions", models.name, "objectViewer", application)
        self._grant("training-writes-runs", runs.name, "objectUser", training)
        self._grant("application-writes-runs", runs.name, "objectUser", application)
        # A load job looks at the bucket that it loads from, as the account that started it, and objectUser lets nobody
        # see a bucket: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#required_permissions
        self._grant("training-finds-runs", runs.name, "bucketViewer", training)
        self._grant("application-finds-runs", runs.name, "bucketViewer", application)
        if args.airflow is not None:
            self._grant("airflow-reads-receipts", runs.name, "objectViewer", args.airflow)
        self._grant_inputs(args)
        self.models, self.runs = models.name, runs.name
        self.register_outputs({"models": self.models, "runs": self.runs})

    def _create_bucket(
        self, args: ModelBucketsArgs, content: str, *rules: gcp.storage.BucketLifecycleRuleArgs
    ) -> gcp.storage.Bucket:
        ending = f"{args.model.name.replace('_', '-')}-{content}"
        labels = args.stack.labels(args.model)
        return _create_bucket(f"{args.model.name}-{content}", ending, args.stack, labels, rules, self)

    def _grant_inputs(self, args: ModelBucketsArgs) -> None:
        """An input that is an object lies in somebody else's bucket, which can only be opened as a whole."""
        for action, spec in args.model.actions.items():
            if spec.input.uri:
                bucket = spec.input.uri.removeprefix("gs://").partition("/")[0]
                self._grant(f"{action}-reads-its-input", bucket, "objectViewer", args.members[action])

    def _grant(self, what: str, bucket: pulumi.Input[str], role: str, member: pulumi.Input[str]) -> None:
        gcp.storage.BucketIAMMember(
            f"{self._name}-{what}",
            bucket=bucket,
            role=f"roles/storage.{role}",
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )


@dataclass(frozen=True, kw_only=True)
class DagsBucketArgs:
    """Where the bucket is."""

    stack: StackSettings


class DagsBucket(pulumi.ComponentResource):
    """The bucket of the stack's own Airflow environment.

    Ours, so that `destroy` leaves none behind and DAGs outlive a replaced environment. Composer wants it in its own
    region, of Standard class and without retention (https://cloud.google.com/composer/docs/composer-3/custom-bucket);
    roles/composer.worker, in identity.py, opens it.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: DagsBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:DagsBucket", name, None, opts)
        rules = [_expire_noncurrent(), _expire_current(AIRFLOW_LOG_DAYS, "logs/")]
        self.name = _create_bucket(name, "dags", args.stack, args.stack.labels(), rules, self).name
        self.register_outputs({"name": self.name})


def _create_bucket(
    logical_name: str,
    ending: str,
    stack: StackSettings,
    labels: dict[str, str],
    rules: Sequence[gcp.storage.BucketLifecycleRuleArgs],
    parent: pulumi.Resource,
) -> gcp.storage.Bucket:
    # Seven days in which even a deleted bucket can be restored. A stack that may vanish leaves nothing to pay for.
    soft_delete = SOFT_DELETE_SECONDS if stack.protect_data else 0
    return gcp.storage.Bucket(
        logical_name,
        name=bucket_name(stack.project, stack.name, ending),
        location=stack.region.upper(),  # in capitals, as the API answers, so that a refresh finds what was declared
        storage_class="STANDARD",
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning=gcp.storage.BucketVersioningArgs(enabled=True),
        lifecycle_rules=rules,
        soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=soft_delete),
        force_destroy=not stack.protect_data,
        labels=labels,
        opts=pulumi.ResourceOptions(parent=parent, protect=stack.protect_data),
    )


def bucket_name(project: str, stack: str, ending: str) -> str:
    """The name of a bucket, unique in the world because the project's is.

    Raises:
        RunError: it is longer than Cloud Storage allows.
    """
    name = f"{project}-{stack}-{ending}"
    if len(name) > LONGEST_NAME:
        text = f"Bucket '{name}' has {len(name)} characters, of which Cloud Storage allows {LONGEST_NAME}."
        raise pulumi.RunError(f"{text} Shorten the name of the project, the stack or the model.")
    return name


def _expire_noncurrent() -> gcp.storage.BucketLifecycleRuleArgs:
    condition = gcp.storage.BucketLifecycleRuleConditionArgs(
        with_state="ARCHIVED", days_since_noncurrent_time=NONCURRENT_DAYS
    )
    return _deleting(condition)


def _expire_current(days: int, *prefixes: str) -> gcp.storage.BucketLifecycleRuleArgs:
    condition = gcp.storage.BucketLifecycleRuleConditionArgs(
        with_state="LIVE", age=days, matches_prefixes=list(prefixes)
    )
    return _deleting(condition)


def _deleting(condition: gcp.storage.BucketLifecycleRuleConditionArgs) -> gcp.storage.BucketLifecycleRuleArgs:
    action = gcp.storage.BucketLifecycleRuleActionArgs(type="Delete")
    return gcp.storage.BucketLifecycleRuleArgs(action=action, condition=condition)
