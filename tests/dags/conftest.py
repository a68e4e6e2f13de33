"""What the tests of DAGs share: a home for Airflow that is not the person's own, and DAG files written by hand."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before the first import of Airflow, which writes its configuration into its home.
HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

DAGS = Path(__file__).parent.parent.parent / "dags"
sys.path.insert(0, str(DAGS))  # as Airflow does with its DAG folder

APPLICATION: dict[str, Any] = {
    "model": "soil_moisture",
    "action": "application",
    "owner": "fields@example.com",
    "tags": ["soil_moisture", "application"],
    "doc_md": "# soil_moisture\n\n**When to worry:** after noon.",
    "schedule": {"cron": "30 5 * * *", "timezone": "Europe/Madrid"},
    "paused": True,
    "job": "projects/field-lab/locations/europe-southwest1/jobs/qa-soil-moisture-application",
    "image_digest": "sha256:" + "5e" * 32,
    "args": ["apply"],
    "runs_bucket": "field-lab-qa-soil-moisture-runs",
    "table": "field-lab.moisture.soil_moisture",
    "task_timeout_seconds": 600,
    "max_retries": 1,
    "wait": {"mode": "poke", "interval_seconds": 7, "timeout_seconds": 1500},
}
DagJson = Callable[..., dict[str, Any]]


@pytest.fixture
def dag_json() -> DagJson:
    """Makes the JSON of an application DAG, with some values changed."""

    def make(dag_id: str, **changes: Any) -> dict[str, Any]:
        return {**APPLICATION, "dag_id": dag_id, **changes}

    return make


@pytest.fixture
def dags_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a DAG folder like the deployed one: the factory and some `*.dag.json`, given as texts or values."""

    def make(**files: str | dict[str, Any]) -> Path:
        folder = tmp_path / "dags"
        folder.mkdir()
        for source in [*DAGS.glob("*.py"), DAGS / ".airflowignore"]:
            (folder / source.name).write_text(source.read_text())
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{name}.dag.json").write_text(text)
        return folder

    return make
