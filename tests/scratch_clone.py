"""A copy of this clone, for models and stacks of a test's own; the code of such models is in tests/models/."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

MODELS = Path(__file__).parent / "models"


def copy(folder: Path, **config: str) -> Path:
    """Copy what git knows or would add, link the virtual environment, and change values of the stack `local`."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    file = folder / "Pulumi.local.yaml"
    stack = yaml.safe_load(file.read_text())
    stack["config"] |= config
    file.write_text(yaml.safe_dump(stack))
    return folder


def remove_models(clone: Path) -> None:
    """Leave a clone without any model."""
    for description in (clone / "service" / "models").glob("*/model.yaml"):
        shutil.rmtree(description.parent)


def add_model(
    clone: Path, name: str, *, package: str, key: str, value: str, sql: str, config: dict[str, Any], tasks: int = 1
) -> None:
    """Describe a model whose code is tests/models/<package>.py, with one table that both actions read.

    Args:
        value: the column that it predicts.
        sql: with the table in backquotes; it may use @run_date.
        tasks: that share an application.
    """
    folder = clone / "service" / "models" / name
    source = folder / "source" / package
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    shutil.copyfile(MODELS / f"{package}.py", source / "main.py")
    (folder / "requirements.txt").touch()
    (folder / "input.sql").write_text(f"{sql}\n")
    (folder / "config.json").write_text(json.dumps(config))
    columns = [
        {"name": key, "type": "STRING", "mode": "REQUIRED", "description": "who"},
        {"name": value, "type": "FLOAT64", "mode": "REQUIRED", "description": "how much"},
    ]
    (folder / "schema.json").write_text(json.dumps({"columns": columns}))
    action = {"input": {"sql": "input.sql"}, "reads": [sql.split("`")[1]], "config": "config.json"}
    document = {
        "name": name,
        "package": package,
        "entity_key": key,
        "owner": "tests@example.com",
        "triage": "Look at the test.",
        "output": {"schema": "schema.json"},
        "training": action,
        "application": action | {"tasks": tasks},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(document))
