"""The dataset of predictions, each model's tables and views, and who may read or load them.

Does not own the SQL of views (view_queries.py), columns (service/models/<name>/schema.json by way of service/table.py)
or rows: no partition expires.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import StackSettings
from view_queries import all_runs, latest_predictions

from service.spec import ModelSpec
from service.table import RUNS_SCHEMA, prediction_schema


@dataclass(frozen=True, kw_only=True)
class WarehouseArgs:
    """Where the dataset is."""

    stack: StackSettings


class Warehouse(pulumi.ComponentResource):
    """The dataset that holds the tables of all models."""

    dataset_id: pulumi.Output[str]

    def __init__(self, name: str, args: WarehouseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:Warehouse", name, None, opts)
        dataset = gcp.bigquery.Dataset(
            name,
            dataset_id=args.stack.dataset,
            location=args.stack.region,
            description="Predictions of all models, and the runs that made them.",
            # Tables that people added are not ours to delete, except where everything may vanish.
            delete_contents_on_destroy=not args.stack.protect_data,
            labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.protect_data),
        )
        self.dataset_id = dataset.dataset_id
        self.register_outputs({"dataset_id": self.dataset_id})


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """A table that a model reads, made by this stack: its parts are outputs, so that grants wait for it."""

    dataset_id: pulumi.Input[str]
    table_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class ModelTablesArgs:
    """The model, its dataset, and who is who: members by action, and Airflow's, if there is one."""

    stack: StackSettings
    model: ModelSpec
    dataset_id: pulumi.Input[str]
    members: Mapping[str, pulumi.Input[str]]
    airflow: pulumi.Input[str] | None
    own_sources: Mapping[str, SourceTable]


class ModelTables(pulumi.ComponentResource):
    """A model's predictions, a view of the newest, the record of its runs, and its rights to read its sources."""

    predictions: pulumi.Output[str]
    runs: pulumi.Output[str]
    latest: pulumi.Output[str]

    def __init__(self, name: str, args: ModelTablesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelTables", name, None, opts)
        predictions = self._create_predictions(args)
        runs = self._create_runs(args)
        training, application = args.members["training"], args.members["application"]
        self._grant("application-loads-predictions", args, predictions, "dataEditor", application)
        # Whoever ends a run rebuilds its record from the receipts.
        self._grant("training-loads-runs", args, runs, "dataEditor", training)
        self._grant("application-loads-runs", args, runs, "dataEditor", application)
        if args.airflow is not None:
            # To compare a receipt with the partition: numbers of rows, not the rows.
            self._grant("airflow-counts-predictions", args, predictions, "metadataViewer", args.airflow)
        self._grant_sources(args)
        self.predictions = _full_name(args.stack.project, predictions)
        self.runs = _full_name(args.stack.project, runs)
        self.latest = _full_name(args.stack.project, self._create_latest(args))
        self.register_outputs({"predictions": self.predictions, "runs": self.runs, "latest": self.latest})

    def _create_predictions(self, args: ModelTablesArgs) -> gcp.bigquery.Table:
        return gcp.bigquery.Table(
            f"{args.model.name}-predictions",
            dataset_id=args.dataset_id,
            table_id=args.model.name,
            description=f"Predictions of {args.model.name}: one row per {args.model.entity_key} and run date.",
            # Renaming or dropping a column replaces the table, and every partition goes with it.
            schema=json.dumps(prediction_schema(args.model)),
            time_partitioning=gcp.bigquery.TableTimePartitioningArgs(type="DAY", field="run_date"),
            require_partition_filter=True,  # a query that forgets the date would pay for every day there ever was
            clusterings=[args.model.entity_key],
            deletion_protection=args.stack.protect_data,
            labels=args.stack.labels(args.model),
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.protect_data),
        )

    def _create_runs(self, args: ModelTablesArgs) -> gcp.bigquery.Table:
        return gcp.bigquery.Table(
            f"{args.model.name}-runs",
            dataset_id=args.dataset_id,
            table_id=f"{args.model.name}_runs",
            description=f"Runs of {args.model.name}: one row per execution, rebuilt from its receipts.",
            schema=json.dumps(RUNS_SCHEMA),
            deletion_protection=args.stack.protect_data,
            labels=args.stack.labels(args.model),
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.protect_data),
        )

    def _create_latest(self, args: ModelTablesArgs) -> gcp.bigquery.Table:
        query = pulumi.Output.all(predictions=self.predictions, runs=self.runs).apply(
            lambda names: latest_predictions(args.model, **names)
        )
        # BigQuery cannot tell from a subquery which partition is meant, so a query of this view bills all of them:
        # https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression
        return _view(
            f"{args.model.name}-latest",
            dataset_id=args.dataset_id,
            table_id=f"{args.model.name}_latest",
            description=f"Predictions of {args.model.name} for the newest run date that succeeded. A query reads the "
            "column of every date: where that is dear, read the table with a date.",
            query=query,
            labels=args.stack.labels(args.model),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _grant(
        self, what: str, args: ModelTablesArgs, table: gcp.bigquery.Table, role: str, member: pulumi.Input[str]
    ) -> None:
        gcp.bigquery.IamMember(
            f"{args.model.name}-{what}",
            project=args.stack.project,
            dataset_id=table.dataset_id,
            table_id=table.table_id,
            role=f"roles/bigquery.{role}",
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _grant_sources(self, args: ModelTablesArgs) -> None:
        """Each action reads the tables its SQL names in `reads`, wherever they are, and no others."""
        for action, spec in args.model.actions.items():
            for read in spec.reads:
                project, dataset_id, table_id = f"{args.stack.project}.{read}".split(".")[-3:]
                own = args.own_sources.get(f"{project}.{dataset_id}.{table_id}")
                gcp.bigquery.IamMember(
                    f"{args.model.name}-{action}-reads-{read}",
                    project=project,
                    dataset_id=own.dataset_id if own else dataset_id,
                    table_id=own.table_id if own else table_id,
                    role="roles/bigquery.dataViewer",
                    member=args.members[action],
                    opts=pulumi.ResourceOptions(parent=self),
                )


@dataclass(frozen=True, kw_only=True)
class AllRunsArgs:
    """The dataset, and the table of runs of each model, by the models' names."""

    stack: StackSettings
    dataset_id: pulumi.Input[str]
    tables: Mapping[str, pulumi.Input[str]]


class AllRuns(pulumi.ComponentResource):
    """The runs of all models in one view: the one resource that another model changes, and only adds to."""

    name: pulumi.Output[str]

    def __init__(self, name: str, args: AllRunsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:AllRuns", name, None, opts)
        tables = [table for _, table in sorted(args.tables.items())]
        view = _view(
            name,
            dataset_id=args.dataset_id,
            table_id="runs",
            description="Runs of all models: one row per execution.",
            query=pulumi.Output.all(*tables).apply(all_runs),
            labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = _full_name(args.stack.project, view)
        self.register_outputs({"name": self.name})


def _view(
    name: str,
    *,
    dataset_id: pulumi.Input[str],
    table_id: str,
    description: str,
    query: pulumi.Input[str],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> gcp.bigquery.Table:
    return gcp.bigquery.Table(
        name,
        dataset_id=dataset_id,
        table_id=table_id,
        description=description,
        view=gcp.bigquery.TableViewArgs(query=query, use_legacy_sql=False),  # Google's default is the old dialect
        deletion_protection=False,  # it holds no rows
        labels=labels,
        opts=opts,
    )


def _full_name(project: str, table: gcp.bigquery.Table) -> pulumi.Output[str]:
    return pulumi.Output.concat(project, ".", table.dataset_id, ".", table.table_id)
