"""Which properties a resource type has, read from the source text of the installed Pulumi SDKs.

Importing an SDK takes seconds and its modules stay in memory; the text of one class is found in milliseconds. Does not
know what the local cloud does with a property.
"""

import difflib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.provider.values import UNKNOWN, Asset, Secret

SDKS = {"gcp": "pulumi_gcp", "docker-build": "pulumi_docker_build"}
GETTER = re.compile(r'@pulumi\.getter(?:\(name="(\w+)"\))?\n    def (\w+)\(self\) -> (.+):\n')


@dataclass(frozen=True)
class Property:
    """One property of a type: whether it must be given, and the class of its entries if it has any."""

    required: bool
    nested: str  # name of an Args class, or ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one property; `path` is where, as `lifecycleRules[0].condition`."""

    path: str
    reason: str


def version(package: str) -> str:
    """The version of an installed SDK, which is the version of the plugin it belongs to."""
    return importlib.metadata.version(SDKS[package].replace("_", "-"))


def exists(token: str) -> bool:
    """Whether an SDK has this resource type."""
    return _resource_file(token) is not None


@cache
def inputs(token: str) -> Mapping[str, Property]:
    """The inputs of a resource type, or of a provider (`pulumi:providers:gcp`)."""
    file = _resource_file(token)
    name = "Provider" if token.startswith("pulumi:providers:") else token.rpartition(":")[2]
    return _class_properties(file, f"{name}Args") if file else {}


@cache
def outputs(token: str) -> frozenset[str]:
    """The names of all outputs of a resource type."""
    file = _resource_file(token)
    return frozenset(_class_properties(file, token.rpartition(":")[2])) if file else frozenset()


def faults(token: str, given: Mapping[str, Any]) -> Iterator[Fault]:
    """Every property that the type does not have, and every required one that is missing, at any depth."""
    file = _resource_file(token)
    if file:
        yield from _faults(file.parent / "_inputs.py", inputs(token), given, "")


def _faults(types: Path, has: Mapping[str, Property], given: Mapping[str, Any], prefix: str) -> Iterator[Fault]:
    for name in given:
        if name not in has:
            close = difflib.get_close_matches(name, has, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(sorted(has))}."
            yield Fault(prefix + name, f"There is no property {name!r} here.{hint}")
    for name, rule in has.items():
        if name not in given and rule.required:
            yield Fault(prefix + name, f"The required property {name!r} is missing.")
        elif name in given and rule.nested:
            for path, entry in _entries(given[name], prefix + name):
                yield from _faults(types, _class_properties(types, rule.nested), entry, f"{path}.")


def _entries(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Secret):
        yield from _entries(value.value, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _entries(item, f"{path}[{number}]")
    elif isinstance(value, Mapping) and value is not UNKNOWN and not isinstance(value, Asset):
        yield path, value


@cache
def _class_properties(file: Path, name: str) -> Mapping[str, Property]:
    pattern = rf"^class {name}(?:\(.*\))?:\n(.*?)(?=^class |^@|\Z)"
    text = re.search(pattern, file.read_text(), re.DOTALL | re.MULTILINE)
    properties = {}
    for camel, snake, annotation in GETTER.findall(text.group(1) if text else ""):
        nested = re.search(r"'(\w+Args)'", annotation)
        # A map's keys are free, so there is nothing to check in it.
        entries = nested.group(1) if nested and "Mapping[" not in annotation else ""
        properties[camel or snake] = Property("Optional[" not in annotation, entries)
    return properties


@cache
def _resource_file(token: str) -> Path | None:
    """The module of a type: `gcp:storage/bucketIAMMember:BucketIAMMember` is in storage/bucket_iam_member.py."""
    provider = re.fullmatch(r"pulumi:providers:(.+)", token)
    match = re.fullmatch(r"([\w-]+):([\w-]+)(?:/\w+)?:(\w+)", token)
    package = provider.group(1) if provider else match.group(1) if match else ""
    spec = importlib.util.find_spec(SDKS[package]) if package in SDKS else None
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    if provider:
        return root / "provider.py"
    assert match  # noqa: S101 (else there is no package)
    folder = root if match.group(2) == "index" else root / match.group(2).lower()
    wanted = match.group(3).lower()
    return next((file for file in folder.glob("*.py") if file.stem.replace("_", "") == wanted), None)
