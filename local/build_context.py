"""Which files of a repository go into an image: the build context after its .dockerignore, and the hash of it.

Does not own what an image is (images.py).
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# What the Dockerfile copies; `service/models/` but for one model stays outside.
FOLDERS = ("service", "container")
MODELS = PurePosixPath("service/models")
# Never part of an image, whatever .dockerignore says.
NEVER = ("**/__pycache__", "**/*.pyc", "**/tests")


@dataclass(frozen=True)
class Rule:
    """One line of .dockerignore; the last rule that matches a path or one of its folders decides."""

    pattern: re.Pattern[str]
    keeps: bool

    def matches(self, path: PurePosixPath) -> bool:
        """Whether the rule names the path or a folder above it."""
        return any(self.pattern.fullmatch(str(part)) for part in (path, *path.parents) if part.name)


def files(context: Path, model: str) -> list[PurePosixPath]:
    """The files of one model's image, relative to the context, sorted. Symbolic links count as files."""
    rules = _rules(context)
    return sorted(path for path in _walk(context) if _belongs(path, model) and not _ignored(path, rules))


def digest(context: Path, paths: list[PurePosixPath], build_args: Mapping[str, str]) -> str:
    """A hash of names, contents and build arguments. File modes do not count: they differ between clones."""
    whole = hashlib.sha256()
    for name, value in sorted(build_args.items()):
        whole.update(f"arg {name}={value}\0".encode())
    for path in paths:
        file = context / path
        is_link = file.is_symlink()
        content = str(file.readlink()).encode() if is_link else file.read_bytes()
        whole.update(f"{'link' if is_link else 'file'} {path} {hashlib.sha256(content).hexdigest()}\0".encode())
    return whole.hexdigest()


def _walk(context: Path) -> Iterator[PurePosixPath]:
    for top in FOLDERS:
        for folder, folders, names in os.walk(context / top):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in (*names, *links):
                yield PurePosixPath(Path(folder, name).relative_to(context))


def _belongs(path: PurePosixPath, model: str) -> bool:
    """Another model's folder is not part of this model's image."""
    inside = path.is_relative_to(MODELS) and len(path.parts) > len(MODELS.parts) + 1
    return not inside or path.parts[len(MODELS.parts)] == model


def _ignored(path: PurePosixPath, rules: list[Rule]) -> bool:
    decisive = next((rule for rule in reversed(rules) if rule.matches(path)), None)
    return decisive is not None and not decisive.keeps


def _rules(context: Path) -> list[Rule]:
    file = context / ".dockerignore"
    lines = [line.strip() for line in file.read_text().splitlines()] if file.exists() else []
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [Rule(_pattern(line.removeprefix("!")), line.startswith("!")) for line in (*wanted, *NEVER)]


def _pattern(text: str) -> re.Pattern[str]:
    """Docker's patterns: `*` and `?` stay within a folder's name, `**` stands for any number of folders."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", text.strip().strip("/"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(p) or (p if p.startswith("[") else re.escape(p)) for p in pieces))
