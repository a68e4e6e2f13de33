"""Resource types that really exist in the local cloud, made and read through its REST services.

Owns the translation between a resource's inputs and a REST resource by a table of fields, and what counts as drift.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.declared import Declared
from local.provider.kind import Kind, Scope, State
from local.provider.rest import Rest
from local.provider.values import Properties
from local.wire import CloudError

Convert = Callable[[Any], Any]


def as_is(value: Any) -> Any:
    """No conversion: both sides write it the same way."""
    return value


@dataclass(frozen=True)
class Field:
    """One input and its place in the REST resource.

    Attributes:
        name: the input.
        path: dotted place in the REST resource; the same name when empty.
        send: from input to REST.
        read: from REST to input, for showing drift.
        fixed: whether it is sent only when the resource is made.
    """

    name: str
    path: str = ""
    send: Convert = as_is
    read: Convert = as_is
    fixed: bool = False

    @property
    def steps(self) -> list[str]:
        """The place, step by step."""
        return (self.path or self.name).split(".")


class RestKind(Kind):
    """A type that stands for a resource of a REST service.

    Attributes:
        fields: inputs that the platform keeps. An input in no row is the provider's own (forceDestroy) or has no effect
            on a laptop; it is kept as declared.
    """

    fields: tuple[Field, ...] = ()

    def __init__(self, declared: Declared, rest: Rest) -> None:
        super().__init__(declared)
        self.rest = rest

    @abstractmethod
    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """The REST path of a resource; `outputs` is empty when it is imported."""

    @abstractmethod
    def insert(self, facts: Properties, scope: Scope) -> str:
        """Make the resource and return its id."""

    @abstractmethod
    def computed(self, found: Mapping[str, Any]) -> Properties:
        """Outputs beside the inputs, from the REST resource."""

    def create(self, inputs: Properties, scope: Scope) -> State:
        """Make it, then read back what the platform made of it."""
        facts = self.complete(inputs, scope)
        id = self.insert(facts, scope)
        return State(id, {**facts, **self.computed(self.rest.call("GET", self.path(id, facts)))})

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """Compare each input with what the platform has; an import has no inputs yet and takes all."""
        found = self.rest.find(self.path(id, outputs))
        if found is None:
            return None
        if not outputs:
            inputs = self._imported(found)
        observed = {name: self._observed(name, value, found) for name, value in inputs.items()}
        facts = self.complete(observed, scope)
        state = {**outputs, **facts, **self.computed(found)}
        if "pulumiLabels" in facts:
            real = found.get("labels", {})
            state["pulumiLabels"] = {k: real[k] for k in facts["pulumiLabels"] if k in real}
            state["effectiveLabels"] = real
        return observed, State(id, state)

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Send what was and what is to be declared; what is declared no more is sent as null."""
        facts = self.complete(inputs, scope)
        before = self.complete(old, scope)
        body = self.body({**dict.fromkeys(before), **facts}, update=True)
        if "labels" in body:
            body["labels"] = {**dict.fromkeys(before.get("pulumiLabels", {})), **body["labels"]}
        self.patch(id, body, before, facts, scope)
        return {**facts, **self.computed(self.rest.call("GET", self.path(id, facts)))}

    def patch(self, id: str, body: Properties, before: Properties, facts: Properties, scope: Scope) -> None:
        """Change the resource."""
        self.rest.call("PATCH", self.path(id, facts), body)

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove it from the platform."""
        self.remove(self.path(id, outputs))

    def remove(self, path: str, **query: str) -> None:
        """Call DELETE; nothing there is no error."""
        try:
            self.rest.call("DELETE", path, query=query)
        except CloudError as error:
            if error.status != 404:
                raise

    def body(self, facts: Mapping[str, Any], *, update: bool = False) -> Properties:
        """The REST resource that facts describe."""
        body: Properties = {}
        for field in self.fields:
            if field.name not in facts or (update and field.fixed):
                continue
            value = facts[field.name]
            place = body
            for step in field.steps[:-1]:
                place = place.setdefault(step, {})
            place[field.steps[-1]] = None if value is None else field.send(value)
        if "pulumiLabels" in facts:
            body["labels"] = facts["pulumiLabels"]
        return body

    def _observed(self, name: str, declared: Any, found: Mapping[str, Any]) -> Any:
        if name == "labels":
            real = found.get("labels", {})
            return {key: real[key] for key in declared if key in real}
        field = next((field for field in self.fields if field.name == name), None)
        if field is None:
            return declared
        actual = _at(found, field.steps)
        if covers(field.send(declared), actual):
            return declared
        if actual is None:
            return None
        observed = field.read(actual)
        return declared if self.same(name, declared, observed) else shaped(declared, observed)

    def _imported(self, found: Mapping[str, Any]) -> Properties:
        values = {field.name: _at(found, field.steps) for field in self.fields}
        read = {field.name: field.read for field in self.fields}
        return {name: read[name](value) for name, value in values.items() if value is not None}


def covers(declared: Any, actual: Any) -> bool:
    """Whether the platform has what was declared; it may have more, and leaves out what is empty."""
    if isinstance(declared, Mapping):
        found = actual if isinstance(actual, Mapping) else {}
        return (actual is None or found is actual) and all(covers(v, found.get(k)) for k, v in declared.items())
    if isinstance(declared, list):
        if not isinstance(actual, list):
            return not declared and actual is None
        return len(declared) == len(actual) and all(covers(d, a) for d, a in zip(declared, actual, strict=True))
    if actual is None:
        return declared in (None, False, "", 0)
    return str(declared) == str(actual)  # JSON has no 64-bit integers, so the services write them as text


def shaped(declared: Any, actual: Any) -> Any:
    """What the platform has of what was declared; what it added by itself is no drift."""
    if isinstance(declared, Mapping) and isinstance(actual, Mapping):
        return {key: shaped(value, actual[key]) for key, value in declared.items() if key in actual}
    if isinstance(declared, list) and isinstance(actual, list) and len(declared) == len(actual):
        return [shaped(d, a) for d, a in zip(declared, actual, strict=True)]
    return declared if covers(declared, actual) else actual


def _at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A structure with some of its keys called otherwise, at every depth."""
    if isinstance(value, Mapping):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    return [renamed(item, names) for item in value] if isinstance(value, list) else value
