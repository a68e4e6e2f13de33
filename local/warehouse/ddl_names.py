"""What a CREATE, DROP or ALTER names, who may run it, and what its job reports."""

from sqlglot import exp

from local.warehouse.catalog import Ref, Resource, Table
from local.warehouse.references import Session
from local.warehouse.schema import Field, find
from local.warehouse.statements import invalid, unsupported


def check_allowed(session: Session, tree: exp.Expr, what: str) -> None:
    """Refuse who may not; a temporary table is its script's own.

    Raises:
        CloudError: 403.
    """
    action = f"{type(tree).__name__.upper()} {'OR REPLACE ' if tree.args.get('replace') else ''}{what}"
    if what == "SCHEMA":
        session.catalog.access.may_in_dataset(action, *dataset_of(session, tree))
    elif not tree.find(exp.TemporaryProperty):
        named = dropped(tree) if isinstance(tree, exp.Drop) else tree.this
        session.catalog.access.may(action, ref_of(session, named))


def dropped(tree: exp.Drop) -> exp.Expr:
    """The one name that a DROP gives."""
    named = [tree.this] if tree.this is not None else tree.args.get("tables") or []
    if len(named) != 1:
        raise unsupported("DROP of several names at once")
    found: exp.Expr = named[0]
    return found


def ref_of(session: Session, node: exp.Expr) -> Ref:
    """The table that a name means, with or without columns after it."""
    table = node.this if isinstance(node, exp.Schema) else node
    if not isinstance(table, exp.Table):
        raise unsupported(f"the name {node.sql('bigquery')}")
    return session.ref(table)


def existing(table: Table, column: str) -> Field:
    """A column that must be there.

    Raises:
        CloudError: 400.
    """
    field = find(table.fields, column)
    if field is None:
        raise invalid(f"Column not found: {column} in table {table.ref}")
    return field


def dataset_of(session: Session, tree: exp.Expr) -> tuple[str, str]:
    """Project and dataset that a statement on a schema names."""
    node = dropped(tree) if isinstance(tree, exp.Drop) else tree.this
    node = node.this if isinstance(node, exp.Schema) else node
    parts = [p.name for p in node.parts if p.name] if isinstance(node, exp.Table) else [node.name]
    return (parts[-2] if len(parts) > 1 else session.project), parts[-1]


def statistics_of(kind: str, operation: str, ref: Ref) -> Resource:
    """`statistics.query` of a statement on a table."""
    return {
        "statementType": kind,
        "ddlOperationPerformed": operation,
        "ddlTargetTable": ref.resource,
        "totalBytesProcessed": "0",
        "totalBytesBilled": "0",
        "cacheHit": False,
    }
