"""Scripts: statements one after the other, with variables, conditions, loops, transactions and handlers of errors.

Each statement is a transaction of its own unless the script says otherwise, and leaves a child job behind.
"""

import dataclasses
import json
import uuid
from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from local.warehouse import errors, rows
from local.warehouse.catalog import Resource, now_ms
from local.warehouse.parameters import expression
from local.warehouse.queries import Outcome, compile_select
from local.warehouse.references import Function, Session
from local.warehouse.schema import Field, mode_of
from local.warehouse.script_syntax import Reader, Step, Tokens, word
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, parse, parse_tokens, tokens_of, unsupported
from local.wire import CloudError

_OPENING, _CLOSING = (TokenType.L_PAREN, TokenType.L_BRACKET), (TokenType.R_PAREN, TokenType.R_BRACKET)
MAX_STEPS = 100_000  # so that an endless loop ends
# Runs one statement: a session, its tree, an id for its results.
Run = Callable[[Session, exp.Expr, str], Outcome]
Child = Callable[[Resource], None]


class _Jump(Exception):
    """BREAK, CONTINUE or RETURN."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Script:
    """One run of a script.

    Args:
        session: of the job; its variables, functions and temporary tables are this script's.
        run: runs a statement in the session's transaction.
        child: writes down the job of a statement.
        sql: the whole text, to which the places of errors refer.
    """

    def __init__(self, session: Session, run: Run, child: Child, sizes: Sizes, sql: str) -> None:
        self.session, self._run, self._child, self._sizes, self._sql = session, run, child, sizes, sql
        self._types: dict[str, exp.DataType | None] = {}
        self._in_transaction = self._aborted = False
        self._steps = self._children = 0
        self.last: Outcome | None = None

    @property
    def _cursor(self) -> duckdb.DuckDBPyConnection:
        return self.session.catalog.cursor

    def execute(self) -> Outcome:
        """Run all of it; answers what its last statement did.

        Raises:
            CloudError: of the statement that failed; what was committed before it stays.
        """
        try:
            self._all(Reader(tokens_of(self._sql)).script())
        except _Jump as jump:
            if jump.kind != "RETURN":
                raise invalid(f"{jump.kind} is only allowed inside a loop") from jump
        if self._in_transaction:
            self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN")
            self.last = None  # its rows went with the rest
        statistics = {"statementType": "SCRIPT", "totalBytesProcessed": "0", "numChildJobs": str(self._children)}
        if self.last is None:
            return Outcome(statistics)
        kept = ("schema", "numDmlAffectedRows", "dmlStats", "totalBytesProcessed", "totalBytesBilled", "cacheHit")
        return Outcome({**statistics, **{k: v for k, v in self.last.statistics.items() if k in kept}}, self.last.result)

    def _all(self, steps: list[Step]) -> None:
        for step in steps:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise unsupported(f"scripts of more than {MAX_STEPS} steps")
            handler: Callable[[Step], None] = getattr(self, f"_{step.kind.lower()}")
            handler(step)

    # --- statements

    def _statement(self, step: Step) -> None:
        tree = parse_tokens(step.tokens, self._sql)
        if isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() == "FUNCTION":
            self._define(tree)
            return
        started, id = now_ms(), f"script_job_{uuid.uuid4().hex}_{self._children}"
        text = self._sql[step.tokens[0].start : step.tokens[-1].end + 1]
        outcome = self._run(self.session, tree, id)
        self._children += 1
        self.last = outcome
        if "numDmlAffectedRows" in outcome.statistics:
            count = exp.Literal.number(outcome.statistics["numDmlAffectedRows"])
            self.session = dataclasses.replace(self.session, variables={**self.session.variables, "@@row_count": count})
        frame = frame_of(step.tokens, text)
        self._child({"id": id, "query": text, "started": started, "outcome": outcome, "frame": frame})
        self._commit_unless_asked()

    def _commit_unless_asked(self) -> None:
        if not self._in_transaction:
            self._cursor.execute("COMMIT")
            self._cursor.execute("BEGIN")

    def _define(self, tree: exp.Create) -> None:
        properties = tree.args["properties"].expressions if tree.args.get("properties") else []
        if not any(isinstance(p, exp.TemporaryProperty) for p in properties) or not isinstance(
            tree.this, exp.UserDefinedFunction
        ):
            raise unsupported("CREATE FUNCTION; only CREATE TEMP FUNCTION")
        if (
            any(not isinstance(p, exp.TemporaryProperty | exp.ReturnsProperty) for p in properties)
            or tree.expression is None
        ):
            raise unsupported("functions in other languages than SQL")
        names = [str(p.name).lower() for p in tree.this.expressions]
        function = Function(names, tree.expression)
        functions = {**self.session.functions, tree.this.this.name.lower(): function}
        self.session = dataclasses.replace(self.session, functions=functions)

    def _execute(self, step: Step) -> None:
        if word(step.tokens[0]) != "IMMEDIATE":
            raise unsupported(f"EXECUTE {step.tokens[0].text}")
        clauses = _clauses(step.tokens[1:], "INTO", "USING")
        tree = parse(str(self._value(clauses[""])[1]))
        arguments = self._arguments(clauses.get("USING", []))
        for node in list(tree.find_all(exp.Parameter)):
            if node.name.lower() in arguments:
                node.replace(arguments[node.name.lower()].copy())
        outcome = self._run(self.session, tree, f"script_job_{uuid.uuid4().hex}_{self._children}")
        self._children += 1
        self.last = outcome
        if "INTO" in clauses:
            self._receive([t.text for t in clauses["INTO"] if t.token_type != TokenType.COMMA], outcome)
        self._commit_unless_asked()

    def _arguments(self, tokens: Tokens) -> dict[str, exp.Expr]:
        """The values of USING, by name (`x AS name`) or, as in a statement, by place (`?1`)."""
        found = {}
        for place, part in enumerate(_listed(tokens), 1):
            named = len(part) > 2 and word(part[-2]) == "AS"
            name = part[-1].text.lower() if named else f"?{place}"
            found[name] = literal(*self._value(part[:-2] if named else part))
        return found

    def _receive(self, names: list[str], outcome: Outcome) -> None:
        """Put the one row of a query into variables; NULLs when there is none."""
        fields = outcome.statistics.get("schema", {}).get("fields", [])
        if outcome.result is None or len(fields) != len(names):
            raise invalid(f"EXECUTE IMMEDIATE INTO: {len(names)} variables for a query of {len(fields)} columns")
        found = rows.read(self._cursor, str(outcome.result.physical), fields, start=0, size=2, int64_timestamps=True)
        if len(found) > 1:
            raise invalid("EXECUTE IMMEDIATE INTO: the query returned more than one row")
        cells = json.loads(found[0])["f"] if found else [{"v": None}] * len(fields)
        for name, field, cell in zip(names, fields, cells, strict=True):
            if name.lower() not in self.session.variables:
                raise invalid(f"Undeclared variable: {name}")
            kind, value = self._types.get(name.lower()), literal(field, cell["v"])
            self._put(name, exp.Cast(this=value, to=kind.copy()) if kind else value)

    # --- variables

    def _declare(self, step: Step) -> None:
        tokens = step.tokens
        names, at = [tokens[0].text], 1
        while at < len(tokens) and tokens[at].token_type == TokenType.COMMA:
            names.append(tokens[at + 1].text)
            at += 2
        default = next((i for i in range(at, len(tokens)) if word(tokens[i]) == "DEFAULT"), len(tokens))
        kind = _type_of(tokens[at:default], self._sql) if default > at else None
        for name in names:
            self._types[name.lower()] = kind
            if default < len(tokens):
                self._assign(name, tokens[default + 1 :])
            else:
                self._put(name, exp.Cast(this=exp.Null(), to=kind.copy()) if kind else exp.Null())

    def _set(self, step: Step) -> None:
        tokens = step.tokens
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
            if name.lower() not in self._types:
                raise invalid(f"Undeclared variable: {name}")
        if len(names) == 1:
            self._assign(names[0], tokens[equals + 1 :])
            return
        value = tokens[equals + 1 :]
        if len(value) > 1 and value[0].token_type == TokenType.L_PAREN and word(value[1]) not in ("SELECT", "WITH"):
            value = [*tokens_of("STRUCT"), *value]
        field, wire = self._value(value)
        for name, inner, cell in zip(names, field.get("fields", []), (wire or {"f": []})["f"], strict=True):
            self._put(name, literal(inner, cell["v"]))

    def _assign(self, name: str, tokens: Tokens) -> None:
        kind = self._types.get(name.lower())
        field, wire = self._value(tokens, kind)
        self._put(name, literal(field, wire))

    def _put(self, name: str, value: exp.Expr) -> None:
        self.session = dataclasses.replace(self.session, variables={**self.session.variables, name.lower(): value})

    def _value(self, tokens: Tokens, kind: exp.DataType | None = None) -> tuple[Field, Any]:
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
                self._cursor, f"({compiled.sql})", compiled.fields, start=0, size=1, int64_timestamps=True
            )
        except duckdb.Error as error:
            raise errors.of_query(error, tree) from error
        return compiled.fields[0], json.loads(text)["f"][0]["v"]

    def _holds(self, tokens: Tokens) -> bool:
        return bool(self._value(tokens)[1] == "true")

    # --- control

    def _if(self, step: Step) -> None:
        self._all(step.body if self._holds(step.tokens) else step.otherwise)

    def _once(self, body: list[Step]) -> bool:
        """Run a loop's body once; False when it breaks."""
        try:
            self._all(body)
        except _Jump as jump:
            if jump.kind == "RETURN":
                raise
            return jump.kind == "CONTINUE"
        return True

    def _while(self, step: Step) -> None:
        while self._holds(step.tokens) and self._once(step.body):
            self._steps += 1

    def _loop(self, step: Step) -> None:
        while self._once(step.body):
            self._steps += 1

    def _repeat(self, step: Step) -> None:
        while self._once(step.body) and not self._holds(step.tokens):
            self._steps += 1

    def _for(self, step: Step) -> None:
        name, query = step.tokens[0].text, step.tokens[2:]
        tree = parse_tokens(query[1:-1] if query[0].token_type == TokenType.L_PAREN else query, self._sql)
        if not isinstance(tree, exp.Query):
            raise invalid("Syntax error: FOR needs a query")
        compiled = compile_select(self.session, tree, self._sizes)
        found = rows.read(
            self._cursor, f"({compiled.sql})", compiled.fields, start=0, size=MAX_STEPS, int64_timestamps=True
        )
        record: Field = {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": compiled.fields}
        for text in found:
            self._put(name, literal(record, json.loads(text)))
            if not self._once(step.body):
                break

    def _block(self, step: Step) -> None:
        outer = self.session.variables
        try:
            self._all(step.body)
        except CloudError as error:
            if not step.otherwise or error.reason == "stopped":
                raise
            self._cursor.execute("ROLLBACK")
            self._cursor.execute("BEGIN")
            self._aborted = self._in_transaction  # as documented it is still open, to be rolled back
            self._put("@@error.message", exp.Literal.string(error.message))
            self._all(step.otherwise)
        kept = {name: value for name, value in self.session.variables.items() if name in outer or name.startswith("@@")}
        self.session = dataclasses.replace(self.session, variables=kept)

    def _nothing(self, step: Step) -> None:
        """An empty handler."""

    def _break(self, step: Step) -> None:
        raise _Jump("BREAK")

    def _continue(self, step: Step) -> None:
        raise _Jump("CONTINUE")

    def _return(self, step: Step) -> None:
        raise _Jump("RETURN")

    def _raise(self, step: Step) -> None:
        message = "Unhandled user-generated exception"
        if step.tokens and word(step.tokens[0]) == "USING":
            message = str(self._value(step.tokens[3:])[1])
        raise invalid(message)

    def _assert(self, step: Step) -> None:
        told = next((i for i, t in enumerate(step.tokens) if word(t) == "AS"), len(step.tokens))
        if not self._holds(step.tokens[:told]):
            description = f" {step.tokens[told + 1].text}" if told < len(step.tokens) else ""
            raise invalid(f"Assertion failed:{description}")

    # --- transactions

    def _begin(self, step: Step) -> None:
        if self._in_transaction:
            raise invalid("Transaction control statements cannot be nested: a transaction is active")
        self._in_transaction = True

    def _commit(self, step: Step) -> None:
        self._finish("COMMIT")

    def _rollback(self, step: Step) -> None:
        self._finish("ROLLBACK")

    def _finish(self, how: str) -> None:
        if not self._in_transaction:
            raise invalid(f"{how} TRANSACTION is only allowed inside a transaction")
        if self._aborted and how == "COMMIT":
            raise unsupported("COMMIT TRANSACTION after a statement of the transaction failed; roll it back")
        self._cursor.execute(how)
        self._cursor.execute("BEGIN")
        self._in_transaction = self._aborted = False


def frame_of(tokens: Tokens, text: str) -> dict[str, Any]:
    """Where a statement stands in its script, as `stackFrames` tells it."""
    first, last = tokens[0], tokens[-1]
    start = {"startLine": first.line, "startColumn": first.col - len(first.text) + 1}
    return {**start, "endLine": last.line, "endColumn": last.col, "text": text}


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
