"""The source table of the example model, empty: `make example-data` fills it with public transactions.

For a first look. A stack with data of its own leaves it out, and its models name their own tables in `reads`.
"""

import json
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import StackSettings

DATASET, TABLE = "example_shop", "transactions"
SCHEMA = [
    {"name": "customer_id", "type": "STRING", "mode": "REQUIRED", "description": "Who bought."},
    {"name": "purchased_on", "type": "DATE", "mode": "REQUIRED", "description": "Day of the purchase."},
    {"name": "units", "type": "INTEGER", "mode": "NULLABLE", "description": "Number of CDs bought."},
    {"name": "amount", "type": "NUMERIC", "mode": "NULLABLE", "description": "Value of the purchase. Unit: US dollar."},
]


@dataclass(frozen=True, kw_only=True)
class ExampleSourceArgs:
    """Where the dataset is."""

    stack: StackSettings


class ExampleSource(pulumi.ComponentResource):
    """The dataset `example_shop` with its table `transactions`."""

    dataset_id: pulumi.Output[str]
    table_id: pulumi.Output[str]

    def __init__(self, name: str, args: ExampleSourceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ExampleSource", name, None, opts)
        dataset = gcp.bigquery.Dataset(
            name,
            dataset_id=DATASET,
            location=args.stack.region,
            description="Public CDNOW transactions, which the example model reads.",
            delete_contents_on_destroy=True,  # public data, loaded again by one command
            labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        table = gcp.bigquery.Table(
            f"{name}-{TABLE}",
            dataset_id=dataset.dataset_id,
            table_id=TABLE,
            description="One row per purchase of a customer on a day.",
            schema=json.dumps(SCHEMA),
            deletion_protection=False,  # as above
            labels=args.stack.labels(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dataset_id, self.table_id = table.dataset_id, table.table_id
        self.register_outputs({"dataset_id": self.dataset_id, "table_id": self.table_id})
