"""Millions of predictions through the real service: how long gate and delivery take, and the service's own memory.

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

from bench import recipe
from bench.own_memory import PREFIX
from local import environments
from service import spec, table

ROOT = Path(__file__).resolve().parent.parent
ROWS, LARGE = 1_000_000, 10_000_000
RUN_DATE = "2024-05-01"
DATE = ("--run-date", RUN_DATE)
ALLOWED_SECONDS = 2
MODEL_ENDS = "the model ends"  # as million_rows.py says it
DONE = "Well done."  # as service/run.py says it, after the receipt
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

    seconds: float  # from the model's last word, its Parquet file on disk, to the receipt
    whole_seconds: float  # from the service's start to its end
    own_mib: float
    rollback_seconds: float  # of the command, from its start to its end


@dataclass(frozen=True)
class Beside:
    """What the same rows take without the service."""

    bare: recipe.Bare  # of the very file that was loaded
    recipe_seconds: float | None  # the old recipe's way, where the Cloud SDK is installed

    def ratio(self, ours: Delivered) -> float:
        """Of a delivery to upload and bare load, after the two seconds that are allowed beside."""
        return (ours.seconds - ALLOWED_SECONDS) / self.bare.seconds


def measure(cloud: dict[str, str], folder: Path, rows: int) -> Delivered:
    """Train and apply a model of so many keys on a running local cloud.

    Raises:
        RuntimeError: a run of the service failed, with its last words, or said something else than expected.
    """
    env = _environment(cloud, folder)
    described = _write_model(folder / "models" / env["MODEL"], rows)
    _declare(env, described)
    _service(env, "train", *DATE)
    lines = _service(env, "apply", *DATE)
    model_ended, done = _first(lines, MODEL_ENDS)[0], _first(lines, DONE)[0]
    whole, told = _first(lines, PREFIX)
    _service(env, "train", *DATE)  # another version, to return from
    rollback, _ = _first(_service(env, "rollback", "--reason", "bench"), PREFIX)
    return Delivered(done - model_ended, whole, int(told.removeprefix(PREFIX)) / 1024, rollback)


def measure_beside(cloud: dict[str, str], folder: Path) -> Beside:
    """Load what `measure` has delivered once more, without the service.

    Raises:
        RuntimeError: a command of the Cloud SDK failed.
    """
    env = _environment(cloud, folder)
    store, warehouse = _clients(env)
    bucket, file = store.bucket(env["RUNS_BUCKET"]), folder / "staged.parquet"
    (staged,) = bucket.list_blobs(prefix="output/", match_glob="**.parquet")
    staged.download_to_filename(str(file))
    table_name = f"{warehouse.project}.{env['DATASET']}.{env['MODEL']}"
    bare = recipe.bare(bucket, warehouse, table_name, file, RUN_DATE)
    return Beside(bare, recipe.old_way(env, bucket.name, env["DATASET"], file, folder))


def _clients(env: dict[str, str]) -> tuple[storage.Client, bigquery.Client]:
    project = env["GOOGLE_CLOUD_PROJECT"]
    store = storage.Client(
        project, credentials=AnonymousCredentials(), client_options={"api_endpoint": env["STORAGE_ENDPOINT"]}
    )
    warehouse = bigquery.Client(
        project, credentials=AnonymousCredentials(), client_options={"api_endpoint": env["BIGQUERY_ENDPOINT"]}
    )
    return store, warehouse


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


def _write_model(folder: Path, rows: int) -> spec.ModelSpec:
    package = folder / "source" / "million"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(Path(__file__).with_name("million_rows.py").read_text())
    (folder / "requirements.txt").touch()
    (folder / "schema.json").write_text(json.dumps({"columns": COLUMNS}))
    (folder / "config.json").write_text("{}")
    keys = folder / "keys.parquet"
    duckdb.sql(f"SELECT printf('A%010d', range) AS account FROM range({rows})").write_parquet(str(keys))  # noqa: S608 (a number)
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
    store, warehouse = _clients(env)
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
