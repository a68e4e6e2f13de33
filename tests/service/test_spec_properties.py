"""Whatever one changes in model.yaml or schema.json, it loads as written or is refused where it was changed."""

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service import spec as spec_module
from service.errors import BadUsage
from service.spec import MODELS, ModelSpec, load

Document = dict[str, Any]
Place = tuple[str | int, ...]

EXAMPLE = MODELS / "customer_value"
COLUMNS: list[Document] = json.loads((EXAMPLE / "schema.json").read_text())["columns"]


def full() -> Document:
    """The example's model.yaml, with the keys that it leaves out."""
    document: Document = yaml.safe_load((EXAMPLE / "model.yaml").read_text())
    document |= {"source": "source", "maximum_bytes_billed": 5000, "secrets": {"API_KEY": "crm-api-key:2"}}
    document["gates"] = {"delivery": {"maximum_drift": 0.3, "columns": {"expected_purchases": {"maximum_drift": 1}}}}
    document["training"]["input"]["format"] = "parquet"
    document["application"]["input"] = {"uri": "gs://shop-export/purchases.csv"}
    document["application"] |= {"resources": {"cpu": 4, "memory_gib": 12.5}, "tasks": 3}
    return document


FULL = full()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example's folder; each case writes its own model.yaml and schema.json, and nothing else."""
    folder = tmp_path_factory.mktemp("models") / EXAMPLE.name
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return folder


def write_model(folder: Path, document: Document, columns: list[Document] = COLUMNS) -> Path:
    """Another model.yaml and schema.json."""
    (folder / "model.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "schema.json").write_text(json.dumps({"columns": columns}))
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


def schema_of(name: str) -> Document:
    schema: Document = json.loads(Path(spec_module.__file__).with_name(name).read_text())
    return schema


def declared_objects(schema: object) -> Iterator[Document]:
    """Every part of a schema that says which keys an object has; conditions only refine one."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        for key, value in schema.items():
            if key not in ("if", "then"):
                yield from declared_objects(value)


@pytest.mark.parametrize("name", ["model.schema.json", "output.schema.json"])
def test_the_json_schemas_are_valid_closed_and_described(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    found = list(declared_objects(schema))
    assert len(found) >= 2
    for entry in found:
        assert entry["additionalProperties"] is False, f"unknown keys pass in {entry}"
        for key, value in entry["properties"].items():
            target = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else {}
            assert "description" in value or "description" in target, f"{key} has no description"


def filled(document: object, schema: Document, root: Document) -> Any:
    """A document with the defaults that a JSON Schema declares."""
    if "$ref" in schema:
        document = filled(document, root["$defs"][schema["$ref"].rpartition("/")[2]] | {"default": ...}, root)
    if not isinstance(document, dict):
        return document
    document = dict(document)
    for key, value in schema.get("properties", {}).items():
        target = root["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else {}
        default = value.get("default", target.get("default", ...))
        if key not in document and default is not ...:
            document[key] = default
        if key in document:
            document[key] = filled(document[key], value, root)
    return document


def with_defaults(document: Document) -> Document:
    """What a document means: the loader must agree with the defaults in its published schema."""
    document = copy.deepcopy(document)
    for action, cron in (("training", "0 0 1 * *"), ("application", "0 7 * * *")):
        document[action]["schedule"] = {"cron": cron} | document[action].get("schedule", {})
    return dict(filled(document, schema_of("model.schema.json"), schema_of("model.schema.json")))


def described(spec: ModelSpec) -> Document:
    """A loaded model as the document that would say everything."""

    def action(name: str) -> Document:
        a = spec.actions[name]
        fresh = (
            {"column": a.input.fresh_within.column, "days": a.input.fresh_within.days} if a.input.fresh_within else None
        )
        given = {"sql": a.input.sql, "uri": a.input.uri, "file": a.input.file, "fresh_within": fresh}
        return {
            "input": {k: v for k, v in given.items() if v is not None} | {"format": a.input.format},
            "reads": list(a.reads),
            "config": a.config,
            "schedule": {"cron": a.schedule.cron, "timezone": a.schedule.timezone},
            "resources": {"cpu": a.cpu, "memory_gib": a.memory_gib},
            "timeout_seconds": a.timeout_seconds,
            "max_retries": a.max_retries,
            "tasks": a.tasks,
        }

    keys = ("name", "package", "source", "entity_key", "owner", "triage", "maximum_bytes_billed", "secrets")
    evaluation = {"evaluation": {"config": spec.evaluation}} if spec.evaluation else {}
    return {
        **{key: getattr(spec, key) for key in keys},
        **evaluation,
        "output": {"schema": "schema.json"},
        "gates": gates(spec),
        "training": action("training"),
        "application": action("application"),
    }


def gates(spec: ModelSpec) -> Document:
    """The limits of a loaded model as model.yaml would say them."""
    found = dataclasses.asdict(spec.gates)
    for limits in (*found["delivery"]["columns"].values(), *found["promotion"]["metrics"].values()):
        for name in [name for name, value in limits.items() if value is None]:
            del limits[name]
    if found["promotion"]["against_live"] is None:
        del found["promotion"]["against_live"]
    return found


def test_the_defaults_of_the_json_schema_are_those_of_the_loader(folder: Path) -> None:
    required = {
        "name": "customer_value",
        "package": "customer_value",
        "entity_key": "customer_id",
        "owner": "team",
        "triage": "Ask.",
        "output": {"schema": "schema.json"},
        "training": {"input": {"sql": "sql/training.sql"}, "reads": [], "config": "training.json"},
        "application": {"input": {"file": "schema.json"}, "config": "application.json"},
    }
    assert described(load(write_model(folder, required))) == with_defaults(required)


def places(value: object, at: Place = ()) -> Iterator[Place]:
    """Every place in a document, the whole excepted."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


VALUES = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    st.sampled_from(
        [1, 2, 4, 6, 8, 16, 0.75, "0 0 * * 0", "*/5 * * * *", "UTC", "sql/training.sql", "training.json", "csv"]
    ),
    st.from_regex(r"[-0-9*/,LH#W?]{1,6}( [-0-9*/,LH#W?]{1,6}){4}", fullmatch=True),
    st.lists(st.text(max_size=5), max_size=2) | st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)
CHANGES = st.one_of(
    st.tuples(st.sampled_from(list(places(FULL))), VALUES),
    st.tuples(st.sampled_from([p for p in places(FULL) if isinstance(p[-1], str)]), st.just(...)),
    st.tuples(
        st.tuples(
            st.sampled_from([p for p in places(FULL) if p[-1] in ("training", "input", "schedule")]), st.text()
        ).map(lambda pair: (*pair[0], pair[1])),
        VALUES,
    ),
)


COLUMN_CHANGES = st.tuples(
    st.integers(0, len(COLUMNS) - 1),
    st.sampled_from(["name", "type", "mode", "unit", "description", "minimum", "maximum", "values", "key"]),
    VALUES | st.sampled_from(["INT64", "STRING", "NULLABLE", "REQUIRED", "Risk", ["low"], [1, 2], ...]),
)


@given(change=COLUMN_CHANGES)
def test_one_change_of_a_column_loads_as_written_or_is_refused_with_its_place(
    folder: Path, change: tuple[int, str, object]
) -> None:
    index, key, value = change
    columns = copy.deepcopy(COLUMNS)
    columns[index][key] = value
    if value is ...:
        del columns[index][key]
    write_model(folder, FULL, columns)
    try:
        loaded, text = load(folder).columns, ""
    except BadUsage as error:
        loaded, text = (), str(error)
    if loaded:
        described = [{k: v for k, v in dataclasses.asdict(column).items() if v is not None} for column in loaded]
        assert json.loads(json.dumps(described)) == columns
    else:
        # A column that changes its name may take another's, or leave the key or a limit of the gate without a column.
        places = ["schema.json, columns:", "model.yaml, gates.delivery.columns."] + [
            f"schema.json, columns[{i}]" for i in range(len(columns)) if i == index or key == "name"
        ]
        assert any(place in text for place in places), text


def related(found: str, place: Place) -> bool:
    """Whether a message's place is the changed place, above it or below it."""
    spelled = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    return (spelled + ".").startswith(found) or found.startswith(spelled)


# A wrong file or key is found where it is used: in the columns, or in the file itself.
ELSEWHERE: list[Place] = [
    ("evaluation", "config"),
    ("entity_key",),
    ("output", "schema"),
    ("training", "config"),
    ("application", "config"),
]


@given(change=CHANGES)
def test_one_change_loads_as_written_or_is_refused_with_its_place(folder: Path, change: tuple[Place, object]) -> None:
    place, value = change
    document = changed(place, value)
    write_model(folder, document)
    try:
        spec, text = load(folder), ""
    except BadUsage as error:
        spec, text = None, str(error)
    if spec:
        assert described(spec) == with_defaults(document), f"{place} = {value!r} was lost"
    else:
        found = re.findall(r"model\.yaml, ((?:.|\n)*?): ", text)
        assert place in ELSEWHERE or any(related(f, place) for f in found), f"{place} = {value!r}: {text}"
