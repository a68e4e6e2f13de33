"""How one field of a log entry compares with one value of a filter.

Text is compared without regard to case, regular expressions with it. A comparison with a missing field is false, `!=`
included; NOT of it is true. Of a repeated field one matching element is enough.
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local import rfc3339

SEVERITIES = {
    "DEFAULT": 0, "DEBUG": 100, "INFO": 200, "NOTICE": 300, "WARNING": 400,
    "ERROR": 500, "CRITICAL": 600, "ALERT": 700, "EMERGENCY": 800,
}  # fmt: skip
FIELDS = frozenset(
    {
        "logName", "resource", "timestamp", "receiveTimestamp", "severity", "insertId", "httpRequest", "labels",
        "operation", "trace", "spanId", "traceSampled", "sourceLocation", "split",
        "textPayload", "jsonPayload", "protoPayload",
    }
)  # fmt: skip
STRUCTURED = frozenset({"httpRequest", "operation", "sourceLocation", "split"})  # their keys may be in snake_case, too
INSTANTS = ("timestamp", "receiveTimestamp")
Compare = Callable[[Any, Any], bool]
Test = Callable[[dict[str, Any]], bool]
_EQUAL: Compare = operator.eq
_ORDER: dict[str, Compare] = {
    "=": _EQUAL, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Literal:
    """A value of a filter; `presence` is the `*` of `field:*`."""

    text: str
    presence: bool = False

    @property
    def folded(self) -> str:
        """For comparisons that ignore case."""
        return self.text.casefold()

    @property
    def instant(self) -> str:
        """As an instant; raises ValueError when it is none."""
        return rfc3339.normal(self.text)

    @property
    def number(self) -> float | None:
        """As a number, or None."""
        try:
            return float(self.text)
        except ValueError:
            return None


def field_path(names: list[str]) -> tuple[str, ...]:
    """The keys that lead to a field.

    Raises:
        ValueError: the first name is not a field of a log entry.
    """
    first = _camel(names[0]) if names else ""
    if first not in FIELDS:
        raise ValueError(f"field not found; the first name is one of {', '.join(sorted(FIELDS))};")
    rest = [_camel(name) for name in names[1:]] if first in STRUCTURED else names[1:]
    return (first, *rest)


def build(path: tuple[str, ...], operation: str, literal: Literal) -> Test:
    """The test `path operation literal`.

    Raises:
        ValueError: the value does not fit the field or the operator.
    """
    if path == ("httpRequest", "latency") and operation not in (":", "=", "!="):
        raise ValueError("the local cloud does not compare durations")
    if literal.presence:
        return lambda entry: any(True for _ in _values(entry, path))
    if operation in ("=~", "!~"):
        return _regular_expression(path, operation, literal)
    if operation == "!=":
        equal = _element(path, "=", literal)
        return lambda entry: any(True for _ in _values(entry, path)) and not any(map(equal, _values(entry, path)))
    test = _element(path, operation, literal)
    return lambda entry: any(map(test, _values(entry, path)))


def mentions(entry: Any, literal: Literal) -> bool:
    """Whether any field contains the text."""
    return any(literal.folded in str(leaf).casefold() for leaf in _leaves(entry))


def log_id(literal: Literal) -> Test:
    """The function log_id(): the log's name without its parent, decoded."""
    return lambda entry: unquote(entry["logName"].partition("/logs/")[2]) == literal.text


def severity_rank(text: str) -> int:
    """The number of a severity given by name or number.

    Raises:
        ValueError: neither.
    """
    if text.upper() in SEVERITIES:
        return SEVERITIES[text.upper()]
    if text.isdigit():
        return int(text)
    raise ValueError(f"{text!r} is no severity; expected a number or one of {', '.join(SEVERITIES)};")


def _element(path: tuple[str, ...], operation: str, literal: Literal) -> Callable[[Any], bool]:
    """A test of one element of the field, `=`, `:` or an order."""
    if path == ("severity",):
        rank, compare = severity_rank(literal.text), _ORDER.get(operation, _EQUAL)
        return lambda value: compare(severity_rank(value), rank)
    if path[0] in INSTANTS:
        instant, compare = literal.instant, _ORDER.get(operation, _EQUAL)
        return lambda value: compare(rfc3339.normal(value), instant)
    return lambda value: _compare(value, operation, literal)


def _compare(value: Any, operation: str, literal: Literal) -> bool:
    if isinstance(value, dict):
        return operation == ":" and (literal.text in value or mentions(value, literal))
    if isinstance(value, bool):
        return operation in ("=", ":") and literal.folded == str(value).lower()
    compare = _ORDER.get(operation, _EQUAL)
    if isinstance(value, int | float):
        return literal.number is not None and compare(value, literal.number)
    if operation == ":":
        return literal.folded in str(value).casefold()
    return compare(str(value).casefold(), literal.folded)


def _regular_expression(path: tuple[str, ...], operation: str, literal: Literal) -> Test:
    try:
        pattern = re.compile(literal.text)
    except re.error as error:
        raise ValueError(f"{error} in the regular expression") from error
    wanted = operation == "=~"

    def test(entry: dict[str, Any]) -> bool:
        found = [bool(pattern.search(str(value))) for value in _values(entry, path)]
        return any(found) if wanted else bool(found) and not any(found)

    return test


def _values(entry: dict[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    """The elements of a field; nothing when it is missing or null."""
    if path == ("severity",):
        yield entry.get("severity", "DEFAULT")
        return
    found: list[Any] = [entry]
    for name in path:
        found = [value[name] for value in _flat(found) if isinstance(value, dict) and name in value]
    yield from (value for value in _flat(found) if value is not None)


def _flat(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in tail)
