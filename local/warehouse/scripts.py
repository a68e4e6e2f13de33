"""Scripts: statements one after the other, with conditions, loops, transactions and handlers of errors.

Each statement is a transaction of its own unless the script says otherwise, and leaves a child job behind. Variables are
in script_variables.py, EXECUTE IMMEDIATE in execute_immediate.py.
"""

import dataclasses
import json
import uuid
from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from local.warehouse import execute_immediate, rows
from local.warehouse.catalog import Resource, now_ms
from local.warehouse.queries import Outcome, compile_select
from local.warehouse.references import Function, Session
from local.warehouse.schema import Field
from local.warehouse.script_syntax import Reader, Step, Tokens, word
from local.warehouse.script_variables import Variables, literal
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, parse_tokens, tokens_of, unsupported
from local.wire import CloudError

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
        self._variables = Variables(session, sizes, sql)
        self._run, self._child, self._sizes, self._sql = run, child, sizes, sql
        self._in_transaction = self._aborted = False
        self._steps = self._children = 0
        self._failed: Step | None = None  # the innermost, while its error goes outwards
        self.last: Outcome | None = None

    @property
    def session(self) -> Session:
        """With the variables, functions and temporary tables that there are now."""
        return self._variables.session

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
            try:
                handler(step)
            except CloudError:
                self._failed = self._failed or step
                raise

    # --- statements

    def _statement(self, step: Step) -> None:
        tree = parse_tokens(step.tokens, self._sql)
        if isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() == "FUNCTION":
            functions = {**self.session.functions, **_defined(tree)}
            self._variables.session = dataclasses.replace(self.session, functions=functions)
            return
        started, id = now_ms(), f"script_job_{uuid.uuid4().hex}_{self._children}"
        text = self._sql[step.tokens[0].start : step.tokens[-1].end + 1]
        outcome = self._run(self.session, tree, id)
        self._children += 1
        self.last = outcome
        if "numDmlAffectedRows" in outcome.statistics:
            count = exp.Literal.number(outcome.statistics["numDmlAffectedRows"])
            self._variables.put("@@row_count", count)
        frame = frame_of(step.tokens, text)
        self._child({"id": id, "query": text, "started": started, "outcome": outcome, "frame": frame})
        self._commit_unless_asked()

    def _commit_unless_asked(self) -> None:
        if not self._in_transaction:
            self._cursor.execute("COMMIT")
            self._cursor.execute("BEGIN")

    def _execute(self, step: Step) -> None:
        tree, names = execute_immediate.statement(self._variables, step.tokens)
        outcome = self._run(self.session, tree, f"script_job_{uuid.uuid4().hex}_{self._children}")
        self._children += 1
        self.last = outcome
        if names:
            execute_immediate.receive(self._variables, names, outcome)
        self._commit_unless_asked()

    def _declare(self, step: Step) -> None:
        self._variables.declare(step.tokens)

    def _set(self, step: Step) -> None:
        self._variables.set(step.tokens)

    # --- control

    def _if(self, step: Step) -> None:
        self._all(step.body if self._variables.holds(step.tokens) else step.otherwise)

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
        while self._variables.holds(step.tokens) and self._once(step.body):
            self._steps += 1

    def _loop(self, step: Step) -> None:
        while self._once(step.body):
            self._steps += 1

    def _repeat(self, step: Step) -> None:
        while self._once(step.body) and not self._variables.holds(step.tokens):
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
            self._variables.put(name, literal(record, json.loads(text)))
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
            self._variables.put("@@error.message", exp.Literal.string(error.message))
            tokens, self._failed = self._failed.tokens if self._failed else [], None
            text = self._sql[tokens[0].start : tokens[-1].end + 1] if tokens else ""
            self._variables.put("@@error.statement_text", exp.Literal.string(text))
            self._all(step.otherwise)
        kept = {name: value for name, value in self.session.variables.items() if name in outer or name.startswith("@@")}
        self._variables.session = dataclasses.replace(self.session, variables=kept)

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
        if "@@error.message" in self.session.variables:
            message = self.session.variables["@@error.message"].name  # RAISE alone, in a handler
        if step.tokens and word(step.tokens[0]) == "USING":
            message = str(self._variables.value(step.tokens[3:])[1])
        raise invalid(message)

    def _assert(self, step: Step) -> None:
        told = next((i for i, t in enumerate(step.tokens) if word(t) == "AS"), len(step.tokens))
        if not self._variables.holds(step.tokens[:told]):
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


def _defined(tree: exp.Create) -> dict[str, Function]:
    """The function of CREATE TEMP FUNCTION, by name."""
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
    return {tree.this.this.name.lower(): function}


def frame_of(tokens: Tokens, text: str) -> dict[str, Any]:
    """Where a statement stands in its script, as `stackFrames` tells it."""
    first, last = tokens[0], tokens[-1]
    start = {"startLine": first.line, "startColumn": first.col - len(first.text) + 1}
    return {**start, "endLine": last.line, "endColumn": last.col, "text": text}
