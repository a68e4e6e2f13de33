"""Names in a statement: tables found in the catalogue, views put in their place, INFORMATION_SCHEMA made on the spot.

After this a statement names only DuckDB tables. Columns are DuckDB's to resolve.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from local.warehouse import information
from local.warehouse.catalog import Catalog, Ref, Table
from local.warehouse.parameters import Parameters
from local.warehouse.pseudo_columns import open_ingested, open_wildcard, point
from local.warehouse.statements import invalid, name_columns, parse, place_of, unsupported

MAX_DEPTH = 16  # https://cloud.google.com/bigquery/quotas#view_limits
REFUSED_PARTS = {
    "version": "FOR SYSTEM_TIME AS OF", "when": "FOR SYSTEM_TIME AS OF", "changes": "CHANGES", "hints": "table hints", "rows_from": "ROWS FROM",
}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """A temporary SQL function: put in place of its calls."""

    parameters: list[str]
    body: exp.Expr


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a query is run with: whose it is, what it may leave out, and the state of the catalogue it sees."""

    catalog: Catalog
    project: str
    caller: str
    location: str | None = None  # None: nothing is said of where tables must lie
    default_dataset: tuple[str, str] | None = None
    parameters: Parameters = field(default_factory=lambda: Parameters(None))
    variables: Mapping[str, exp.Expr] = field(default_factory=dict)  # of a script, by name in lower case
    functions: Mapping[str, Function] = field(default_factory=dict)
    temporary: dict[str, Ref] = field(default_factory=dict)  # tables of a script, by name

    def ref(self, node: exp.Table) -> Ref:
        """The table that a name means, with the default project and dataset where it leaves them out.

        Raises:
            CloudError: 400 for a name that cannot be a table's.
        """
        parts = [str(p.name) for p in node.parts]
        if len(parts) == 1 and parts[0] in self.temporary:
            return self.temporary[parts[0]]
        if len(parts) == 1 and self.default_dataset is None:
            raise invalid(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table){place_of(node)}.')
        if "$" in parts[-1]:
            raise unsupported(f"partition decorators in a query ({parts[-1]}); filter on the partitioning column")
        project, dataset = self.default_dataset or (self.project, "")
        defaults = [project if len(parts) == 1 else self.project, dataset]
        names = [*defaults[: max(0, 3 - len(parts))], *parts][-3:]
        return Ref(*names)


def resolve(session: Session, tree: exp.Expr) -> list[Table]:
    """Replace every table name, in place.

    Returns:
        The tables whose rows the statement reads, views opened.

    Raises:
        CloudError: 404 for a table that is not there, 400 for what cannot be read.
    """
    session.parameters.put(tree)
    put_functions(session, tree)
    for user in list(tree.find_all(exp.SessionUser)):
        user.replace(exp.Literal.string(session.caller))
    found: list[Table] = []
    _resolve(session, tree, found, 0)
    tables = list({t.physical: t for t in found}.values())
    put_variables(session, tree, tables)
    return tables


def put_functions(session: Session, tree: exp.Expr) -> None:
    """Put the bodies of temporary functions in place of their calls."""
    for _ in range(MAX_DEPTH):
        calls = [n for n in tree.find_all(exp.Anonymous) if str(n.this).lower() in session.functions]
        if not calls:
            return
        for node in calls:
            function = session.functions[str(node.this).lower()]
            if len(node.expressions) != len(function.parameters):
                expected = f"expected {len(function.parameters)} arguments, got {len(node.expressions)}"
                raise invalid(f"No matching signature for function {node.this}: {expected}{place_of(node)}")
            given = dict(zip(function.parameters, node.expressions, strict=True))
            body = exp.paren(function.body.copy())
            for column in list(body.find_all(exp.Column)):
                if not column.table and column.name.lower() in given:
                    column.replace(exp.paren(given[column.name.lower()].copy()))
            node.replace(body)
    raise invalid("Functions call each other without end")


def put_variables(session: Session, tree: exp.Expr, tables: list[Table]) -> None:
    """Put the values of variables in place of names that are no column of the tables read."""
    if not session.variables:
        return
    columns = {f["name"].lower() for t in tables for f in t.fields} | {
        a.alias.lower() for a in tree.find_all(exp.Alias)
    }
    for node in list(tree.find_all(exp.Column)):
        first = node.parts[0].name.lower()
        if first not in session.variables or first in columns:
            continue
        value: exp.Expr = session.variables[first].copy()
        for part in node.parts[1:]:
            value = exp.Dot(this=exp.paren(value), expression=part.copy())
        shown = isinstance(node.parent, exp.Select) and node.arg_key == "expressions"
        node.replace(exp.alias_(value, node.name, quoted=True) if shown else value)
    for named in list(tree.find_all(exp.Parameter, exp.Dot)):
        name = named.sql("bigquery").lower()
        if name in session.variables:
            named.replace(session.variables[name].copy())


def _resolve(session: Session, tree: exp.Expr, found: list[Table], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise invalid("Exceeded maximum number of nested views")
    for node in list(tree.find_all(exp.Table)):
        if "resolved" in node.meta or is_cte(node):
            continue
        if not isinstance(node.this, exp.Identifier):
            raise unsupported(f"the table function {node.this.sql('bigquery')}")
        refused = [construct for part, construct in REFUSED_PARTS.items() if node.args.get(part)]
        if refused:
            raise unsupported(refused[0])
        if re.search(r"(^|\.)INFORMATION_SCHEMA\.|\.__TABLES__$", ".".join(p.name for p in node.parts), re.IGNORECASE):
            parts = _information_parts(session, node)
            point(node, information.materialised(session.catalog, parts, session.location), node.parts[-1].name)
            continue
        ref = session.ref(node)
        if ref.table.endswith("*"):
            open_wildcard(session, node, ref, found)
        else:
            session.catalog.access.read(ref)
            _open(session, node, session.catalog.table(ref, location=session.location), found, depth)


def _open(session: Session, node: exp.Table, table: Table, found: list[Table], depth: int) -> None:
    if table.view is not None:
        _open_view(session, node, table, found, depth)
    elif table.physical is None:
        raise invalid(f"Table {table.ref} does not have a schema.")
    else:
        found.append(table)
        if table.ingested:
            open_ingested(node, table)
            return
        point(node, table.physical, table.ref.table)
        node.meta["table"] = table


def _information_parts(session: Session, node: exp.Table) -> list[str]:
    parts = ".".join(p.name for p in node.parts).split(".")
    before = parts[:-1] if parts[-1].upper() == "__TABLES__" else parts[:-2]
    if len(before) == 0 and session.default_dataset and not parts[-1].upper().startswith("JOBS"):
        before = list(session.default_dataset)
    return [*([session.project] if len(before) < 2 else []), *before, parts[-1].upper()]


def _open_view(session: Session, node: exp.Table, view: Table, found: list[Table], depth: int) -> None:
    tree = parse(view.view or "")
    name_columns(tree)
    inner = Session(catalog=session.catalog, project=view.ref.project, caller=session.caller, location=session.location)
    _resolve(inner, tree, found, depth + 1)
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(view.ref.table, quoted=True))
    subquery = exp.Subquery(this=tree, alias=alias.copy(), joins=node.args.get("joins"))
    node.replace(subquery)


def is_cte(node: exp.Table) -> bool:
    """Whether a table name means a WITH query that is visible where it stands."""
    if node.args.get("db"):
        return False
    child: exp.Expr = node
    parent = node.parent
    while parent is not None:
        clause = parent.args.get("with_") or parent.args.get("with")
        if isinstance(clause, exp.With):
            names = [cte.alias.lower() for cte in clause.expressions]
            if child is clause and not clause.args.get("recursive"):
                names = names[: _position(clause, node)]
            if node.name.lower() in names:
                return True
        child, parent = parent, parent.parent
    return False


def _position(clause: exp.With, node: exp.Expr) -> int:
    """Which of the WITH queries a node lies in."""
    ancestors = {id(n) for n in _ancestors(node)}
    return next(i for i, cte in enumerate(clause.expressions) if id(cte) in ancestors)


def _ancestors(node: exp.Expr) -> list[exp.Expr]:
    found = []
    current: exp.Expr | None = node
    while current is not None:
        found.append(current)
        current = current.parent
    return found
