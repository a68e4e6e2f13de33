"""Decides whether an account may do something, and tells a denial where a person looks for it.

Owns how grants reach down: from a project, bucket or dataset to what is in it. Does not own what calls need (gate.py).
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from local.declared import Declared
from local.iam.bindings import Binding, DeclaredBindings, Source
from local.iam.tables import roles_with
from local.metadata import OWNER

log = logging.getLogger("local")

LOG_ID = "local-iam"
# Where BigQuery keeps what a job made for its caller only; no role reaches it.
HIDDEN = re.compile(r"projects/[^/]+/datasets/_")


class Authority:
    """Every grant there is.

    Args:
        declared: what the program granted.
        project: whose log is told of what belongs to no project.
        tell: keeps a log entry; denials are written there, because Google's words often leave out what is missing.
    """

    def __init__(self, declared: Declared, project: str, tell: Callable[[list[dict[str, Any]]], None]) -> None:
        self._declared, self._project, self._tell = DeclaredBindings(declared), project, tell
        self._sources: list[Source] = []
        self._parents: list[Callable[[str], str | None]] = []

    def also_ask(self, source: Source, parent: Callable[[str], str | None] | None = None) -> None:
        """Count bindings that are kept elsewhere; `parent` names what is above a resource if its name does not."""
        self._sources.append(source)
        if parent:
            self._parents.append(parent)

    def allows(self, caller: str, permission: str, resource: str) -> bool:
        """Whether a caller has a permission on a resource, by the resource's full name."""
        if caller == OWNER or HIDDEN.match(resource):
            return caller == OWNER or _is_own(caller, resource)
        places = self._above(resource)
        return any(binding.gives(caller, permission, resource, places) for binding in self._reaching(resource))

    def denied(self, caller: str, permission: str, resource: str) -> None:
        """Tell who lacks what on what, and which roles would give it."""
        known = roles_with(permission)
        remedy = f"Roles that give it: {', '.join(known)}." if known else "No role known here gives it."
        message = f"Denied: {caller} lacks {permission} on {resource}. {remedy}"
        log.warning(message)
        facts = {"member": f"serviceAccount:{caller}", "permission": permission, "resource": resource, "roles": known}
        projects = [place for place in self._above(resource) if place.count("/") == 1]
        project = projects[-1] if projects else f"projects/{self._project}"
        about = {"type": "project", "labels": {"project_id": project.partition("/")[2]}}
        entry = {"logName": f"{project}/logs/{LOG_ID}", "severity": "ERROR", "resource": about}
        self._tell([{**entry, "jsonPayload": {"message": message, **facts}}])

    def _reaching(self, resource: str) -> list[Binding]:
        return [*self._declared.all(), *(binding for source in self._sources for binding in source(resource))]

    def _above(self, resource: str) -> list[str]:
        """The resource, then what it is in, up to the project."""
        parts = resource.split("/")
        places = ["/".join(parts[:end]) for end in range(len(parts), 1, -1)]
        parents = [found for parent in self._parents if (found := parent(resource))]
        return [*(place for place in places if place != "projects/_"), *parents]


def _is_own(caller: str, resource: str) -> bool:
    """Whether it is a result of the caller's own queries, or a temporary table, whose name nobody else learns."""
    hidden = "_" + "".join(c if c.isalnum() else "_" for c in caller)
    return f"/datasets/{hidden}/tables/" in resource or "/datasets/_script_" in resource
