"""A model as its model.yaml declares it: the only reader of that file, shared by all parts of the product.

Pure: reads the model's folder, no environment, clock or network. Does not own the table (`table.py`) or the
columns of schema.json (`columns.py`). Imports the standard library, PyYAML, jsonschema and croniter only.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

from service.columns import Column, read_columns
from service.documents import located, quoted, raise_all, read_json, read_yaml, schema_faults
from service.errors import BadUsage
from service.gate_limits import Gates, gate_faults, read_gates

MODELS = Path(__file__).parent / "models"
ACTIONS = ("training", "application")
CRON = {"training": "0 0 1 * *", "application": "0 7 * * *"}

# Memory in GiB that a job may have with each number of CPUs:
# https://cloud.google.com/run/docs/configuring/jobs/memory-limits and .../jobs/cpu (read 2026-11)
MEMORY_GIB = {1: (0.5, 4.0), 2: (0.5, 8.0), 4: (2.0, 16.0), 6: (4.0, 24.0), 8: (4.0, 32.0)}

RESERVED_NAME = re.compile(r"runs|.*_runs|.*_latest")  # tables and views that the product makes beside the models'
# Names that the stack, the service or the platform sets, and that change how Python or a client works.
RESERVED_ENVIRONMENT = re.compile(
    r"(CLOUD_RUN|GOOGLE|GCLOUD|K|PYTHON|X_GOOGLE)_.*|.*_ENDPOINT|AIRFLOW_(DAG_ID|RUN_ID|URL)|CODE_COMMIT|DATASET|HOME|IMAGE_DIGEST"
    r"|LOCATION|MODEL|MODELS_BUCKET|MODEL_PYTHON|PATH|PORT|PYTHONPATH|RUNS_BUCKET|RUN_ID"
)


@dataclass(frozen=True, kw_only=True)
class FreshWithin:
    """The newest value of a column may be at most this many days before the run date."""

    column: str
    days: int


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where an action's data comes from: exactly one of `sql`, `uri` and `file` (paths in the folder)."""

    sql: str | None = None
    uri: str | None = None
    file: str | None = None
    format: str = "csv"  # of the file at data_path: csv or parquet
    fresh_within: FreshWithin | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When an action runs: five cron fields in a time zone of the IANA database."""

    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """One action of a model: `training` or `application`."""

    name: str
    input: Input
    config: str
    schedule: Schedule
    reads: tuple[str, ...] = ()
    cpu: int = 1
    memory_gib: float = 2
    timeout_seconds: int = 3600
    max_retries: int = 1
    tasks: int = 1  # that share an application


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model: a folder with a checked model.yaml, whose files exist."""

    name: str
    package: str  # or module:Class, see model_adapter.py
    source: str = "source"
    entity_key: str
    owner: str
    triage: str
    folder: Path
    columns: tuple[Column, ...]
    maximum_bytes_billed: int = 10_000_000_000
    secrets: Mapping[str, str] = field(default_factory=dict)  # environment name: secret, as id:version
    actions: Mapping[str, ActionSpec]
    gates: Gates = field(default_factory=Gates)
    evaluation: str | None = None  # the configuration of `--action evaluation`, if the model offers it


def load(folder: Path) -> ModelSpec:
    """Read one model's folder.

    Raises:
        BadUsage: model.yaml or a file that it names is missing or wrong; the text names each fault's file and place.
    """
    path = folder / "model.yaml"
    if not path.is_file():
        known = sorted(other.parent.name for other in folder.parent.glob("*/model.yaml"))
        text = f"There is no model '{folder.name}' in '{folder.parent}', but {known}: '{path}' is missing."
        raise BadUsage(text, "Correct the name, or add the file.")
    document = read_yaml(path)
    schema = json.loads(Path(__file__).with_name("model.schema.json").read_text())
    raise_all(schema_faults(document, schema, path))
    raise_all([*_name_faults(document, path), *_file_faults(document, path), *_action_faults(document, path)])
    columns = read_columns(folder / document["output"]["schema"], document["entity_key"])
    raise_all([*_adapter_faults(document, columns, path), *gate_faults(document, columns, path)])
    configs = [document[action]["config"] for action in (*ACTIONS, "evaluation") if action in document]
    for config in configs:
        read_json(folder / config)
    return ModelSpec(
        **{key: document[key] for key in ("name", "package", "entity_key", "owner", "triage")},
        **{key: document[key] for key in ("source", "secrets") if key in document},
        **_whole(document, "maximum_bytes_billed"),
        folder=folder,
        columns=columns,
        actions={action: _action(action, document[action]) for action in ACTIONS},
        gates=read_gates(document),
        evaluation=document.get("evaluation", {}).get("config"),
    )


def load_all(root: Path = MODELS) -> tuple[ModelSpec, ...]:
    """Read every model below a folder, in the order of their names; a folder without model.yaml is not a model.

    Raises:
        BadUsage: one of them is wrong, or there is none.
    """
    specs = tuple(load(path.parent) for path in sorted(root.glob("*/model.yaml")))
    if not specs:
        raise BadUsage(f"'{root}' holds no model.", "Add a folder with a model.yaml to it.")
    return specs


def _action(name: str, entry: dict[str, Any]) -> ActionSpec:
    given = dict(entry["input"])
    fresh = given.pop("fresh_within", None)
    fresh_within = FreshWithin(column=fresh["column"], days=int(fresh["days"])) if fresh else None
    resources = entry.get("resources", {})
    return ActionSpec(
        name=name,
        input=Input(**given, fresh_within=fresh_within),
        config=entry["config"],
        schedule=Schedule(**{"cron": CRON[name], **entry.get("schedule", {})}),
        reads=tuple(entry.get("reads", ())),
        **_whole(resources, "cpu"),
        **{key: resources[key] for key in ("memory_gib",) if key in resources},
        **_whole(entry, "timeout_seconds", "max_retries", "tasks"),
    )


def _whole(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    """JSON Schema takes 3600.0 for an integer; Python's clients do not."""
    return {key: int(entry[key]) for key in keys if key in entry}


def _name_faults(document: dict[str, Any], path: Path) -> Iterator[BadUsage]:
    name, folder = document["name"], path.parent.resolve().name
    if RESERVED_NAME.fullmatch(name):
        text = f"'{name}' is the name of a table or view that the product makes."
        yield BadUsage(
            text, "Choose a name other than 'runs', '…_runs' and '…_latest'.", where=located(path, ("name",))
        )
    if name != folder:
        text = f"'{name}' is not the name of the folder, '{folder}'."
        yield BadUsage(text, "Give both the same name.", where=located(path, ("name",)))
    for key in document.get("secrets", {}):
        if RESERVED_ENVIRONMENT.fullmatch(key):
            text = f"'{key}' is set by the product or the platform."
            yield BadUsage(text, "Choose another environment name.", where=located(path, ("secrets", key)))


def _file_faults(document: dict[str, Any], path: Path) -> Iterator[BadUsage]:
    """Each file that model.yaml names or implies must be there."""
    source = document.get("source", "source")
    if not (path.parent / source).is_dir():
        text = f"There is no folder '{path.parent / source}'."
        yield BadUsage(
            text, "Add it (git submodule update --init?), or correct its name.", where=located(path, ("source",))
        )
        return
    main = f"{source}/{document['package'].replace('.', '/')}/main.py"
    named: list[tuple[tuple[str, ...], str]] = [
        ((), "requirements.txt"),
        (("output", "schema"), document["output"]["schema"]),
    ]
    if ":" not in document["package"]:  # a class may be one of an installed package
        named.insert(0, (("package",), main))
    for action in ACTIONS:
        entry = document[action]
        named += [((action, "input", key), entry["input"][key]) for key in ("sql", "file") if key in entry["input"]]
        named.append(((action, "config"), entry["config"]))
    if "evaluation" in document:
        named.append((("evaluation", "config"), document["evaluation"]["config"]))
    for place, file in named:
        if not (path.parent / file).is_file():
            yield BadUsage(
                f"There is no file '{path.parent / file}'.", "Add it, or correct its name.", where=located(path, place)
            )


def _adapter_faults(document: dict[str, Any], columns: Sequence[Column], path: Path) -> Iterator[BadUsage]:
    """A class predicts one column, and nothing about itself."""
    if ":" not in document["package"]:
        return
    if len(columns) != 2:
        text = f"A class predicts one column beside the key, but schema.json has {len(columns)} columns in all."
        yield BadUsage(text, "Remove the others, or write a main.py.", where=located(path, ("package",)))
    if "evaluation" in document:
        text = "A class does not offer '--action evaluation'."
        yield BadUsage(text, "Remove evaluation, or write a main.py.", where=located(path, ("evaluation",)))


def _action_faults(document: dict[str, Any], path: Path) -> Iterator[BadUsage]:
    for action in ACTIONS:
        schedule = document[action].get("schedule", {})
        cron, timezone = schedule.get("cron", CRON[action]), schedule.get("timezone", "UTC")
        if not _comes(cron):
            text = f"{quoted(cron)} is not five cron fields that name some time."
            right = "Write minute, hour, day of the month, month and day of the week, such as '0 7 * * *'."
            yield BadUsage(text, right, where=located(path, (action, "schedule", "cron")))
        if not _is_zone(timezone):
            text = f"{quoted(timezone)} is not a time zone."
            right = "Write a name of the IANA database, such as 'UTC' or 'Europe/Berlin'."
            yield BadUsage(text, right, where=located(path, (action, "schedule", "timezone")))
        resources = document[action].get("resources", {})
        cpu, memory = resources.get("cpu", 1), resources.get("memory_gib", 2)
        least, most = MEMORY_GIB[cpu]
        if not least <= memory <= most:
            text = f"Cloud Run does not allow '{memory}' GiB of memory with '{cpu}' CPU."
            right = f"Write {least:g} to {most:g} GiB, or change the CPUs."
            yield BadUsage(text, right, where=located(path, (action, "resources")))


def _comes(cron: str) -> bool:
    """Whether a cron expression is valid and names a time; 30 February never comes."""
    if len(cron.split()) != 5:  # croniter also takes seconds, years and @daily
        return False
    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except (CroniterError, ValueError):
        return False
    return True


def _is_zone(timezone: str) -> bool:
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones, such as 'America'
        return False
    return True
