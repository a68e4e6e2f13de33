"""EXECUTE IMMEDIATE: a statement that a script makes of text, with USING and INTO."""

import json

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from local.warehouse import rows
from local.warehouse.queries import Outcome
from local.warehouse.script_syntax import Tokens, word
from local.warehouse.script_variables import Variables, literal
from local.warehouse.statements import invalid, parse, unsupported

_OPENING, _CLOSING = (TokenType.L_PAREN, TokenType.L_BRACKET), (TokenType.R_PAREN, TokenType.R_BRACKET)


def statement(variables: Variables, tokens: Tokens) -> tuple[exp.Expr, list[str]]:
    """The statement that EXECUTE makes of text, with the values of USING in it, and the names after INTO.

    Raises:
        CloudError: 400 for another EXECUTE than IMMEDIATE, or text that is no statement.
    """
    if word(tokens[0]) != "IMMEDIATE":
        raise unsupported(f"EXECUTE {tokens[0].text}")
    clauses = _clauses(tokens[1:], "INTO", "USING")
    tree = parse(str(variables.value(clauses[""])[1]))
    arguments = _arguments(variables, clauses.get("USING", []))
    for node in list(tree.find_all(exp.Parameter)):
        if node.name.lower() in arguments:
            node.replace(arguments[node.name.lower()].copy())
    return tree, [t.text for t in clauses.get("INTO", []) if t.token_type != TokenType.COMMA]


def _arguments(variables: Variables, tokens: Tokens) -> dict[str, exp.Expr]:
    """The values of USING, by name (`x AS name`) or, as in a statement, by place (`?1`)."""
    found = {}
    for place, part in enumerate(_listed(tokens), 1):
        named = len(part) > 2 and word(part[-2]) == "AS"
        name = part[-1].text.lower() if named else f"?{place}"
        found[name] = literal(*variables.value(part[:-2] if named else part))
    return found


def receive(variables: Variables, names: list[str], outcome: Outcome) -> None:
    """Put the one row of a query into variables; NULLs when there is none."""
    fields = outcome.statistics.get("schema", {}).get("fields", [])
    if outcome.result is None or len(fields) != len(names):
        raise invalid(f"EXECUTE IMMEDIATE INTO: {len(names)} variables for a query of {len(fields)} columns")
    found = rows.read(
        variables.session.catalog.cursor, str(outcome.result.physical), fields, start=0, size=2, int64_timestamps=True
    )
    if len(found) > 1:
        raise invalid("EXECUTE IMMEDIATE INTO: the query returned more than one row")
    cells = json.loads(found[0])["f"] if found else [{"v": None}] * len(fields)
    for name, field, cell in zip(names, fields, cells, strict=True):
        if name.lower() not in variables.session.variables:
            raise invalid(f"Undeclared variable: {name}")
        kind, value = variables.types.get(name.lower()), literal(field, cell["v"])
        variables.put(name, exp.Cast(this=value, to=kind.copy()) if kind else value)


def _clauses(tokens: Tokens, *words: str) -> dict[str, Tokens]:
    """Tokens by the word before them, outside of parentheses; the first of all under ""."""
    found: dict[str, Tokens] = {"": []}
    current, depth = "", 0
    for token in tokens:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and word(token) in words:
            current = word(token)
            found[current] = []
        else:
            found[current].append(token)
    return found


def _listed(tokens: Tokens) -> list[Tokens]:
    """Tokens between commas, outside of parentheses."""
    found: list[Tokens] = [[]] if tokens else []
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if depth == 0 and token.token_type == TokenType.COMMA:
            found.append([])
        else:
            found[-1].append(token)
    return found
