"""A copy of a clone's Pulumi project for one rehearsal: its own stack files, in which nothing is secret.

`pulumi stack init` writes into a stack's file, and the real one may be encrypted with a key that is not here.
"""

import json
import shutil
import subprocess
import sys
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


def copy_clone(clone: Path, folder: Path) -> None:
    """Copy the working tree of a clone, without what git ignores, and link its history and its environment.

    A copy, because the program itself writes beside what it reads (`.build/`). Whoever runs git there sets
    GIT_OPTIONAL_LOCKS=0, so that the clone's index stays as it is.
    """
    listing = ["git", "-C", str(clone), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        source, target = clone / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():  # a submodule
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(".git"))
        elif source.is_file():  # git also lists what was deleted
            shutil.copy(source, target)
    (folder / ".git").symlink_to(clone / ".git")
    if not (folder / ".venv").is_symlink():
        (folder / ".venv").symlink_to(Path(sys.prefix))


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
