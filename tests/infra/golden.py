"""`make golden`: writes tests/golden/<stack>.yaml, what a stack declares, so that a change reads as a diff of text.

What differs between machines and commits stands as a placeholder: commit, digest, secrets, the text of files of dags/.
Does not ask the engine or a cloud; the rehearsal does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from tests.infra.conftest import DIGEST, ROOT, Declared, Recorded, configuration, run

FOLDER = ROOT / "tests" / "golden"
STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
HEADER = "# What the stack {stack!r} declares. Written by `make golden`; a test compares. Do not edit.\n"


def main() -> int:
    """Write the file of every stack of this clone, and remove those of stacks that are gone; safe to repeat."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.yaml"):
        if old.stem not in STACKS:
            old.unlink()
    for stack in STACKS:
        file(stack).write_text(text(stack, run(configuration(stack), stack=stack)))
        print(f"written: {file(stack).relative_to(ROOT)}")
    return 0


def file(stack: str) -> Path:
    """The golden file of a stack."""
    return FOLDER / f"{stack}.yaml"


def text(stack: str, declared: Declared) -> str:
    """All resources by type and logical name, sorted, with their inputs and the options that the engine gets."""
    found: dict[str, dict[str, Any]] = {}
    for (type, name), resource in sorted(declared.resources.items()):
        found.setdefault(type, {})[name] = _entry(resource)
    # Long lines stay whole: folded, one changed word would be a diff of many lines.
    body = yaml.dump(found, Dumper=_Dumper, width=10**6, allow_unicode=True)
    return HEADER.format(stack=stack) + body


def _entry(resource: Recorded) -> dict[str, Any]:
    options = {
        "dependsOn": [_short(urn) for urn in resource.dependencies],
        "parent": _short(resource.parent) if "::pulumi:pulumi:Stack::" not in resource.parent else None,
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "deleteBeforeReplace": resource.delete_before_replace,
        "customTimeouts": resource.timeouts,
        "ignoreChanges": list(resource.ignore_changes),
    }
    shown = {"inputs": _readable(resource.inputs), "options": {name: value for name, value in options.items() if value}}
    return {name: value for name, value in shown.items() if value}


def _short(urn: str) -> str:
    return f"{urn.split('::')[2].rpartition('$')[2]} {urn.rpartition('::')[2]}"


def _readable(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if value.get(_special_sig_key) == _special_secret_sig:
            return "<secret>"
        if value.get("name") == "CODE_COMMIT":
            return value | {"value": "<commit>"}
        return {name: _readable(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return _readable_text(value) if isinstance(value, str) else value


def _readable_text(value: str) -> Any:
    for source in (ROOT / "dags").glob("*"):
        if source.is_file() and value == source.read_text():
            return f"<text of dags/{source.name}>"
    value = value.replace(DIGEST, "<digest>")
    if value[:1] in ("{", "["):
        try:
            return {"json": _readable(json.loads(value))}
        except ValueError:  # a template or a filter that only begins like JSON
            return value
    return value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _block)

if __name__ == "__main__":
    sys.exit(main())
