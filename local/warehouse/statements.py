"""From the text of a query to statements: GoogleSQL parsed by sqlglot, and what cannot be read refused by name.

Resolves nothing: names are looked up in references.py, functions rewritten in functions.py.
"""

import itertools
import logging
import re
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from local.wire import CloudError

# sqlglot warns of statements that it cannot read; here they are refused.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


class GoogleSQL(BigQuery):
    """BigQuery's dialect whose scripts come as tokens, where sqlglot makes one text of a statement it does not know."""

    class Tokenizer(BigQuery.Tokenizer):
        """Its tokens."""

        COMMANDS: ClassVar[set[TokenType]] = set()
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            k: v for k, v in BigQuery.Tokenizer.KEYWORDS.items() if k != "BEGIN TRANSACTION"
        }


# The job's statementType, by what sqlglot made of the statement.
STATEMENT_TYPES: dict[type[exp.Expr], str] = {
    exp.Query: "SELECT",
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.TruncateTable: "TRUNCATE_TABLE",
    exp.Export: "EXPORT_DATA",
    exp.Create: "CREATE",
    exp.Drop: "DROP",
    exp.Alter: "ALTER",
}


def invalid(message: str) -> CloudError:
    """The error of a query that cannot run."""
    return CloudError(400, "invalidQuery", message)


def unsupported(construct: str) -> CloudError:
    """The error of a query that BigQuery would run and this warehouse does not."""
    return CloudError(400, "invalidQuery", f"The local warehouse does not support {construct}")


def tokens_of(sql: str) -> list[Token]:
    """The tokens of a query, `?` numbered.

    Raises:
        CloudError: 400 with the place of what is no token.
    """
    try:
        tokens = _tokenized(sql)
    except TokenError as error:
        raise invalid(f"Syntax error: {str(error).splitlines()[0]}") from error
    numbered, count = [], 0
    for token in tokens:
        if token.token_type == TokenType.STRING:
            _check_escapes(token, sql)
        if token.token_type != TokenType.PLACEHOLDER:
            numbered.append(token)
            continue
        # A positional parameter becomes a named one, `?1`: in the tree nothing tells their order.
        count += 1
        place: dict[str, Any] = {"line": token.line, "col": token.col, "start": token.start, "end": token.end}
        numbered += [Token(TokenType.PARAMETER, "@", **place), Token(TokenType.VAR, f"?{count}", **place)]
    return numbered


# `1e5+1`, which sqlglot takes for one number.
SUM_OF_NUMBERS = re.compile(r"(.*\de[+-]?\d+)[+-]\d+", re.IGNORECASE)


def _tokenized(sql: str) -> list[Token]:
    tokens = GoogleSQL().tokenize(sql)
    for place, token in enumerate(tokens):
        match = SUM_OF_NUMBERS.fullmatch(token.text) if token.token_type == TokenType.NUMBER else None
        if match is None:
            continue
        # The rest is read again from the sign on.
        width = token.end - token.start + 1 - match.end(1)
        end, column = token.end - width, token.col - width
        rest = [
            Token(
                t.token_type, t.text, line=t.line + token.line - 1, col=t.col + (column if t.line == 1 else 0),
                start=t.start + end + 1, end=t.end + end + 1,
            )
            for t in _tokenized(sql[end + 1 :])
        ]  # fmt: skip
        head = Token(token.token_type, match[1], line=token.line, col=column, start=token.start, end=end)
        return [*tokens[:place], head, *rest]
    return tokens


# A backslash and what may follow it: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\?"'`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|(?P<illegal>.))""",
    re.DOTALL,
)


def _check_escapes(token: Token, sql: str) -> None:
    for match in ESCAPE.finditer(sql, token.start, token.end + 1):
        if match["illegal"]:
            place = f"[{token.line}:{token.col - token.end + match.start()}]"
            raise invalid(f"Syntax error: Illegal escape sequence: {match[0]} at {place}")


def parse(sql: str) -> exp.Expr:
    """One statement.

    Raises:
        CloudError: 400 `invalidQuery`, with line and column as BigQuery writes them.
    """
    tokens = [t for t in tokens_of(sql) if t.token_type != TokenType.SEMICOLON]
    if not tokens:
        raise invalid("Syntax error: Unexpected end of statement")
    return parse_tokens(tokens, sql)


def parse_tokens(tokens: list[Token], sql: str) -> exp.Expr:
    """One statement from its tokens, whose places refer to `sql`."""
    words = [t.text.upper() for t in tokens[:4] if t.text.upper() not in ("OR", "REPLACE")]
    if words and words[0] in REFUSED:
        raise unsupported(f"the statement {REFUSED[words[0]]}")
    if words[:2] == ["CREATE", "PROCEDURE"]:
        raise unsupported("CREATE PROCEDURE")
    tokens, column = _without_column(tokens)
    try:
        found = BigQuery().parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except ParseError as error:
        raise invalid(_syntax_error(error)) from error
    except (ValueError, RecursionError) as error:
        raise invalid(f"Syntax error: {error}") from error
    if len(found) != 1 or found[0] is None:
        raise invalid("Syntax error: Expected end of input after one statement")
    tree = _checked(found[0], tokens)
    tree.meta["column"] = column
    for literal in tree.find_all(exp.ParseJSON):
        _bind_literal(literal)
    if isinstance(tree, exp.Create):
        tree.meta["query"] = _text_after_as(tokens, sql)
    return tree


def _without_column(tokens: list[Token]) -> tuple[list[Token], str | None]:
    """ALTER TABLE t ALTER COLUMN c SET OPTIONS as ALTER TABLE t SET OPTIONS, which sqlglot reads, and the column's name."""
    words = [t.text.upper() for t in tokens]
    at = next((i for i in range(2, len(words) - 4) if words[i : i + 2] == ["ALTER", "COLUMN"]), None)
    if words[:2] != ["ALTER", "TABLE"] or at is None or words[at + 3 : at + 5] != ["SET", "OPTIONS"]:
        return tokens, None
    return [*tokens[:at], *tokens[at + 3 :]], tokens[at + 2].text


def _bind_literal(node: exp.ParseJSON) -> None:
    """Make JSON '...' bind tighter than what follows it: sqlglot reads JSON '{}'.a as JSON ('{}'.a)."""
    inner = node.this
    while isinstance(inner, exp.Dot | exp.Bracket):
        inner = inner.this
    if node.args.get("is_literal") and inner is not node.this:
        inner.replace(exp.ParseJSON(this=inner.copy(), is_literal=True))
        node.replace(node.this)


def _text_after_as(tokens: list[Token], sql: str) -> str:
    """The query of CREATE ... AS, as it was written."""
    depth = 0
    for token, after in itertools.pairwise(tokens):
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth == 0 and token.token_type == TokenType.ALIAS:
            return sql[after.start : tokens[-1].end + 1]
    return ""


def _syntax_error(error: ParseError) -> str:
    place = error.errors[0] if error.errors else {}
    near = place.get("highlight")
    fault = f'Unexpected "{near}"' if near else place.get("description") or str(error)
    return f"Syntax error: {fault} at [{place.get('line')}:{place.get('col')}]"


def _checked(tree: exp.Expr, tokens: list[Token]) -> exp.Expr:
    if isinstance(tree, exp.Command):
        words = " ".join(t.text.upper() for t in tokens[:2])
        if not re.match(r"[A-Z]", words) or (
            tokens[0].token_type == TokenType.VAR and tokens[0].text.upper() not in KEYWORDS
        ):
            raise invalid(
                f'Syntax error: Unexpected identifier "{tokens[0].text}" at [{tokens[0].line}:{_column(tokens[0])}]'
            )
        raise unsupported(f"the statement {words}")
    if not isinstance(tree, tuple(STATEMENT_TYPES)):
        raise (
            unsupported(f"the statement {tokens[0].text.upper()}")
            if tokens[0].text.upper() in KEYWORDS
            else invalid(f'Syntax error: Unexpected "{tokens[0].text}" at [{tokens[0].line}:{_column(tokens[0])}]')
        )
    return tree


def _column(token: Token) -> int:
    return token.col - len(token.text) + 1


# Statements that sqlglot would not tell from nonsense.
REFUSED = {
    "CALL": "CALL", "LOAD": "LOAD DATA", "GRANT": "GRANT", "REVOKE": "REVOKE", "UNDROP": "UNDROP", "ASSERT": "ASSERT",
}  # fmt: skip
# First words of statements that GoogleSQL has.
KEYWORDS = {
    "CREATE", "DROP", "ALTER", "CALL", "EXECUTE", "GRANT", "REVOKE", "LOAD", "ASSERT", "UNDROP", "BEGIN", "COMMIT",
    "ROLLBACK", "DECLARE", "SET", "IF", "LOOP", "WHILE", "FOR", "REPEAT", "CASE", "RAISE", "RETURN", "BREAK", "CONTINUE",
    "LEAVE", "ITERATE", "EXPORT", "DEFINE", "RENAME", "ANALYZE", "DESCRIBE", "EXPLAIN", "SHOW",
}  # fmt: skip


def place_of(node: exp.Expr) -> str:
    """` at [line:column]` of a node, when it is known."""
    for part in (node, *node.find_all(exp.Identifier)):
        if part.meta.get("line"):
            width = int(part.meta["end"]) - int(part.meta["start"]) + 1
            return f" at [{part.meta['line']}:{int(part.meta['col']) - width + 1}]"
    return ""


def name_columns(tree: exp.Expr) -> None:
    """Give the unnamed columns of a result the names that BigQuery gives them: f0_, f1_ ..."""
    for inner in tree.find_all(exp.Subquery, exp.CTE):
        if isinstance(inner, exp.CTE) or isinstance(inner.parent, exp.From | exp.Join):
            _name_columns(inner.this)
    _name_columns(tree)


def _name_columns(tree: exp.Expr) -> None:
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.this
    if not isinstance(tree, exp.Select):
        return
    if tree.args.get("kind") == "STRUCT":
        tree.set("kind", None)  # the fields of its rows are the columns of its table
    number = 0
    for item in list(tree.expressions):
        if isinstance(item, exp.Alias | exp.Star | exp.Aliases) or item.is_star:
            continue
        if item.name and isinstance(item, exp.Column | exp.Dot):
            if not item.args.get("table") and isinstance(item, exp.Column):
                continue
            # A field of a struct is known by its own name, also in ORDER BY.
            item.replace(exp.alias_(item.copy(), item.name, quoted=True))
            continue
        item.replace(exp.alias_(item.copy(), f"f{number}_", quoted=True))
        number += 1


def duck(tree: exp.Expr) -> str:
    """A rewritten statement as DuckDB's SQL.

    Raises:
        CloudError: 400 naming what has no counterpart.
    """
    try:
        return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE)
    except sqlglot.UnsupportedError as error:
        raise unsupported(f"this: {error}") from error
