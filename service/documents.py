"""How a YAML or JSON file is read strictly, and how each of its faults is named by file and place.

Does not own what the files mean: `spec.py` and `columns.py` do.
"""

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from service.errors import BadUsage

MAXIMUM_DEPTH = 20  # an alias that contains itself is endless

# What a keyword of JSON Schema complains about; the description of the key follows and says what would be right.
COMPLAINTS = {
    "enum": "is not one of {limit}",
    "exclusiveMinimum": "is not more than {limit}",
    "maxLength": "is longer than {limit} characters",
    "maximum": "is more than {limit}",
    "minItems": "has fewer than {limit} entries",
    "minProperties": "has fewer than {limit} keys",
    "minLength": "is shorter than {limit} characters",
    "minimum": "is less than {limit}",
    "multipleOf": "is not a multiple of {limit}",
    "oneOf": "does not hold exactly one of the keys that exclude each other",
    "pattern": "is not in the right form",
    "type": "is not of the type {limit}",
    "uniqueItems": "holds an entry twice",
}


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may occur once, and a date is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key '{key.value}' occurs twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _as_text(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    return loader.construct_scalar(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from YAML; a key written twice is refused.

    Raises:
        BadUsage: the file is missing, is not YAML (with line and column), or is not a mapping of plain values.
    """
    try:
        document = yaml.load(_read(path), Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        text = (error.problem or error.context or "not YAML").capitalize()
        raise BadUsage(f"{text}.", "Correct the YAML there.", where=f"{path}{at}") from error
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # ValueError: a number such as 0b_ that YAML promises and Python refuses
        raise BadUsage(
            f"This is not YAML: {error}.", "Correct it, or put the value in quotes.", where=str(path)
        ) from error
    return _checked(document, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from JSON; a key written twice, NaN and Infinity are refused.

    Raises:
        BadUsage: the file is missing, is not JSON (with line and column), or is not an object.
    """
    try:
        document = json.loads(_read(path), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise BadUsage(f"This is not JSON: {error.msg}.", "Correct it there.", where=where) from error
    except ValueError as error:
        raise BadUsage(f"This is not JSON: {error}.", "Correct it.", where=str(path)) from error
    return _checked(document, path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadUsage(f"'{path}' cannot be read: {error.strerror}.", "Create the file.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadUsage("This is not UTF-8.", "Save the file as UTF-8.", where=f"{path}, line {line}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key '{key}' occurs twice")
        document[key] = value
    return document


def _checked(document: object, path: Path) -> dict[str, Any]:
    raise_all(list(_odd_values(document, path, ())))
    if not isinstance(document, dict):
        raise BadUsage(f"{quoted(document)} is not a mapping.", "Write 'key: value' pairs.", where=str(path))
    return document


def _odd_values(value: object, path: Path, at: tuple[str | int, ...]) -> Iterator[BadUsage]:
    """Values that YAML can spell and JSON cannot."""
    if len(at) > MAXIMUM_DEPTH:
        yield BadUsage(
            "This is nested too deeply.", "Remove the alias that contains itself.", where=located(path, at[:2])
        )
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _odd_values(item, path, (*at, key))
            else:
                yield BadUsage(f"The key {quoted(key)} is not text.", "Put it in quotes.", where=located(path, at))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_values(item, path, (*at, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield BadUsage(f"{quoted(value)} is not a finite number.", "Write a number.", where=located(path, at))
    elif not isinstance(value, str | int | float | None):
        text = f"{quoted(value)} is not text, a number, a list or a mapping."
        yield BadUsage(text, "Remove its tag, or put it in quotes.", where=located(path, at))


def schema_faults(document: dict[str, Any], schema: dict[str, Any], path: Path) -> list[BadUsage]:
    """Check a document against a JSON Schema (draft 2020-12).

    Returns:
        One error for each fault, in the order of their places; each names the place, the value and what would be right.
    """
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    ordered = sorted(errors, key=lambda error: [str(part) for part in error.absolute_path])
    return [fault for error in ordered for fault in _translated(error, path)]


def _translated(error: jsonschema.ValidationError, path: Path) -> Iterator[BadUsage]:
    at = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    right = str(schema.get("description", "See the file's JSON Schema."))
    if error.validator == "additionalProperties":
        known, instance = sorted(schema.get("properties", {})), cast(dict[str, object], error.instance)
        for key in sorted(set(instance) - set(known)):
            yield BadUsage(f"Unknown key '{key}'.", _nearest(key, known), where=located(path, (*at, key)))
    elif error.validator == "required":
        key = error.message.split("'")[1]  # one error for each missing key, which only the message names
        right = schema.get("properties", {}).get(key, {}).get("description", "Add it.")
        yield BadUsage(f"The key '{key}' is missing.", right, where=located(path, (*at, key)))
    else:
        complaint = COMPLAINTS.get(str(error.validator), "is not allowed").format(limit=error.validator_value)
        yield BadUsage(f"{quoted(error.instance)} {complaint}.", right, where=located(path, at))


def _nearest(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Keys that may stand here: {', '.join(known)}." if known else "No key may stand here yet: remove it."


def located(path: Path, at: Sequence[str | int]) -> str:
    """File and place, such as `model.yaml, training.reads[0]`."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
    return f"{path}, {place}" if place else str(path)


def quoted(value: object) -> str:
    """A value as it stands in a message: in quotes, as JSON, cut after 80 characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def raise_all(faults: Sequence[BadUsage]) -> None:
    """Raise the faults of a file together, so that one reading finds them all.

    Raises:
        BadUsage: the only fault, or one line for each of several.
    """
    if len(faults) == 1:
        raise faults[0]
    if faults:
        lines = "\n".join(str(fault) for fault in faults)
        raise BadUsage(lines, f"({len(faults)} faults)")
