"""The schemas of the tables that readers see: a model's predictions and its runs.

Does not own how rows get there (`delivery.py`, `receipt.py`) or the tables themselves (infra/).
"""

from service.columns import Column
from service.spec import ModelSpec

# BigQuery answers with these older names, whichever were sent; to declare them keeps a refresh free of differences.
API_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}


def _field(name: str, kind: str, mode: str, description: str) -> dict[str, str]:
    return {"name": name, "type": API_TYPES.get(kind, kind), "mode": mode, "description": description}


def prediction_schema(spec: ModelSpec) -> list[dict[str, str]]:
    """BigQuery schema of the table `<model>`: one row is one prediction for an entity and a run date.

    The partition column comes first, then the columns of schema.json, then what the service adds.
    """
    return [
        _field("run_date", "DATE", "REQUIRED", "Day that the predictions are for; the table is partitioned by it."),
        *(_field(c.name, c.type, c.mode, _description(c)) for c in spec.columns),
        _field("model_version", "STRING", "REQUIRED", "Version of the model that made the prediction."),
        _field("run_id", "STRING", "REQUIRED", f"Run that made the prediction; see the table {spec.name}_runs."),
        _field("predicted_at", "TIMESTAMP", "REQUIRED", "When the prediction was made (UTC)."),
    ]


def _description(column: Column) -> str:
    return f"{column.description} Unit: {column.unit}." if column.unit else column.description


# One row is one execution of a run: the flat fields of a receipt, which also holds `gate` and `metrics`.
RUNS_SCHEMA: list[dict[str, str]] = [
    _field("run_id", "STRING", "REQUIRED", "<model>-<action>-<run date>-<8 hex digits of the DAG run>."),
    _field("execution", "STRING", "REQUIRED", "Execution of the Cloud Run job; a run may have several."),
    _field("model", "STRING", "REQUIRED", "Name of the model."),
    _field("action", "STRING", "REQUIRED", "training or application."),
    _field("run_date", "DATE", "REQUIRED", "Day that the run is for."),
    _field("status", "STRING", "REQUIRED", "succeeded, failed or superseded (a newer run delivered first)."),
    _field("started_at", "TIMESTAMP", "REQUIRED", "When the execution began (UTC)."),
    _field("ended_at", "TIMESTAMP", "REQUIRED", "When the receipt was written (UTC)."),
    _field("model_version", "STRING", "NULLABLE", "Version that was made or used."),
    _field("rows", "INT64", "NULLABLE", "Predictions delivered; null for training."),
    _field("input_rows", "INT64", "NULLABLE", "Rows of the input."),
    _field("input_fingerprint", "STRING", "NULLABLE", "Fingerprint of the input."),
    _field("output_fingerprint", "STRING", "NULLABLE", "Fingerprint of the delivered predictions."),
    _field("table", "STRING", "NULLABLE", "Table of the predictions, as project.dataset.table."),
    _field("partition", "STRING", "NULLABLE", "Partition that was replaced, as YYYYMMDD."),
    _field("load_job", "STRING", "NULLABLE", "BigQuery job that replaced the partition."),
    _field("code_commit", "STRING", "NULLABLE", "Commit that the image was built from."),
    _field("image_digest", "STRING", "NULLABLE", "Digest of the image."),
    _field("airflow_run_id", "STRING", "NULLABLE", "DAG run that asked for it."),
    _field("message", "STRING", "NULLABLE", "Why it failed, or what a reader should know."),
]
