"""Which files of a repository go into an image: the build context after .dockerignore, and the hash of it.

Does not own what an image is (images.py).
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Rule:
    """One line of .dockerignore; the last rule that matches a path or one of its folders decides."""

    text: str
    keeps: bool

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The rule as an expression for a whole path."""
        return _pattern(self.text)

    def matches(self, path: PurePosixPath) -> bool:
        """Whether the rule names the path or a folder above it."""
        return any(self.pattern.fullmatch(str(part)) for part in (path, *path.parents) if part.name)


def files(context: Path, dockerfile: Path | None) -> list[PurePosixPath]:
    """What Docker would see of a context: its files, relative to it, sorted. Symbolic links count as files."""
    return sorted(_walk(context, PurePosixPath(), _rules(context, dockerfile)))


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


def _walk(context: Path, folder: PurePosixPath, rules: list[Rule]) -> Iterator[PurePosixPath]:
    for entry in os.scandir(context / folder):
        path = folder / entry.name
        ignored = _ignored(path, rules)
        if not entry.is_dir(follow_symlinks=False):
            if not ignored:
                yield path
        elif not ignored or any(rule.keeps and rule.text.startswith(f"{path}/") for rule in rules):
            yield from _walk(context, path, rules)


def _ignored(path: PurePosixPath, rules: list[Rule]) -> bool:
    decisive = next((rule for rule in reversed(rules) if rule.matches(path)), None)
    return decisive is not None and not decisive.keeps


def _rules(context: Path, dockerfile: Path | None) -> list[Rule]:
    """Of the ignore file beside the Dockerfile, if it has one of its own, else of the context's."""
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore") if dockerfile else None
    file = own if own and own.exists() else context / ".dockerignore"
    lines = [line.strip() for line in file.read_text().splitlines()] if file.exists() else []
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [Rule(line.removeprefix("!").strip("/"), line.startswith("!")) for line in wanted]


def _pattern(text: str) -> re.Pattern[str]:
    """Docker's patterns: `*` and `?` stay within a folder's name, `**` stands for any number of folders."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", text.strip().strip("/"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(p) or (p if p.startswith("[") else re.escape(p)) for p in pieces))
