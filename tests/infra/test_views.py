"""The views that readers use, made in the local warehouse as declared, and asked by Google's client."""

import itertools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.conftest import RunningCloud

from .conftest import Clone, Declared, configuration, run

TABLE = "gcp:bigquery/table:Table"
NUMBERS = itertools.count()
LONG_AGO = date(1897, 3, 14)


class Deployed:
    """The declared tables and views of a stack, as they are in the warehouse."""

    def __init__(self, client: bigquery.Client, declared: Declared, name: str) -> None:
        self.client, self.name = client, name
        dataset = bigquery.Dataset(name)
        dataset.location = "us-east4"
        client.create_dataset(dataset)
        tables = [t for t in declared.of_type(TABLE) if t["datasetId"] == dataset.dataset_id]
        for table in sorted(tables, key=lambda table: "view" in table.inputs):  # a view needs its tables
            client.create_table(bigquery.Table.from_api_repr(_resource(name, table.inputs)))

    def insert(self, table: str, **values: Any) -> None:
        """Add a row; of required columns without a value any will do."""
        schema = self.client.get_table(f"{self.name}.{table}").schema
        row = {field.name: _any(field.field_type) for field in schema if field.mode == "REQUIRED"} | values
        parameters = [
            bigquery.ScalarQueryParameter(field.name, field.field_type, row[field.name])
            for field in schema
            if field.name in row
        ]
        names = ", ".join(f"`{parameter.name}`" for parameter in parameters)
        places = ", ".join(f"@{parameter.name}" for parameter in parameters)
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        self.client.query_and_wait(f"INSERT INTO `{self.name}.{table}` ({names}) VALUES ({places})", job_config=config)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.client.query_and_wait(sql)]


def _resource(dataset: str, inputs: dict[str, Any]) -> dict[str, Any]:
    project, dataset_id = dataset.split(".")
    copied = ("view", "timePartitioning", "requirePartitionFilter")
    schema = {"schema": {"fields": json.loads(inputs["schema"])}} if "schema" in inputs else {}
    reference = {"projectId": project, "datasetId": dataset_id, "tableId": inputs["tableId"]}
    return {"tableReference": reference, **schema, **{name: inputs[name] for name in copied if name in inputs}}


def _any(kind: str) -> Any:
    return {"DATE": LONG_AGO, "TIMESTAMP": datetime(1897, 3, 14, tzinfo=UTC), "FLOAT": 0.5}.get(kind, "x")


@pytest.fixture
def deploy(cloud: RunningCloud, clone: Clone) -> Callable[..., Deployed]:
    """Deploys the example model, and others by their names, to a dataset of its own."""

    def deployed(*models: str) -> Deployed:
        for model in models:
            clone.add_model(model)
        name = f"views_{next(NUMBERS)}"
        values = {"gcp:project": "heron-project", "predictions:dataset": name}
        declared = run(configuration("local") | values, root=clone.root)
        options = {"api_endpoint": cloud.url}
        client = bigquery.Client("heron-project", credentials=AnonymousCredentials(), client_options=options)
        return Deployed(client, declared, f"heron-project.{name}")

    return deployed


def _delivered(stack: Deployed, run_date: date, status: str = "succeeded", action: str = "application") -> None:
    run_id = f"{action}-{run_date}-{status}"
    if action == "application":
        stack.insert("customer_value", run_date=run_date, run_id=run_id, customer_id="c1")
    runs = {"run_id": run_id, "run_date": run_date, "status": status, "action": action}
    stack.insert("customer_value_runs", **runs)


def test_latest_shows_the_newest_run_date_that_succeeded(deploy: Callable[..., Deployed]) -> None:
    stack = deploy()
    _delivered(stack, date(1897, 3, 13))
    _delivered(stack, LONG_AGO)
    _delivered(stack, date(1897, 3, 15), status="failed")
    _delivered(stack, date(1897, 4, 1), action="training")
    rows = stack.rows(f"SELECT * FROM `{stack.name}.customer_value_latest`")
    assert [(row["run_date"], row["customer_id"]) for row in rows] == [(LONG_AGO, "c1")]


def test_latest_is_empty_before_the_first_application(deploy: Callable[..., Deployed]) -> None:
    stack = deploy()
    assert stack.rows(f"SELECT * FROM `{stack.name}.customer_value_latest`") == []


def test_latest_has_the_columns_of_its_table(deploy: Callable[..., Deployed]) -> None:
    stack = deploy()
    columns = [
        [field.name for field in stack.client.get_table(f"{stack.name}.{table}").schema]
        for table in ("customer_value", "customer_value_latest")
    ]
    assert columns[0] == columns[1]


def test_latest_answers_although_the_table_demands_a_date(deploy: Callable[..., Deployed]) -> None:
    stack = deploy()
    with pytest.raises(BadRequest, match="without a filter over column"):
        stack.rows(f"SELECT COUNT(*) FROM `{stack.name}.customer_value`")
    assert stack.rows(f"SELECT COUNT(*) AS n FROM `{stack.name}.customer_value_latest`") == [{"n": 0}]


def test_runs_unites_the_runs_of_all_models(deploy: Callable[..., Deployed]) -> None:
    stack = deploy("churn_risk", "b")
    for model in ("customer_value", "churn_risk", "b"):
        stack.insert(f"{model}_runs", model=model)
    rows = stack.rows(f"SELECT model FROM `{stack.name}.runs` ORDER BY model")
    assert [row["model"] for row in rows] == ["b", "churn_risk", "customer_value"]


def test_another_model_only_adds_to_the_view_of_all_runs(clone: Clone) -> None:
    before = clone.run().one(TABLE, "runs")
    clone.add_model("churn_risk")
    after = clone.run().one(TABLE, "runs")
    branches = [set(table["view"]["query"].split("\nUNION ALL\n")) for table in (before, after)]
    assert branches[0] < branches[1], "the branches of other models stay"
    assert {**before.inputs, "view": ""} == {**after.inputs, "view": ""}


def test_a_view_says_which_dialect_it_is_written_in(local: Declared) -> None:
    views = [table for table in local.of_type(TABLE) if "view" in table.inputs]
    assert len(views) == 2
    assert [view["view"]["useLegacySql"] for view in views] == [False, False], "Google's default is legacy SQL"
