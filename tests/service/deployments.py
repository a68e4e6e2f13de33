"""Throw-away models and their deployments on the session's local cloud."""

import contextlib
import io
import itertools
import json
import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from google.cloud import bigquery

from service import cli, clients, settings, spec, table
from service.clients import Clients
from service.run import Run

MODEL = Path(__file__).with_name("throwaway_model.py")
NAMES = itertools.cycle(
    [("house_price", "house", "EU"), ("churn2", "client_no", "us-east4"), ("yields", "plant", "US")]
)
NUMBERS = itertools.count(1)  # so that no two deployments share a name


@dataclass(frozen=True)
class Ended:
    """What a verb left: exit code, stdout and the log lines."""

    code: int
    out: str
    lines: list[dict[str, Any]]

    @property
    def said(self) -> str:
        """The messages of all log lines."""
        return "\n".join(line["message"] for line in self.lines)


@dataclass
class Deployment:
    """A model, its buckets and tables, as a stack would declare them."""

    folder: Path
    key: str
    env: dict[str, str]
    clients: Clients

    @property
    def spec(self) -> spec.ModelSpec:
        """The model as it is described now."""
        return spec.load(self.folder)

    @property
    def table(self) -> str:
        """The prediction table."""
        return f"{self.env['GOOGLE_CLOUD_PROJECT']}.{self.env['DATASET']}.{self.env['MODEL']}"

    def misbehave(self, misdeed: str, action: str = "application") -> None:
        """Make the model do something wrong from now on."""
        (self.folder / f"{action}.json").write_text(json.dumps({"misdeed": misdeed}))

    def main(self, *arguments: str, **env: str) -> Ended:
        """Run a verb in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(arguments, self.env | env)
        return Ended(code, out.getvalue(), [json.loads(line) for line in err.getvalue().splitlines()])

    def run(self, folder: Path, action: str, run_date: date, **env: str) -> Run:
        """A run, as the command line makes it."""
        folder.mkdir()
        known = settings.read(self.env | env, model=None, runs_model=True)
        described = self.spec
        return Run(
            settings=known,
            spec=described,
            action=described.actions[action],
            run_date=run_date,
            clients=self.clients,
            folder=folder,
        )

    def partition(self, run_date: date) -> list[dict[str, Any]]:
        """The rows of a run date, in the order of their keys."""
        query = f"SELECT * FROM `{self.table}` WHERE run_date = '{run_date}' ORDER BY {self.key}"
        return [dict(row) for row in self.clients.bigquery.query_and_wait(query)]

    def receipts(self) -> list[dict[str, Any]]:
        """All receipts, in the order of their ends."""
        blobs = self.clients.runs.list_blobs(prefix="receipts/")
        return sorted((json.loads(blob.download_as_bytes()) for blob in blobs), key=lambda r: str(r["ended_at"]))


def deployed(owner: dict[str, str], folder: Path) -> Deployment:
    """Describe a model with ten entities to predict for, and make its buckets and tables."""
    name, key, location = next(NAMES)
    number = next(NUMBERS)
    models = folder / "models"
    env = {
        "GOOGLE_CLOUD_PROJECT": owner["GOOGLE_CLOUD_PROJECT"],
        "STORAGE_ENDPOINT": owner["STORAGE_ENDPOINT"],
        "BIGQUERY_ENDPOINT": owner["BIGQUERY_ENDPOINT"],
        "LOCATION": location,
        "DATASET": f"predictions_{number}",
        "MODEL": name,
        "MODELS_BUCKET": f"b{number}-{name.replace('_', '-')}-models",
        "RUNS_BUCKET": f"b{number}-{name.replace('_', '-')}-runs",
        "MODELS_FOLDER": str(models),
        "MODEL_PYTHON": sys.executable,
        "PATH": os.environ["PATH"],
    }
    write_model(models / name, key=key, source=f"source_{number}.events")
    connected = clients.connect(settings.read(env, model=None, runs_model=True))
    made = Deployment(models / name, key, env, connected)
    for bucket in (made.clients.models, made.clients.runs):
        bucket.create(location=location)
    _create_tables(made, f"source_{number}")
    return made


def write_model(folder: Path, *, key: str, source: str) -> None:
    """A folder of a model, whose code is throwaway_model.py."""
    package = folder / "source" / "throwaway"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(MODEL.read_text())
    (folder / "requirements.txt").touch()
    columns = [
        {"name": key, "type": "STRING", "mode": "REQUIRED", "description": "who"},
        {"name": "level", "type": "FLOAT64", "mode": "REQUIRED", "description": "how much", "unit": "euro"},
    ]
    (folder / "schema.json").write_text(json.dumps({"columns": columns}))
    (folder / "events.sql").write_text(f"SELECT {key}, amount FROM `{source}` WHERE seen < @run_date -- all before\n")
    action = {"input": {"sql": "events.sql"}, "reads": [source]}
    document: dict[str, Any] = {
        "name": folder.name,
        "package": "throwaway",
        "entity_key": key,
        "owner": "tests@example.com",
        "triage": "Look at the test.",
        "output": {"schema": "schema.json"},
    }
    for name in spec.ACTIONS:
        document[name] = action | {"config": f"{name}.json"}
        (folder / f"{name}.json").write_text("{}")
    (folder / "model.yaml").write_text(json.dumps(document))


def _create_tables(made: Deployment, source: str) -> None:
    warehouse, described = made.clients.bigquery, made.spec
    project = warehouse.project
    for name in (source, made.env["DATASET"]):
        dataset = bigquery.Dataset(f"{project}.{name}")
        dataset.location = made.env["LOCATION"]
        warehouse.create_dataset(dataset)
    events = bigquery.Table(
        f"{project}.{source}.events",
        schema=[
            bigquery.SchemaField(made.key, "STRING", "REQUIRED"),
            bigquery.SchemaField("seen", "DATE", "REQUIRED"),
            bigquery.SchemaField("amount", "FLOAT64"),
        ],
    )
    warehouse.create_table(events)
    rows = [{made.key: f"{at % 10:03d}", "seen": "2024-04-30", "amount": at / 10} for at in range(30)]
    warehouse.load_table_from_json(rows, events, job_config=bigquery.LoadJobConfig(schema=events.schema)).result()
    schema = [bigquery.SchemaField.from_api_repr(column) for column in table.prediction_schema(described)]
    predictions = bigquery.Table(made.table, schema=schema)
    predictions.time_partitioning = bigquery.TimePartitioning(field="run_date")
    predictions.require_partition_filter = True
    predictions.clustering_fields = [made.key]
    warehouse.create_table(predictions)
    runs = [bigquery.SchemaField.from_api_repr(column) for column in table.RUNS_SCHEMA]
    warehouse.create_table(bigquery.Table(f"{made.table}_runs", schema=runs))
