"""What differs between the inputs a resource has and those it should have, and whether that means a new resource."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.provider.values import plain

Same = Callable[[str, Any, Any], bool]


@dataclass(frozen=True)
class Change:
    """One difference at a path: `add`, `delete` or `update`, in place or by a new resource."""

    path: str
    kind: str
    replaces: bool = False


def compare(old: Mapping[str, Any], new: Mapping[str, Any], replacing: Iterable[str], same: Same) -> list[Change]:
    """The differences between old and new inputs.

    Args:
        replacing: paths, without list indexes, whose change needs a new resource: `timePartitioning.field`.
        same: whether two values of a property mean the same to the platform, asked before they count as different.
    """
    changed = []
    for name in sorted(old.keys() | new.keys()):
        before, after = plain(old.get(name)), plain(new.get(name))
        if before == after or same(name, before, after):
            continue
        for path, kind in _walk(before, after, name):
            changed.append(Change(path, kind, any(_touches(path, pattern) for pattern in replacing)))
    return changed


def _walk(old: Any, new: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            step = f".{key}" if re.fullmatch(r"\w+", key) else f'["{key}"]'
            yield from _walk(old.get(key), new.get(key), path + step)
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            before, after = (items[number] if number < len(items) else None for items in (old, new))
            yield from _walk(before, after, f"{path}[{number}]")
    elif old != new:
        yield path, "add" if old is None else "delete" if new is None else "update"


def _touches(path: str, pattern: str) -> bool:
    """Whether a change at a path changes what the pattern names: the same, part of it, or a block around it."""
    bare = re.sub(r"\[\d+\]", "", path)
    return bare == pattern or bare.startswith(f"{pattern}.") or pattern.startswith(f"{bare}.")
