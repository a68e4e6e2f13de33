"""The dataset of predictions, each model's tables, and who may read or load them.

Does not own columns (service/models/<name>/schema.json by way of service/table.py) or rows: no partition expires.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import StackSettings

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
    """A model's predictions, the record of its runs, and its rights to read its sources."""

    predictions: pulumi.Output[str]
    runs: pulumi.Output[str]

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
        self.register_outputs({"predictions": self.predictions, "runs": self.runs})

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


def _full_name(project: str, table: gcp.bigquery.Table) -> pulumi.Output[str]:
    return pulumi.Output.concat(project, ".", table.dataset_id, ".", table.table_id)
