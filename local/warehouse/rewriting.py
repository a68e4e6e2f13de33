"""How a statement is rewritten for DuckDB: a rule for each kind of node that sqlglot alone would not get right.

The rules are in operators.py, arrays.py, times.py and functions.py.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

Rule = Callable[[Any], exp.Expr | None]
RULES: dict[type[exp.Expr], Rule] = {}


def rule(*types: type[exp.Expr]) -> Callable[[Rule], Rule]:
    """Register the rewriting of a kind of node; a rule that answers None leaves it as it is."""

    def register(function: Rule) -> Rule:
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
