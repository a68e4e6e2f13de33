"""How a statement is rewritten for DuckDB: a rule for each kind of node that sqlglot alone would not get right.

The rules are in operators.py, arrays.py, times.py and functions.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp

Rule = Callable[[Any], exp.Expr | None]
RULES: dict[type[exp.Expr], Rule] = {}


def rule(*types: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Register the rewriting of a kind of node; a rule that answers None leaves it as it is."""

    def register(function: Rule) -> Rule:
        twice = [t.__name__ for t in types if t in RULES]
        if twice:
            raise ValueError(f"More than one rule for {', '.join(twice)}")
        RULES.update(dict.fromkeys(types, function))
        return function

    return register


def call(name: str, *arguments: exp.Expr | str | int) -> exp.Expr:
    """A call of a DuckDB function or macro."""
    return exp.Anonymous(
        this=name, expressions=[exp.convert(a) if not isinstance(a, exp.Expr) else a for a in arguments]
    )


def cast(node: exp.Expr, duck_type: str) -> exp.Expr:
    """A cast to a DuckDB type, not to be rewritten again."""
    return exp.Cast(this=node, to=exp.DataType.build(duck_type, dialect="duckdb"))


def written_once(parts: Sequence[exp.Expr], body: Callable[[list[exp.Expr]], exp.Expr]) -> exp.Expr:
    """An expression in which each of its parts stands once, outside: DuckDB has no LET.

    Args:
        parts: nodes of the expression, which are replaced in it.
        body: makes the expression, given what stands for each part.
    """
    names = [exp.to_identifier(f"v{number}") for number in range(len(parts))]
    fields = [exp.PropertyEQ(this=n, expression=part.copy()) for n, part in zip(names, parts, strict=True)]
    stand_ins = [exp.column(name.copy(), table="o") for name in names]
    for part, stand_in in zip(parts, stand_ins, strict=True):
        part.replace(stand_in)
    function = exp.Lambda(this=body([s.copy() for s in stand_ins]), expressions=[exp.to_identifier("o")])
    listed = exp.Array(expressions=[exp.Struct(expressions=fields)])
    return call("list_extract", call("list_transform", listed, function), 1)


def attempted(node: exp.Expr) -> exp.Expr:
    """The value of an expression, NULL where it raises."""
    whole = exp.paren(node.copy(), copy=False)
    aggregates, outside = (exp.AggFunc, exp.Window), (exp.AggFunc, exp.Window, exp.Column)
    if not any(isinstance(n, aggregates) for n in whole.walk(prune=lambda n: isinstance(n, exp.Query))):
        return call("try", whole)
    # DuckDB's TRY takes no aggregates, and its lambdas no keys of GROUP BY.
    found = [n for n in whole.walk(prune=lambda n: isinstance(n, (*outside, exp.Query))) if isinstance(n, outside)]
    return written_once(found, lambda _: call("try", whole))


def rewrite(tree: exp.Expr) -> exp.Expr:
    """Rewrite a statement whose names are resolved and whose types are annotated; answers the new root.

    Raises:
        CloudError: 400 naming a function that does not exist here.
    """
    for node in reversed(list(tree.walk(bfs=False))):
        change = RULES.get(type(node))
        new = change(node) if change else None
        if new is not None and new is not node:
            if new.type is None and not isinstance(node, exp.DataType):
                new.type = node.type
            if node is tree:
                tree = new
            else:
                node.replace(new)
    return tree
