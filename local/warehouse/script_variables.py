"""The variables of a script: DECLARE, SET, and the values of expressions that name them.

Owns the session that statements run in, for a variable's value is put into it.
"""

import dataclasses
import json
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from local.warehouse import errors, rows
from local.warehouse.parameters import expression
from local.warehouse.queries import compile_select
from local.warehouse.references import Session
from local.warehouse.schema import Field, mode_of
from local.warehouse.script_syntax import Tokens, word
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, parse, parse_tokens, tokens_of, unsupported


class Variables:
    """Names and values, as the script has them at the moment.

    Args:
        session: of the job; replaced whenever a variable changes.
        sql: the whole text, to which the places of errors refer.
    """

    def __init__(self, session: Session, sizes: Sizes, sql: str) -> None:
        self.session, self._sizes, self._sql = session, sizes, sql
        self.types: dict[str, exp.DataType | None] = {}

    def declare(self, tokens: Tokens) -> None:
        """DECLARE names [type] [DEFAULT value]."""
        names, at = [tokens[0].text], 1
        while at < len(tokens) and tokens[at].token_type == TokenType.COMMA:
            names.append(tokens[at + 1].text)
            at += 2
        default = next((i for i in range(at, len(tokens)) if word(tokens[i]) == "DEFAULT"), len(tokens))
        kind = _type_of(tokens[at:default], self._sql) if default > at else None
        for name in names:
            self.types[name.lower()] = kind
            if default < len(tokens):
                self._assign(name, tokens[default + 1 :])
            else:
                self.put(name, exp.Cast(this=exp.Null(), to=kind.copy()) if kind else exp.Null())

    def set(self, tokens: Tokens) -> None:
        """SET name = value, or several of a STRUCT."""
        equals = next((i for i, t in enumerate(tokens) if t.token_type == TokenType.EQ), None)
        if equals is None or tokens[0].token_type == TokenType.PARAMETER:
            last = tokens[-1] if equals is None else tokens[equals - 1]
            raise unsupported(f"SET {self._sql[tokens[0].start : last.end + 1]}")
        names = [
            t.text
            for t in tokens[:equals]
            if t.token_type not in (TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA)
        ]
        for name in names:
            if name.lower() not in self.types:
                raise invalid(f"Undeclared variable: {name}")
        value = tokens[equals + 1 :]
        of_struct = [word(t) for t in value[1:4]] == ["SELECT", "AS", "STRUCT"]
        if len(names) == 1 and not (tokens[0].token_type == TokenType.L_PAREN and of_struct):
            self._assign(names[0], value)
            return
        if len(value) > 1 and value[0].token_type == TokenType.L_PAREN and word(value[1]) not in ("SELECT", "WITH"):
            value = [*tokens_of("STRUCT"), *value]
        field, wire = self.value(value)
        for name, inner, cell in zip(names, field.get("fields", []), (wire or {"f": []})["f"], strict=True):
            self.put(name, literal(inner, cell["v"]))

    def _assign(self, name: str, tokens: Tokens) -> None:
        kind = self.types.get(name.lower())
        field, wire = self.value(tokens, kind)
        self.put(name, literal(field, wire))

    def put(self, name: str, value: exp.Expr) -> None:
        """Give a variable a value that is of its type."""
        self.session = dataclasses.replace(self.session, variables={**self.session.variables, name.lower(): value})

    def value(self, tokens: Tokens, kind: exp.DataType | None = None) -> tuple[Field, Any]:
        """The value of an expression: its field, and how the API writes it."""
        select = [*tokens_of("SELECT"), *tokens]
        tree = parse_tokens(select, self._sql)
        if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
            raise invalid("Syntax error: expected one expression")
        if kind is not None:
            item = tree.expressions[0]
            item.replace(exp.Cast(this=item.unalias().copy(), to=kind.copy()))
        compiled = compile_select(self.session, tree, self._sizes)
        try:
            [text] = rows.read(
                self.session.catalog.cursor,
                f"({compiled.sql})",
                compiled.fields,
                start=0,
                size=1,
                int64_timestamps=True,
            )
        except duckdb.Error as error:
            raise errors.of_query(error, tree) from error
        return compiled.fields[0], json.loads(text)["f"][0]["v"]

    def holds(self, tokens: Tokens) -> bool:
        """Whether a condition is true."""
        return bool(self.value(tokens)[1] == "true")


def _type_of(tokens: Tokens, sql: str) -> exp.DataType:
    text = sql[tokens[0].start : tokens[-1].end + 1]
    tree = parse(f"SELECT CAST(NULL AS {text})")
    found = tree.find(exp.DataType)
    if found is None:
        raise invalid(f"Syntax error: {text!r} is not a type")
    return found


API_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def literal(field: Field, wire: Any) -> exp.Expr:
    """A value as the API writes it, as an expression of its type."""
    if mode_of(field) == "REPEATED":
        items = [literal(field | {"mode": "NULLABLE"}, cell["v"]) for cell in wire or []]
        return exp.Array(expressions=items)
    if field["type"] == "RECORD":
        if wire is None:
            return exp.Null()
        fields = [
            exp.PropertyEQ(this=exp.to_identifier(f["name"], quoted=True), expression=literal(f, cell["v"]))
            for f, cell in zip(field["fields"], wire["f"], strict=True)
        ]
        return exp.Struct(expressions=fields)
    if field["type"] == "TIMESTAMP" and wire is not None:
        return exp.UnixToTime(this=exp.Literal.number(wire), scale=exp.Literal.number(6))
    return expression({"type": API_TYPES.get(field["type"], field["type"])}, {"value": wire})
