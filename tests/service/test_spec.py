"""model.yaml and schema.json: what loads, and how each fault is named."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import BadUsage
from service.spec import FreshWithin, Input, Schedule, load, load_all

Document = dict[str, Any]
Place = tuple[str | int, ...]

MINIMAL: Document = {
    "name": "churn_2",
    "package": "churn",
    "entity_key": "account",
    "owner": "data@shop.example",
    "triage": "Takes five minutes.",
    "output": {"schema": "schema.json"},
    "training": {"input": {"sql": "sql/fit.sql"}, "reads": ["crm.accounts"], "config": "fit.json"},
    "application": {"input": {"file": "data/today.csv"}, "config": "predict.json"},
}
FULL: Document = {
    **MINIMAL,
    "source": "code",
    "maximum_bytes_billed": 5000,
    "secrets": {"API_KEY": "crm-api-key:12"},
    "gates": {},
    "training": {
        "input": {
            "sql": "sql/fit.sql",
            "format": "parquet",
            "fresh_within": {"column": "changed_on", "days": 3},
        },
        "reads": ["crm.accounts", "other-project.crm.accounts"],
        "config": "fit.json",
        "schedule": {"cron": "30 2 * * 1-5", "timezone": "Asia/Tokyo"},
        "resources": {"cpu": 4, "memory_gib": 12.5},
        "timeout_seconds": 604800,
        "max_retries": 0,
    },
    "application": {
        "input": {"uri": "gs://crm-export/today/accounts.parquet", "format": "parquet"},
        "reads": [],
        "config": "predict.json",
        "schedule": {"timezone": "Europe/Berlin"},
        "resources": {"memory_gib": 0.5},
        "timeout_seconds": 1,
        "max_retries": 10,
    },
}
COLUMNS: list[Document] = [
    {"name": "account", "type": "INT64", "mode": "REQUIRED", "description": "Number of the account."},
    {
        "name": "risk",
        "type": "FLOAT64",
        "mode": "NULLABLE",
        "description": "Probability of leaving.",
        "unit": "share",
        "minimum": 0,
        "maximum": 1,
    },
    {"name": "band", "type": "STRING", "mode": "NULLABLE", "description": "Band.", "values": ["low", "high"]},
]


def write_model(root: Path, document: object, columns: object = None, *, text: str | None = None) -> Path:
    """A model's folder `churn_2` with every file that MINIMAL and FULL name."""
    folder = root / "churn_2"
    for file in ("source/churn/main.py", "code/churn/main.py", "requirements.txt", "sql/fit.sql", "data/today.csv"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    for file in ("fit.json", "predict.json"):
        (folder / file).write_text("{}")
    (folder / "schema.json").write_text(json.dumps({"columns": columns or COLUMNS}))
    (folder / "model.yaml").write_text(text if text is not None else yaml.safe_dump(document, sort_keys=False))
    return folder


def changed(place: Place, value: object) -> Document:
    """FULL with one value set, or removed when the value is `...`."""
    document = copy.deepcopy(FULL)
    at: Any = document
    for part in place[:-1]:
        at = at[part]
    if value is ...:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return document


def refusal(folder: Path) -> str:
    """The text with which a folder is refused."""
    with pytest.raises(BadUsage) as caught:
        load(folder)
    return str(caught.value)


def test_a_minimal_model_has_the_documented_defaults(tmp_path: Path) -> None:
    spec = load(write_model(tmp_path, MINIMAL))
    training, application = spec.actions["training"], spec.actions["application"]
    assert (spec.source, spec.maximum_bytes_billed, spec.secrets) == ("source", 10_000_000_000, {})
    assert (training.schedule.cron, application.schedule.cron) == ("0 0 1 * *", "0 7 * * *")
    assert training.schedule.timezone == "UTC"
    assert (training.cpu, training.memory_gib, training.timeout_seconds, training.max_retries) == (1, 2, 3600, 1)
    assert (training.input.format, application.reads, application.input.fresh_within) == ("csv", (), None)


def test_a_full_model_loads_as_it_is_written(tmp_path: Path) -> None:
    spec = load(write_model(tmp_path, FULL))
    training, application = spec.actions["training"], spec.actions["application"]
    assert (spec.source, spec.secrets, spec.folder) == ("code", {"API_KEY": "crm-api-key:12"}, tmp_path / "churn_2")
    assert training.input == Input(
        sql="sql/fit.sql", format="parquet", fresh_within=FreshWithin(column="changed_on", days=3)
    )
    assert training.reads == ("crm.accounts", "other-project.crm.accounts")
    assert training.schedule == Schedule(cron="30 2 * * 1-5", timezone="Asia/Tokyo")
    assert application.schedule == Schedule(cron="0 7 * * *", timezone="Europe/Berlin")
    assert (training.cpu, training.memory_gib, application.memory_gib) == (4, 12.5, 0.5)
    assert [c.name for c in spec.columns] == ["account", "risk", "band"]
    assert spec.columns[2].values == ("low", "high")


def test_whole_numbers_written_as_decimals_load_as_integers(tmp_path: Path) -> None:
    spec = load(write_model(tmp_path, changed(("training", "timeout_seconds"), 600.0)))
    assert type(spec.actions["training"].timeout_seconds) is int, "Google's clients refuse 600.0"


REFUSED: list[tuple[Place, object, list[str]]] = [
    (("training", "schedule", "cron"), "0 7 * *", ["training.schedule.cron", "'0 7 * *'", "five cron fields"]),
    (("training", "schedule", "cron"), "0 7 * * * *", ["training.schedule.cron", "'0 7 * * * *'"]),
    (("training", "schedule", "cron"), "@daily", ["training.schedule.cron", "'@daily'"]),
    (("training", "schedule", "cron"), "0 25 * * *", ["training.schedule.cron", "'0 25 * * *'"]),
    (("training", "schedule", "cron"), "0 0 30 2 *", ["training.schedule.cron", "'0 0 30 2 *'"]),
    (("application", "schedule", "timezone"), "Berlin", ["application.schedule.timezone", "'Berlin'", "IANA"]),
    (("application", "schedule", "timezone"), "America", ["application.schedule.timezone", "'America'"]),
    (("application", "schedule", "timezone"), "../etc", ["application.schedule.timezone", "'../etc'"]),
    (("training", "resources"), {"cpu": 1, "memory_gib": 8}, ["training.resources", "'8' GiB", "0.5 to 4 GiB"]),
    (("training", "resources"), {"cpu": 8}, ["training.resources", "'2' GiB", "4 to 32 GiB"]),
    (("training", "resources", "cpu"), 3, ["training.resources.cpu", "'3'", "1, 2, 4, 6 or 8"]),
    (("training", "resources", "memory_gib"), 2.1, ["training.resources.memory_gib", "'2.1'", "steps of 0.25"]),
    (("training", "timeout_seconds"), 0, ["training.timeout_seconds", "'0'", "1 to 604800"]),
    (("training", "timeout_seconds"), 604801, ["training.timeout_seconds", "'604801'"]),
    (("training", "max_retries"), 11, ["training.max_retries", "'11'", "0 to 10"]),
    (("training", "max_retries"), "1", ["training.max_retries", "'1'", "integer"]),
    (("training", "max_retries"), True, ["training.max_retries", "'true'", "integer"]),
    (("training", "shedule"), {}, ["training.shedule", "Did you mean 'schedule'?"]),
    (("colour",), 1, ["model.yaml, colour", "Keys that may stand here: application, entity_key"]),
    (("gates", "rows"), 1, ["gates.rows", "delivery, promotion"]),
    (("gates", "delivery"), {"maximum_drft": 1}, ["gates.delivery.maximum_drft", "Did you mean 'maximum_drift'?"]),
    (("gates", "delivery"), {"maximum_null_share": 1.5}, ["'1.5' is more than 1", "0 to 1"]),
    (("gates", "delivery"), {"columns": {"nobody": {}}}, ["gates.delivery.columns.nobody", "not a column"]),
    (("gates", "promotion"), {"metrics": {"auc": {}}}, ["gates.promotion.metrics.auc", "fewer than 1 keys"]),
    (("gates", "promotion"), {"metrics": {"auc": {"minimum": 2, "maximum": 1}}}, ["is more than its maximum '1'"]),
    (
        ("gates", "promotion"),
        {"against_live": {"metric": "auc", "better": "higher"}},
        ["gates.promotion.against_live", "evaluation: {config: FILE.json}"],
    ),
    (("evaluation",), {"config": "none.json"}, ["evaluation.config", "There is no file"]),
    (("owner",), ..., ["model.yaml, owner", "missing", "Who answers"]),
    (("owner",), " ", ["model.yaml, owner"]),
    (("training", "reads"), ..., ["training.reads", "missing", "[] says none"]),
    (("training", "reads", 1), "accounts", ["training.reads[1]", "'accounts'", "dataset.table"]),
    (("training", "reads", 1), "crm.accounts", ["training.reads", "twice"]),
    (("training", "input", "uri"), "gs://crm/x.csv", ["training.input", "exactly one"]),
    (("training", "input"), {"format": "csv"}, ["training.input", "exactly one"]),
    (("training", "input", "format"), "json", ["training.input.format", "'json'", "'csv'"]),
    (("application", "input", "uri"), "s3://b1/x.csv", ["application.input.uri", "'s3://b1/x.csv'", "gs://"]),
    (("training", "config"), "fitt.json", ["training.config", "fitt.json", "no file"]),
    (("training", "config"), "../fit.json", ["training.config", "'../fit.json'", "inside the model's folder"]),
    (("training", "input", "sql"), "/etc/passwd", ["training.input.sql", "'/etc/passwd'"]),
    (("training", "input", "sql"), "sql", ["training.input.sql", "no file"]),
    (("package",), "churned", ["model.yaml, package", "code/churned/main.py"]),
    (("source",), "src", ["model.yaml, source", "no folder"]),
    (("name",), "churn", ["model.yaml, name", "'churn'", "'churn_2'"]),
    (("name",), "Churn", ["model.yaml, name", "'Churn'", "lower-case"]),
    (("secrets",), {"api_key": "x:1"}, ["model.yaml, secrets", "'api_key'", "capital letters"]),
    (("secrets",), {"RUNS_BUCKET": "x:1"}, ["secrets.RUNS_BUCKET", "set by the product"]),
    (("secrets",), {"API_KEY": "a b:1"}, ["secrets.API_KEY", "'a b:1'"]),
    (("secrets",), {"API_KEY": "crm-api-key"}, ["secrets.API_KEY", "Id and version"]),
    (("secrets",), {"API_KEY": "crm-api-key:latest"}, ["secrets.API_KEY", "without a deployment"]),
    (("entity_key",), "customer", ["schema.json, columns", "'customer'", "entity_key"]),
]


@pytest.mark.parametrize(("place", "value", "expected"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_fault_is_named_by_place_value_and_remedy(
    tmp_path: Path, place: Place, value: object, expected: list[str]
) -> None:
    text = refusal(write_model(tmp_path, changed(place, value)))
    assert [part for part in expected if part not in text] == [], text
    assert "\n" not in text, "one fault, one line"


@pytest.mark.parametrize("name", ["runs", "orders_runs", "orders_latest"])
def test_a_name_that_the_product_uses_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path, changed(("name",), name)).rename(tmp_path / name)
    assert f"model.yaml, name: '{name}'" in refusal(folder)


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    document = changed(("training", "max_retries"), -1)
    document["application"]["timeout_seconds"] = "long"
    text = refusal(write_model(tmp_path, document))
    assert "training.max_retries" in text
    assert "application.timeout_seconds" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: churn\n  package: x: y\n", ["line 2, column 10", "Mapping values are not allowed"]),
        ("name: [a\nowner: b\n", ["line 2"]),
        ("name: a\nowner: b\nname: c\n", ["line 3, column 1", "'name' occurs twice"]),
        ("training: {reads: [], reads: []}\n", ["line 1, column 23", "'reads' occurs twice"]),
        ("- a\n", ["not a mapping"]),
        ("", ["not a mapping"]),
        ("owner: &a [*a]\n", ["contains itself"]),
        ("1: x\n", ["key '1' is not text"]),
        ("timeout: .nan\n", ["timeout", "not a finite number"]),
        ("timeout: 0b_\n", ["not YAML"]),
        ("owner: !!python/object:os.system {}\n", ["line 1, column 8"]),
        ("owner: !!set {a}\n", ["owner", "not text, a number, a list or a mapping"]),
        ("owner: \0\n", ["not YAML"]),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    message = refusal(write_model(tmp_path, None, text=text))
    assert [part for part in expected if part not in message] == [], message


def test_a_date_without_quotes_is_text(tmp_path: Path) -> None:
    assert load(write_model(tmp_path, changed(("owner",), "2024-02-30"))).owner == "2024-02-30"


def test_a_config_that_is_not_json_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = write_model(tmp_path, FULL)
    (folder / "fit.json").write_text('{"penalty": 1,\n "rows": }')
    assert "fit.json, line 2, column 10" in refusal(folder)
    (folder / "fit.json").write_text('{"rows": 1, "rows": 2}')
    assert "'rows' occurs twice" in refusal(folder)


@pytest.mark.parametrize(
    ("index", "change", "expected"),
    [
        (0, {"mode": "NULLABLE"}, ["columns[0].mode", "'account'", "REQUIRED"]),
        (0, {"type": "FLOAT64"}, ["columns[0].type", "cluster"]),
        (1, {"name": "Run_Date"}, ["columns[1].name", "'Run_Date'", "adds to every row"]),
        (1, {"name": "model_version"}, ["columns[1].name"]),
        (1, {"name": "run_id"}, ["columns[1].name"]),
        (1, {"name": "predicted_at"}, ["columns[1].name"]),
        (2, {"name": "RISK"}, ["columns[2].name", "'RISK'", "stands above"]),
        (2, {"name": "1st"}, ["columns[2].name", "'1st'", "starting with a letter"]),
        (1, {"type": "FLOAT"}, ["columns[1].type", "'FLOAT'", "FLOAT64"]),
        (1, {"minimum": 2}, ["columns[1].minimum", "'2'", "'1'"]),
        (2, {"maximum": 2}, ["columns[2].maximum", "'STRING'"]),
        (2, {"values": ["low", 1]}, ["columns[2].values", "STRING"]),
        (1, {"values": ["low"]}, ["columns[1].values", "FLOAT64"]),
        (1, {"units": "share"}, ["columns[1].units", "Did you mean 'unit'?"]),
        (1, {"description": " "}, ["columns[1].description"]),
    ],
)
def test_a_fault_in_the_columns_is_named(tmp_path: Path, index: int, change: Document, expected: list[str]) -> None:
    columns = copy.deepcopy(COLUMNS)
    columns[index] |= change
    text = refusal(write_model(tmp_path, FULL, columns))
    assert [part for part in expected if part not in text] == [], text


def test_models_load_in_the_order_of_their_names_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    write_model(tmp_path, FULL)
    (tmp_path / "__pycache__").mkdir()
    assert [s.name for s in load_all(tmp_path)] == ["churn_2"]


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="holds no model"):
        load_all(tmp_path)


def test_the_models_of_this_repository_load() -> None:
    specs = {spec.name: spec for spec in load_all()}
    assert specs["customer_value"].actions["application"].reads == ("example_shop.transactions",)
