"""The tables' schemas, read back by the client that will use them."""

from pathlib import Path

from google.cloud import bigquery

from service.columns import RESERVED, Column
from service.spec import ModelSpec
from service.table import RUNS_SCHEMA, prediction_schema


def spec(description: str = "Probability of leaving.", unit: str | None = "share") -> ModelSpec:
    """A model with a key, a number and a text."""
    return ModelSpec(
        name="churn",
        package="churn",
        entity_key="account",
        owner="data@shop.example",
        triage="Takes five minutes.",
        folder=Path("churn"),
        columns=(
            Column(name="account", type="INT64", mode="REQUIRED", description="Number of the account."),
            Column(name="risk", type="FLOAT64", mode="NULLABLE", description=description, unit=unit),
            Column(name="band", type="STRING", mode="NULLABLE", description="Band.", values=("low", "high")),
        ),
        actions={},
    )


def test_predictions_carry_run_date_first_then_the_models_columns_then_their_origin() -> None:
    schema = [bigquery.SchemaField.from_api_repr(f) for f in prediction_schema(spec())]
    assert [(f.name, f.field_type, f.mode) for f in schema] == [
        ("run_date", "DATE", "REQUIRED"),
        ("account", "INTEGER", "REQUIRED"),
        ("risk", "FLOAT", "NULLABLE"),
        ("band", "STRING", "NULLABLE"),
        ("model_version", "STRING", "REQUIRED"),
        ("run_id", "STRING", "REQUIRED"),
        ("predicted_at", "TIMESTAMP", "REQUIRED"),
    ]


def test_a_unit_is_told_in_the_columns_description() -> None:
    fields = {f["name"]: f for f in prediction_schema(spec())}
    assert fields["risk"]["description"] == "Probability of leaving. Unit: share."


def test_the_columns_that_the_service_adds_are_those_that_a_model_may_not_have() -> None:
    names = {f["name"] for f in prediction_schema(spec())}
    assert names - {"account", "risk", "band"} == RESERVED


def test_descriptions_fit_into_bigquery() -> None:
    fields = prediction_schema(spec("d" * 900, "u" * 100)) + RUNS_SCHEMA
    assert max(len(f["description"]) for f in fields) <= 1024, "BigQuery's limit for the description of a column"


def test_runs_name_the_execution_and_leave_to_failures_what_they_cannot_know() -> None:
    modes = {f["name"]: f["mode"] for f in RUNS_SCHEMA}
    assert modes["execution"] == "REQUIRED"
    assert modes["model_version"] == modes["rows"] == modes["load_job"] == "NULLABLE"
    assert len(modes) == len(RUNS_SCHEMA), "a column twice"
