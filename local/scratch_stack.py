"""A copy of a clone's Pulumi project for one rehearsal: its own stack files, in which nothing is secret.

`pulumi stack init` writes into a stack's file, and the real one may be encrypted with a key that is not here.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PLACEHOLDER = (
    "placeholder@example.com"  # a text that is also an address: most secrets are free text, some are addresses
)
KEYS_OF_SECRETS = ("secretsprovider", "encryptedkey", "encryptionsalt")
# Of the empty passphrase, as in Pulumi.local.yaml: `pulumi` would otherwise add one of its own to each copy.
SALT = "v1:iR/O53REvqw=:v1:+YSgAmyLndxOJqgl:GhUV5fG0CYlZ43iBnSY0LyUB/N7v6A=="


def link_clone(clone: Path, folder: Path) -> None:
    """Make a project folder that shows all of a clone, but with stack files of its own, which may be written."""
    folder.mkdir()
    for entry in clone.iterdir():
        if entry.name.startswith("Pulumi") and entry.suffix == ".yaml":
            shutil.copy(entry, folder)
        else:
            (folder / entry.name).symlink_to(entry)


def open_secrets(file: Path) -> list[str]:
    """Rewrite a stack's file so that no key is needed for it.

    Returns:
        The paths of the values that are to be set as secrets again, by `pulumi config set --path --secret`.
    """
    stack: dict[str, Any] = yaml.safe_load(file.read_text()) or {}
    for key in KEYS_OF_SECRETS:
        stack.pop(key, None)
    config = stack.get("config") or {}
    secrets = [path for key, value in config.items() for path in _secrets(value, key)]
    stack["config"] = {key: _opened(value) for key, value in config.items()}
    stack["encryptionsalt"] = SALT
    file.write_text(yaml.safe_dump(stack, sort_keys=False))
    return secrets


def _secrets(value: Any, path: str) -> Iterator[str]:
    if _is_secret(value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, f"{path}[{json.dumps(key)}]")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _secrets(item, f"{path}[{number}]")


def _opened(value: Any) -> Any:
    if _is_secret(value):
        return PLACEHOLDER
    if isinstance(value, dict):
        return {key: _opened(item) for key, item in value.items()}
    return [_opened(item) for item in value] if isinstance(value, list) else value


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}
