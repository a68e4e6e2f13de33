"""Conditions of grants: the part of CEL that grants on buckets, tables and projects are written in.

Understood are &&, || and !, comparisons, `resource.name`, `.type` and `.service` with startsWith and endsWith, and
`request.time` with timestamp(). Whatever else a condition says is refused when it is declared, never passed over.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

Evaluate = Callable[[Mapping[str, Any]], Any]

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
NAMES = ("resource.name", "resource.type", "resource.service", "request.time")
METHODS: dict[str, Callable[[str, str], bool]] = {"startsWith": str.startswith, "endsWith": str.endswith}
OPERATORS = {"&&": " and ", "||": " or ", "!": " not "}
TOKENS = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(&&|\|\||!(?!=))""")
# https://cloud.google.com/iam/docs/conditions-attribute-reference
TYPES = (
    (r"projects/_/buckets/[^/]+/objects/.+", "storage.googleapis.com/Object"),
    (r"projects/_/buckets/[^/]+", "storage.googleapis.com/Bucket"),
    (r"projects/[^/]+/datasets/[^/]+/tables/[^/]+", "bigquery.googleapis.com/Table"),
    (r"projects/[^/]+/datasets/[^/]+", "bigquery.googleapis.com/Dataset"),
    (r"projects/[^/]+/locations/[^/]+/jobs/[^/]+", "run.googleapis.com/Job"),
    (r"projects/[^/]+/secrets/[^/]+/versions/[^/]+", "secretmanager.googleapis.com/SecretVersion"),
    (r"projects/[^/]+/secrets/[^/]+", "secretmanager.googleapis.com/Secret"),
    (r"projects/[^/]+", "cloudresourcemanager.googleapis.com/Project"),
)


class Refused(ValueError):
    """The condition says something that is not understood here; the text says what."""


@cache
def compiled(expression: str) -> Evaluate:
    """A condition, ready to be asked.

    Raises:
        Refused: it cannot be read, or not here.
    """
    if word := re.search(r"\b(and|or|not|in|is|if|lambda)\b", TOKENS.sub("", expression)):
        raise Refused(f"{word.group()!r} is not understood")
    python = TOKENS.sub(lambda m: m.group(1) or OPERATORS[m.group(2)], expression).strip()
    try:
        tree = ast.parse(python, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise Refused(f"{expression!r} cannot be read as a condition") from error
    return _compiled(tree.body)


def holds(expression: str, resource: str) -> bool:
    """Whether a condition holds now, for a resource by its full name.

    An expression that fails, as one that compares a text with a time, does not hold.
    """
    kind = next((kind for pattern, kind in TYPES if re.fullmatch(pattern, resource)), "")
    known = {
        "resource.name": resource,
        "resource.type": kind,
        "resource.service": kind.partition("/")[0],
        "request.time": datetime.now(UTC),
    }
    try:
        return compiled(expression)(known) is True
    except TypeError:
        return False


def _compiled(node: ast.expr) -> Evaluate:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts, test = [_compiled(value) for value in values], all if isinstance(op, ast.And) else any
            return lambda known: test(part(known) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compiled(operand)
            return lambda known: not inner(known)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            compare, one, other = COMPARISONS[type(op)], _compiled(left), _compiled(right)
            return lambda known: compare(one(known), other(known))
        case ast.Call(func=function, args=[ast.Constant(value=str(text))], keywords=[]):
            return _call(function, text)
        case ast.Attribute() if ast.unparse(node) in NAMES:
            name = ast.unparse(node)
            return lambda known: known[name]
        case ast.Constant(value=str(constant)):
            return lambda _: constant
        case ast.Name(id="true" | "false" as word):
            return lambda _: word == "true"
    raise Refused(f"{ast.unparse(node)!r} is not understood")


def _call(function: ast.expr, text: str) -> Evaluate:
    if isinstance(function, ast.Name) and function.id == "timestamp":
        moment = _moment(text)
        return lambda _: moment
    if isinstance(function, ast.Attribute) and function.attr in METHODS:
        method, subject = METHODS[function.attr], _compiled(function.value)
        return lambda known: method(subject(known), text)
    raise Refused(f"{ast.unparse(function)!r} is not understood")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"timestamp({text!r}) is no time") from error
    if moment.tzinfo is None:
        raise Refused(f"timestamp({text!r}) has no time zone")
    return moment
