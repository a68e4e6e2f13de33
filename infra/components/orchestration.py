"""What starts the jobs: an Airflow environment, the DAG factory, and one JSON file per DAG.

Does not own the DAGs themselves (dags/), their JSON's content (dag_documents.py), Airflow's account (identity.py) or
its bucket (storage.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_gcp as gcp
from dag_documents import Deployed, dag_id, render
from settings import StackSettings

from service.spec import ActionSpec, ModelSpec

# As text: an archive of the same files differs each time it is made.
FACTORY_FILES = {
    "predictions.py": "text/x-python",
    "prediction_tasks.py": "text/x-python",
    "platform_calls.py": "text/x-python",
    "remedies.py": "text/x-python",
    ".airflowignore": "text/plain",
}


@dataclass(frozen=True, kw_only=True)
class Airflow:
    """What runs the DAGs, whoever deployed it: where it reads them, and whom to let start jobs."""

    environment: pulumi.Input[str]
    uri: pulumi.Input[str] | None
    dags_bucket: pulumi.Input[str]
    member: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class ComposerEnvironmentArgs:
    """The environment's image, account and bucket."""

    stack: StackSettings
    image_version: str
    account: pulumi.Input[str]
    dags_bucket: pulumi.Input[str]


class ComposerEnvironment(pulumi.ComponentResource):
    """Airflow as a service (Managed Service for Apache Airflow, formerly Cloud Composer), small.

    Nothing that changes with a release is set here, no package and no variable: each change restarts or rebuilds the
    environment for tens of minutes. Releases change the JSON files instead.
    """

    name: pulumi.Output[str]
    uri: pulumi.Output[str]

    def __init__(self, name: str, args: ComposerEnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ComposerEnvironment", name, None, opts)
        environment = gcp.composer.Environment(
            name,
            name=f"predictions-{args.stack.name}",
            region=args.stack.region,
            storage_config=gcp.composer.EnvironmentStorageConfigArgs(bucket=args.dags_bucket),
            config=gcp.composer.EnvironmentConfigArgs(
                environment_size="ENVIRONMENT_SIZE_SMALL",
                software_config=gcp.composer.EnvironmentConfigSoftwareConfigArgs(image_version=args.image_version),
                # Cannot be changed later; without one Composer takes the project's default account.
                node_config=gcp.composer.EnvironmentConfigNodeConfigArgs(service_account=args.account),
                workloads_config=_workloads(),
                maintenance_window=_maintenance_window(),
            ),
            labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.stack.protect_data,  # it holds the history of all runs
                # Making one takes 15-60 minutes, and some failures show only after 40.
                custom_timeouts=pulumi.CustomTimeouts(create="90m", update="90m", delete="90m"),
            ),
        )
        self.name = environment.name
        self.uri = environment.config.airflow_uri
        self.register_outputs({"name": self.name, "uri": self.uri})


def _maintenance_window() -> gcp.composer.EnvironmentConfigMaintenanceWindowArgs:
    # Composer wants 12 hours a week: https://cloud.google.com/composer/docs/composer-3/specify-maintenance-windows
    # Weekend afternoons (UTC), because runs begin at 07:00 each day and at midnight on the first, unless a model.yaml
    # says otherwise. The dates only give the hours.
    return gcp.composer.EnvironmentConfigMaintenanceWindowArgs(
        start_time="2026-01-03T14:00:00Z", end_time="2026-01-03T20:00:00Z", recurrence="FREQ=WEEKLY;BYDAY=SA,SU"
    )


def _workloads() -> gcp.composer.EnvironmentConfigWorkloadsConfigArgs:
    return gcp.composer.EnvironmentConfigWorkloadsConfigArgs(
        triggerer=gcp.composer.EnvironmentConfigWorkloadsConfigTriggererArgs(count=1, cpu=0.5, memory_gb=1),
        # With the 2 GB of the smallest size some builds run out of memory.
        web_server=gcp.composer.EnvironmentConfigWorkloadsConfigWebServerArgs(cpu=1, memory_gb=3, storage_gb=1),
    )


@dataclass(frozen=True, kw_only=True)
class ModelDagsArgs:
    """The model, where DAGs lie, and what each one has to know: jobs by action, the rest shared."""

    stack: StackSettings
    model: ModelSpec
    dags_bucket: pulumi.Input[str]
    jobs: Mapping[str, pulumi.Input[str]]
    image_digest: pulumi.Input[str]
    runs_bucket: pulumi.Input[str]
    table: pulumi.Input[str]


class ModelDags(pulumi.ComponentResource):
    """The JSON files of one model's DAGs."""

    ids: dict[str, str]
    files: list[pulumi.Resource]

    def __init__(self, name: str, args: ModelDagsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelDags", name, None, opts)
        self.ids = {action: dag_id(args.stack.name, args.model.name, action) for action in args.model.actions}
        self.files = [
            _upload(f"{self.ids[name]}.dag.json", _text(action, args), "application/json", args, parent=self)
            for name, action in args.model.actions.items()
        ]
        self.register_outputs({"ids": self.ids})


def _text(action: ActionSpec, args: ModelDagsArgs) -> pulumi.Output[str]:
    def write(known: Mapping[str, str]) -> str:
        deployed = Deployed(
            stack=args.stack.name,
            paused=args.stack.dags_paused,
            wait_interval_seconds=args.stack.wait_interval_seconds,
            **known,
        )
        return render(args.model, action, deployed)

    return pulumi.Output.all(
        job=args.jobs[action.name],
        image_digest=args.image_digest,
        runs_bucket=args.runs_bucket,
        table=args.table,
    ).apply(write)


@dataclass(frozen=True, kw_only=True)
class DagFactoryArgs:
    """Where DAGs lie, the folder with the factory's files, and the files to upload before them."""

    stack: StackSettings
    dags_bucket: pulumi.Input[str]
    source: Path
    documents: Sequence[pulumi.Resource]


class DagFactory(pulumi.ComponentResource):
    """The Python files that make a DAG of each JSON file beside them; the same for every stack and model."""

    def __init__(self, name: str, args: DagFactoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:DagFactory", name, None, opts)
        # A release's JSON before the factory that reads it: the other way round a new factory would read old files.
        for file, content_type in FACTORY_FILES.items():
            text = (args.source / file).read_text()
            _upload(file, text, content_type, args, parent=self, after=args.documents)
        self.register_outputs({})


def folder(stack: str) -> str:
    """Where a stack's DAG files lie in the bucket, below the folder that Composer copies to its workers.

    A folder each, so that stacks can share an environment, of different releases, and `destroy` takes only its own.
    """
    return f"dags/{stack}/"


def _upload(
    file: str,
    text: pulumi.Input[str],
    content_type: str,
    args: ModelDagsArgs | DagFactoryArgs,
    *,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource] = (),
) -> gcp.storage.BucketObject:
    return gcp.storage.BucketObject(
        file,
        bucket=args.dags_bucket,
        name=folder(args.stack.name) + file,
        # Not `content`, which previews show as a secret.
        source=pulumi.Output.from_input(text).apply(pulumi.StringAsset),
        content_type=content_type,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=list(after),
            # A changed file is a replacement under the same name: made first, it is deleted as its own predecessor
            # (pulumi-gcp#152).
            delete_before_replace=True,
        ),
    )
