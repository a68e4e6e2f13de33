"""The stack, as a table of contents: settings, components, exports."""

from dataclasses import dataclass

import pulumi
import settings
from components import (
    example_source,
    identity,
    jobs,
    monitoring,
    orchestration,
    registry,
    services,
    storage,
    warehouse,
)
from settings import ROOT, Composer, ExistingAirflow

from service.spec import ModelSpec

stack = settings.load()
models = settings.load_models(stack)

apis = services.Services("services", services.ServicesArgs(stack=stack, models=models))
after_apis = pulumi.ResourceOptions(depends_on=[apis])
images = registry.ImageRegistry("images", registry.ImageRegistryArgs(stack=stack), after_apis)
alerting = monitoring.Alerting("alerting", monitoring.AlertingArgs(stack=stack), after_apis)
dataset = warehouse.Warehouse("predictions", warehouse.WarehouseArgs(stack=stack), after_apis)


def deploy_sources() -> dict[str, warehouse.SourceTable]:
    """The source tables that this stack makes itself, by their full names."""
    if not stack.example_source:
        return {}
    shop = example_source.ExampleSource("example-shop", example_source.ExampleSourceArgs(stack=stack), after_apis)
    table = warehouse.SourceTable(dataset_id=shop.dataset_id, table_id=shop.table_id)
    return {f"{stack.project}.{example_source.DATASET}.{example_source.TABLE}": table}


def connect_airflow() -> orchestration.Airflow | None:
    """The environment that runs the DAGs: the stack's own, an existing one, or none."""
    match stack.airflow:
        case Composer() as wanted:
            account = identity.AirflowIdentity("airflow", identity.AirflowIdentityArgs(stack=stack), after_apis)
            bucket = storage.DagsBucket("dags", storage.DagsBucketArgs(stack=stack), after_apis)
            environment = orchestration.ComposerEnvironment(
                "airflow",
                orchestration.ComposerEnvironmentArgs(
                    stack=stack, image_version=wanted.image_version, account=account.email, dags_bucket=bucket.name
                ),
                # Composer refuses an account that does not have its role yet.
                pulumi.ResourceOptions(depends_on=[apis, account]),
            )
            return orchestration.Airflow(
                environment=environment.name, uri=environment.uri, dags_bucket=bucket.name, member=account.member
            )
        case ExistingAirflow() as given:
            return orchestration.Airflow(
                environment=given.environment,
                uri=None,
                dags_bucket=given.dags_bucket,
                member=f"serviceAccount:{given.account}",
            )
        case None:
            return None


@dataclass(frozen=True, kw_only=True)
class DeployedModel:
    """What one model's part of the stack tells the others."""

    spec: ModelSpec
    image: registry.ModelImage
    buckets: storage.ModelBuckets
    tables: warehouse.ModelTables
    jobs: jobs.PredictionJobs


def deploy_model(model: ModelSpec, starter: pulumi.Input[str] | None) -> DeployedModel:
    """Everything that belongs to one model; it touches nothing of another's.

    Args:
        starter: the member that may start the jobs; None when only people do.
    """
    name = model.name
    image = registry.ModelImage(name, registry.ModelImageArgs(stack=stack, model=model, registry=images))
    accounts = identity.ModelIdentities(name, identity.ModelIdentitiesArgs(stack=stack, model=model), after_apis)
    buckets = storage.ModelBuckets(
        name,
        storage.ModelBucketsArgs(stack=stack, model=model, members=accounts.members, airflow=starter),
        after_apis,
    )
    tables = warehouse.ModelTables(
        name,
        warehouse.ModelTablesArgs(
            stack=stack,
            model=model,
            dataset_id=dataset.dataset_id,
            members=accounts.members,
            airflow=starter,
            own_sources=own_sources,
        ),
    )
    runners = jobs.PredictionJobs(
        name,
        jobs.PredictionJobsArgs(
            stack=stack,
            model=model,
            image=image.reference,
            image_digest=image.digest,
            accounts=accounts.emails,
            members=accounts.members,
            airflow=starter,
            dataset_id=dataset.dataset_id,
            models_bucket=buckets.models,
            runs_bucket=buckets.runs,
            code_commit=settings.code_commit(model.name),
        ),
        after_apis,
    )
    monitoring.ModelAlerts(
        name,
        monitoring.ModelAlertsArgs(
            stack=stack,
            model=model,
            jobs={action: jobs.job_name(stack.name, name, action) for action in model.actions},
            deployed_at=runners.made_at,
            channels=alerting.channels,
            scheduled=stack.airflow is not None,
        ),
        # A policy that names a metric of logs needs the metric.
        pulumi.ResourceOptions(depends_on=[alerting]),
    )
    return DeployedModel(spec=model, image=image, buckets=buckets, tables=tables, jobs=runners)


def deploy_dags(parts: DeployedModel, dags_bucket: pulumi.Input[str]) -> orchestration.ModelDags:
    """The schedule of one model."""
    return orchestration.ModelDags(
        parts.spec.name,
        orchestration.ModelDagsArgs(
            stack=stack,
            model=parts.spec,
            dags_bucket=dags_bucket,
            jobs=parts.jobs.names,
            image_digest=parts.image.digest,
            runs_bucket=parts.buckets.runs,
            table=parts.tables.predictions,
        ),
        # A DAG must not be seen before Airflow may start its job and read what comes of it.
        pulumi.ResourceOptions(depends_on=[parts.jobs, parts.buckets, parts.tables]),
    )


own_sources = deploy_sources()
airflow = connect_airflow()
deployed = {model.name: deploy_model(model, airflow.member if airflow else None) for model in models}
runs = warehouse.AllRuns(
    "runs",
    warehouse.AllRunsArgs(
        stack=stack,
        dataset_id=dataset.dataset_id,
        tables={name: parts.tables.runs for name, parts in deployed.items()},
    ),
)
if airflow:
    dags = {name: deploy_dags(parts, airflow.dags_bucket) for name, parts in deployed.items()}
    documents = [file for model_dags in dags.values() for file in model_dags.files]
    orchestration.DagFactory(
        "factory",
        orchestration.DagFactoryArgs(
            stack=stack, dags_bucket=airflow.dags_bucket, source=ROOT / "dags", documents=documents
        ),
    )
    # Without Airflow these two outputs are absent rather than empty.
    place = {"environment": airflow.environment, "dags_bucket": airflow.dags_bucket, "uri": airflow.uri}
    pulumi.export("airflow", place)
    pulumi.export("dags", {name: model_dags.ids for name, model_dags in dags.items()})

pulumi.export("dataset", pulumi.Output.concat(stack.project, ".", dataset.dataset_id))
pulumi.export("tables", {name: parts.tables.predictions for name, parts in deployed.items()})
pulumi.export("latest", {name: parts.tables.latest for name, parts in deployed.items()})
pulumi.export("runs", runs.name)
pulumi.export("buckets", {n: {"models": p.buckets.models, "runs": p.buckets.runs} for n, p in deployed.items()})
pulumi.export("images", {name: parts.image.reference for name, parts in deployed.items()})
pulumi.export("jobs", {name: parts.jobs.names for name, parts in deployed.items()})
