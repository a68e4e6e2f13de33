"""A million predictions through the real service: how long gate and delivery take, and the service's own memory.

The model and its tables are made for this and thrown away. Does not own the local cloud they lie in.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from bench.own_memory import PREFIX
from local import environments
from service import spec, table

ROOT = Path(__file__).resolve().parent.parent
ROWS = 1_000_000
DATE = ("--run-date", "2024-05-01")
MODEL_ENDS = "the model ends"  # as million_rows.py says it
DELIVERED = "predictions are in"  # as service/delivery.py says it
COLUMNS = [
    {"name": "account", "type": "STRING", "mode": "REQUIRED", "description": "Whom the prediction is for."},
    {
        "name": "probability",
        "type": "FLOAT64",
        "mode": "REQUIRED",
        "description": "Chance.",
        "minimum": 0,
        "maximum": 1,
    },
    {"name": "amount", "type": "FLOAT64", "mode": "REQUIRED", "description": "Sum.", "unit": "euro", "minimum": 0},
    {"name": "segment", "type": "INT64", "mode": "NULLABLE", "description": "Group.", "values": list(range(12))},
]


@dataclass(frozen=True)
class Delivered:
    """What one application took."""

    seconds: float  # from the model's last word to the verified partition
    whole_seconds: float  # from the service's start to its end
    own_mib: float
    rollback_seconds: float  # of the command, from its start to its end


def measure(cloud: dict[str, str], folder: Path) -> Delivered:
    """Train and apply a model of a million keys on a running local cloud.

    Raises:
        RuntimeError: a run of the service failed, with its last words, or said something else than expected.
    """
    env = _environment(cloud, folder)
    described = _write_model(folder / "models" / env["MODEL"])
    _declare(env, described)
    _service(env, "train", *DATE)
    lines = _service(env, "apply", *DATE)
    model_ended, delivered = _first(lines, MODEL_ENDS)[0], _first(lines, DELIVERED)[0]
    whole, told = _first(lines, PREFIX)
    _service(env, "train", *DATE)  # another version, to return from
    rollback, _ = _first(_service(env, "rollback", "--reason", "bench"), PREFIX)
    return Delivered(delivered - model_ended, whole, int(told.removeprefix(PREFIX)) / 1024, rollback)


def _environment(cloud: dict[str, str], folder: Path) -> dict[str, str]:
    return cloud | {
        "LOCATION": "EU",
        "DATASET": "million",
        "MODEL": "accounts",
        "MODELS_BUCKET": "million-accounts-models",
        "RUNS_BUCKET": "million-accounts-runs",
        "MODELS_FOLDER": str(folder / "models"),
        "MODEL_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }


def _write_model(folder: Path) -> spec.ModelSpec:
    package = folder / "source" / "million"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(Path(__file__).with_name("million_rows.py").read_text())
    (folder / "requirements.txt").touch()
    (folder / "schema.json").write_text(json.dumps({"columns": COLUMNS}))
    (folder / "config.json").write_text("{}")
    keys = folder / "keys.parquet"
    duckdb.sql(f"SELECT printf('A%010d', range) AS account FROM range({ROWS})").write_parquet(str(keys))  # noqa: S608 (a number)
    action = {"input": {"file": keys.name, "format": "parquet"}, "reads": [], "config": "config.json"}
    document = {
        "name": folder.name,
        "package": package.name,
        "entity_key": "account",
        "owner": "bench@example.com",
        "triage": "Look at bench/delivery.py.",
        "output": {"schema": "schema.json"},
        **dict.fromkeys(spec.ACTIONS, action),
    }
    (folder / "model.yaml").write_text(json.dumps(document))
    return spec.load(folder)


def _declare(env: dict[str, str], described: spec.ModelSpec) -> None:
    """Make buckets and tables as the stack would."""
    project = env["GOOGLE_CLOUD_PROJECT"]
    store = storage.Client(
        project, credentials=AnonymousCredentials(), client_options={"api_endpoint": env["STORAGE_ENDPOINT"]}
    )
    warehouse = bigquery.Client(
        project, credentials=AnonymousCredentials(), client_options={"api_endpoint": env["BIGQUERY_ENDPOINT"]}
    )
    for name in (env["MODELS_BUCKET"], env["RUNS_BUCKET"]):
        store.create_bucket(name, location=env["LOCATION"])
    dataset = bigquery.Dataset(f"{project}.{env['DATASET']}")
    dataset.location = env["LOCATION"]
    warehouse.create_dataset(dataset)
    name = f"{project}.{env['DATASET']}.{described.name}"
    schemas = {name: table.prediction_schema(described), f"{name}_runs": table.RUNS_SCHEMA}
    for full, fields in schemas.items():
        made = bigquery.Table(full, schema=[bigquery.SchemaField.from_api_repr(field) for field in fields])
        if full == name:
            made.time_partitioning = bigquery.TimePartitioning(field="run_date")
            made.require_partition_filter = True
        warehouse.create_table(made)


def _service(env: dict[str, str], verb: str, *arguments: str) -> list[tuple[float, str]]:
    """Run a verb in the environment that jobs get; return its lines, each with the seconds since its start."""
    python = environments.ensure(ROOT / "container" / "requirements.txt")
    command = [str(python), "-m", "bench.own_memory", verb, *arguments]
    started, lines = time.monotonic(), list[tuple[float, str]]()
    with subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append((time.monotonic() - started, line.strip()))
    if process.returncode:
        said = " ".join(line for _, line in lines[-3:])
        raise RuntimeError(f"`service {verb}` ended with code {process.returncode}: {said}")
    return lines


def _first(lines: list[tuple[float, str]], sign: str) -> tuple[float, str]:
    """The first line that holds a sign.

    Raises:
        RuntimeError: there is none; the words changed in service/ or here.
    """
    for seconds, line in lines:
        if sign in line:
            return seconds, line
    raise RuntimeError(f"The service did not say {sign!r}. Say in bench/delivery.py what it says now.")
