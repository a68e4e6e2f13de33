"""What every resource type of the provider has: names, defaults, what replaces it, and the four operations.

Does not own any one type; they are in the modules beside this one, listed in catalog.py.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.declared import Declared, Resource
from local.provider import replacing, schemas
from local.provider.changes import Change, compare
from local.provider.schemas import Fault
from local.provider.values import UNKNOWN, Properties, known, masked, plain
from local.wire import CloudError

# The provider puts this on everything that has labels, unless told not to:
# https://www.pulumi.com/registry/packages/gcp/api-docs/provider/#addpulumiattributionlabel_python
ATTRIBUTION = {"goog-pulumi-provisioned": "true"}
LABEL = re.compile(r"[\w-]{0,63}")
LABEL_RULE = "Use up to 63 lower-case letters, digits, _ and -; a key begins with a letter."


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one provider instance was configured with."""

    project: str
    region: str
    zone: str
    labels: Mapping[str, str]  # of the provider: put on every resource that has labels
    deletion_policy: str
    program: Callable[[], Path]  # finds the folder of the running program
    say: Callable[[str], None]  # shows a person a line beside the resource

    def path(self, given: str) -> Path:
        """A path as the program means it: a relative one starts in the program's folder."""
        return Path(given) if Path(given).is_absolute() else self.program() / given


@dataclass(frozen=True)
class State:
    """A resource as the platform has it: its id, and its outputs, which include its inputs."""

    id: str
    outputs: Properties


class Kind(ABC):
    """One resource type.

    Attributes:
        named: the input that gets the logical name and a random ending when it is not given.
        placed: the input that defaults to the provider's region.
        remade: outputs that every update changes, so that a preview cannot know them.
        protected: whether `deletionProtection` is on unless it is switched off.
    """

    type: str
    named: str = ""
    placed: str = ""
    remade: tuple[str, ...] = ()
    protected: bool = False

    def __init__(self, declared: Declared) -> None:
        self.declared = declared

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong with inputs, beyond names that do not exist; unknown values are skipped."""
        yield from ()

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Whether two different values of an input mean the same to the platform."""
        return False

    def complete(self, inputs: Mapping[str, Any], scope: Scope) -> Properties:
        """Inputs in clear, with what the provider fills in: project, region, labels."""
        facts: Properties = plain(inputs)
        has = schemas.inputs(self.type)
        if "project" in has:
            facts.setdefault("project", scope.project)
        if self.placed and scope.region:
            facts.setdefault(self.placed, scope.region)
        if "pulumiLabels" in schemas.outputs(self.type):
            labels = facts.get("labels") or {}
            facts["pulumiLabels"] = {**scope.labels, **labels} if isinstance(labels, dict) else UNKNOWN
            facts["effectiveLabels"] = facts["pulumiLabels"]
        if self.protected:
            facts.setdefault("deletionProtection", True)
        return facts

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any], outputs: Properties, scope: Scope) -> list[Change]:
        """What differs between old and new inputs, and between the outputs and what the provider would fill in."""
        facts = self.complete(new, scope)
        places = [name for name in ("project", self.placed) if name in outputs and name in facts]
        before, after = {name: outputs[name] for name in places}, {name: facts[name] for name in places}
        changes = compare({**before, **old}, {**after, **new}, replacing.paths(self.type), self.same)
        if not any(change.path.startswith("labels") for change in changes):
            labels, wanted = plain(outputs.get("pulumiLabels")), facts.get("pulumiLabels")
            if labels is not None and known(wanted) and labels != wanted:
                changes.append(Change("pulumiLabels", "update"))
        return changes

    def planned(self, inputs: Mapping[str, Any], outputs: Properties | None, scope: Scope) -> Properties:
        """The outputs a preview can tell: of a new resource what was asked for, of an old one what stays."""
        computed = schemas.outputs(self.type) - schemas.inputs(self.type).keys()
        facts = self.complete(inputs, scope)
        if outputs is None:
            return {**dict.fromkeys(computed, UNKNOWN), **facts}
        kept = {name: value for name, value in outputs.items() if name in computed}
        return {**kept, **dict.fromkeys(self.remade, UNKNOWN), **facts}

    @abstractmethod
    def create(self, inputs: Properties, scope: Scope) -> State:
        """Make the resource; inputs are in clear.

        Raises:
            CloudError: the platform refuses.
        """

    @abstractmethod
    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """The inputs that would describe the resource as it is now, and its state; None when it is gone."""

    @abstractmethod
    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Change the resource in place and return its outputs."""

    @abstractmethod
    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the resource; one that is gone already is no error."""

    def refuse_deletion(self, id: str, outputs: Mapping[str, Any], scope: Scope) -> None:
        """Refuse as the provider does, before the platform is asked.

        Raises:
            CloudError: the resource is protected.
        """
        what = f"{self.type.rpartition(':')[2]} {id!r}"
        if outputs.get("deletionProtection", self.protected) and self.protected:
            raise CloudError(400, "protected", f"{what} has deletionProtection. Set it to false and `pulumi up` first.")
        if deletion_policy(self.type, outputs, scope) == "PREVENT":
            raise CloudError(400, "protected", f"{what} has deletionPolicy PREVENT. Take it off and `pulumi up` first.")

    def record(self, id: str, outputs: Mapping[str, Any]) -> None:
        """Write down what is declared now; secrets stay out."""
        self.declared.put(Resource(self.type, id, masked(outputs)))


def label_faults(inputs: Mapping[str, Any]) -> Iterator[Fault]:
    """Labels that the platform refuses: https://cloud.google.com/resource-manager/docs/labels-overview#requirements."""
    labels = inputs.get("labels")
    if not isinstance(labels, Mapping):
        return
    for key, value in labels.items():
        if not LABEL.fullmatch(key) or key != key.lower() or not key[:1].isalpha():
            yield Fault("labels", f"{key!r} is no key of a label. {LABEL_RULE}")
        if isinstance(value, str) and (not LABEL.fullmatch(value) or value != value.lower()):
            yield Fault(f"labels.{key}", f"{value!r} is no value of a label. {LABEL_RULE}")


def deletion_policy(token: str, outputs: Mapping[str, Any], scope: Scope) -> str:
    """What removing a resource from the program does: DELETE, PREVENT or ABANDON."""
    if "deletionPolicy" not in schemas.inputs(token):
        return "DELETE"
    return str(outputs.get("deletionPolicy") or scope.deletion_policy)


def filled(template: str, facts: Mapping[str, Any]) -> str:
    """A template such as `projects/{project}/jobs/{name}` with values put in.

    Raises:
        CloudError: a value is missing.
    """

    def value(match: re.Match[str]) -> str:
        found = facts.get(match.group(1))
        if found in (None, ""):
            raise CloudError(400, "required", f"Property {match.group(1)!r} has no value. Set it on the resource.")
        return str(found)

    return re.sub(r"\{(\w+)\}", value, template)
