"""The two tables of this package, read once: what a method needs, and what a role gives."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Need:
    """A permission, and the word for the resource on which a method needs it."""

    permission: str
    on: str


@dataclass(frozen=True)
class Role:
    """What a role gives, and whether it exists on projects only."""

    permissions: frozenset[str]
    project_only: bool
    source: str


@cache
def roles() -> dict[str, Role]:
    """Every known role by its full name."""
    table = _read("roles.toml")
    sources, found = table["sources"], {}
    for name, row in table["roles"].items():
        permissions = frozenset(row["permissions"].split())
        found[name] = Role(permissions, row.get("project_only", False), sources[row["source"]])
    return found


@cache
def methods() -> dict[str, tuple[Need, ...]]:
    """What each method needs, by its name in the REST reference."""
    rows = _read("methods.toml")["methods"]
    return {name: tuple(Need(*need.split(" @ ")) for need in row["needs"]) for name, row in rows.items()}


def roles_with(permission: str) -> list[str]:
    """The roles that give a permission, the smallest first."""
    found = [(len(role.permissions), name) for name, role in roles().items() if permission in role.permissions]
    return [name for _, name in sorted(found)]


def unknown_role(role: str) -> str:
    """What is said of a role that is not in the table."""
    return (
        f"Role {role!r} is not known to the local cloud, so it cannot tell what the role allows. Use one of "
        f"{', '.join(roles())}, or add it to local/iam/roles.toml with its source."
    )


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((HERE / file).read_text())
