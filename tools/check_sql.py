"""What can be told of a model's SQL without BigQuery: one query, its parameter, and the tables that it reads.

Does not own what the SQL means. Only what BigQuery is sure to refuse is a fault: SQL that is not understood here may
still be good.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from service.errors import BadUsage
from service.spec import ModelSpec

PARAMETER = "run_date"


def faults(model: ModelSpec) -> Iterator[BadUsage]:
    """Each thing that BigQuery is sure to refuse."""
    for name, path in _files(model):
        try:
            queries = _parsed(path)
        except SqlglotError:
            continue  # see notes
        if len(queries) != 1 or not isinstance(queries[0], exp.Query):
            text = "The file holds no query." if not queries else f"This is not one query, but {_listed(queries)}."
            yield BadUsage(text, "Write one SELECT, which may begin with WITH.", where=str(path))
            continue
        for parameter in sorted(_parameters(queries[0]) - {PARAMETER}):
            text = f"'@{parameter}' has no value: the only parameter is '@{PARAMETER}'."
            yield BadUsage(text, f"Write @{PARAMETER}, or the value itself.", where=str(path))
        yield from _tables(queries[0], model.actions[name].reads, f"{name}.reads", path)


def notes(model: ModelSpec) -> Iterator[str]:
    """What is right in few models: said, and not refused."""
    for _, path in _files(model):
        try:
            queries = _parsed(path)
        except ParseError as error:
            first = error.errors[0]
            said = f"{first['description']}, near line {first['line']}, column {first['col']}"
            yield f"{path}: not understood as a query: {said}. A rehearsal will refuse it; BigQuery may, too."
        except SqlglotError as error:
            yield f"{path}: not understood as a query: {str(error).splitlines()[0]}."
        else:
            if not any(_parameters(query) for query in queries):
                text = f"@{PARAMETER} does not occur, so a run date that is repeated reads the rows of another day."
                yield f"{path}: {text} Take the rows before @{PARAMETER}, unless the tables keep what they held."


def _files(model: ModelSpec) -> Iterator[tuple[str, Path]]:
    for name, action in model.actions.items():
        if action.input.sql:
            yield name, model.folder / action.input.sql


def _parsed(path: Path) -> list[exp.Expr]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadUsage("The file is not UTF-8.", "Save it as UTF-8.", where=str(path)) from error
    return [query for query in sqlglot.parse(text, read="bigquery") if query is not None]


def _listed(queries: Sequence[exp.Expr]) -> str:
    return f"{len(queries)} statements" if len(queries) > 1 else f"a statement of the kind {queries[0].key.upper()}"


def _parameters(query: exp.Expr) -> set[str]:
    """The names of the parameters; `@@name` is none, but a variable of the system."""
    found = query.find_all(exp.Parameter)
    named = (node for node in found if not isinstance(node.this, exp.Parameter | exp.SessionParameter))
    return {node.name.lower() for node in named if not isinstance(node.parent, exp.Parameter)}


def _tables(query: exp.Expr, reads: Sequence[str], place: str, path: Path) -> Iterator[BadUsage]:
    tables = [table for table in query.find_all(exp.Table) if isinstance(table.this, exp.Identifier)]
    names = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    rows = {table.alias_or_name.lower() for table in tables}  # `FROM t, t.items` unfolds an array of t
    declared = {tuple(table.split(".")) for table in reads}
    seen = set[str]()
    for table in tables:
        parts = tuple(part for part in (table.catalog, table.db, table.name.partition("$")[0]) if part)
        shown = ".".join(parts)
        if shown in seen or "*" in shown or "INFORMATION_SCHEMA" in shown.upper():
            continue
        seen.add(shown)
        if len(parts) == 1:
            if shown.lower() not in names:
                text = f"'{shown}' is no table: its dataset is missing."
                yield BadUsage(
                    text, f"Write dataset.{shown}, and list it under {place} in model.yaml.", where=str(path)
                )
        elif not (len(parts) == 2 and parts[0].lower() in rows | names) and not _read(parts, declared):
            text = f"The SQL reads '{shown}', which {place} in model.yaml does not list, so that it will be denied."
            yield BadUsage(text, f"It lists {sorted(reads)}: correct one of the two.", where=str(path))


def _read(parts: tuple[str, ...], declared: set[tuple[str, ...]]) -> bool:
    """Whether a table is declared; the project may be left out on either side."""
    return any(parts[-2:] == other[-2:] and (len(parts) + len(other) < 6 or parts == other) for other in declared)
