"""ALTER TABLE and VIEW: columns added, renamed, relaxed, widened and dropped, options set, tables renamed."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local.warehouse import tables
from local.warehouse.catalog import Ref, Table
from local.warehouse.database import quoted
from local.warehouse.ddl_names import existing, ref_of, statistics_of
from local.warehouse.declarations import field_of, options
from local.warehouse.queries import Outcome
from local.warehouse.references import Session
from local.warehouse.schema import Field, canonical, find, mode_of
from local.warehouse.statements import invalid, unsupported
from local.wire import CloudError

WIDER = {"INTEGER": ("NUMERIC", "FLOAT"), "NUMERIC": ("FLOAT",)}  # what SET DATA TYPE may make of a type


def alter(session: Session, tree: exp.Alter, _configuration: dict[str, Any]) -> Outcome:
    """Run ALTER TABLE or VIEW, one action after the other."""
    table = session.catalog.table(ref_of(session, tree.this), location=session.location)
    if tree.meta.get("column"):
        table = _set_column(session, table, str(tree.meta["column"]), tree.args["actions"])
        return Outcome(statistics_of("ALTER_TABLE", "ALTER", table.ref))
    for action in tree.args.get("actions") or []:
        if type(action) not in ACTIONS:
            raise unsupported(f"ALTER TABLE {action.sql('bigquery')}")
        table = ACTIONS[type(action)](session, table, action)
    kind = str(tree.args["kind"]).upper()
    return Outcome(statistics_of(f"ALTER_{kind}", "ALTER", table.ref))


def _add(session: Session, table: Table, action: exp.ColumnDef) -> Table:
    new = canonical([field_of(action)])[0]
    if find(table.fields, new["name"]):
        if action.args.get("exists"):
            return table
        raise invalid(f"Column already exists: {new['name']}")
    if mode_of(new) == "REQUIRED":
        raise invalid(f"Cannot add required columns to an existing table: {new['name']}")
    return _with_fields(session, table, [*table.fields, new])


def _set(session: Session, table: Table, action: exp.AlterSet) -> Table:
    changes = options([p for properties in action.expressions if properties for p in properties.expressions])
    if "timePartitioning" in changes:
        changes["timePartitioning"] = {**table.resource.get("timePartitioning", {}), **changes["timePartitioning"]}
    return session.catalog.touch(table, **changes)


def _set_column(session: Session, table: Table, name: str, actions: list[exp.Expr]) -> Table:
    if len(actions) != 1 or not isinstance(actions[0], exp.AlterSet):
        raise unsupported("ALTER COLUMN ... SET OPTIONS with other actions in one statement")
    field = existing(table, name)
    given = [p for properties in actions[0].expressions if properties for p in properties.expressions]
    new = field | options(given, {"description": "description"})
    fields = [{k: v for k, v in new.items() if v is not None} if f is field else f for f in table.fields]
    return _with_fields(session, table, fields)


def _rename(session: Session, table: Table, action: exp.AlterRename) -> Table:
    ref = Ref(table.ref.project, table.ref.dataset, action.this.name)
    if session.catalog.find_table(ref):
        raise CloudError(409, "duplicate", f"Already Exists: Table {ref}")
    session.catalog.forget(table)
    return session.catalog.touch(Table(ref, table.physical, {**table.resource, "tableReference": ref.resource}))


def _change(session: Session, table: Table, action: exp.AlterColumn) -> Table:
    field = existing(table, action.this.name)
    new: Field | None = None
    if action.args.get("allow_null") and action.args.get("drop"):
        new = field | {"mode": "NULLABLE"}
    elif action.args.get("default") is not None:
        new = field | {"defaultValueExpression": action.args["default"].sql("bigquery")}
    elif action.args.get("drop") and not action.args.get("allow_null"):
        new = {k: v for k, v in field.items() if k != "defaultValueExpression"}
    elif action.args.get("dtype"):
        wider = canonical([field_of(exp.ColumnDef(this=action.this, kind=action.args["dtype"]))])[0]
        if wider["type"] in WIDER.get(field["type"], ()) and mode_of(field) == mode_of(wider):
            new = field | {k: wider[k] for k in ("type", "precision", "scale") if k in wider}
    if new is None:
        raise unsupported(f"ALTER TABLE {action.sql('bigquery')}")
    return _with_fields(session, table, [new if f is field else f for f in table.fields])


def _rename_column(session: Session, table: Table, action: exp.RenameColumn) -> Table:
    field, name = existing(table, action.this.name), action.args["to"].name
    if find(table.fields, name):
        raise invalid(f"Column already exists: {name}")
    change = f"RENAME COLUMN {quoted(field['name'])} TO {quoted(name)}"
    session.catalog.cursor.execute(f"ALTER TABLE {table.physical} {change}")
    renamed = [f | {"name": name} if f is field else f for f in table.fields]
    return session.catalog.touch(table, schema={"fields": renamed})


def _drop(session: Session, table: Table, action: exp.Drop) -> Table:
    if str(action.args.get("kind")).upper() != "COLUMN":
        raise unsupported(f"ALTER TABLE {action.sql('bigquery')}")
    name = action.args["tables"][0].name
    if action.args.get("exists") and find(table.fields, name) is None:
        return table
    field = existing(table, name)
    session.catalog.cursor.execute(f"ALTER TABLE {table.physical} DROP COLUMN {quoted(field['name'])}")
    return session.catalog.touch(table, schema={"fields": [f for f in table.fields if f is not field]})


def _with_fields(session: Session, table: Table, fields: list[Field]) -> Table:
    resource = {**table.resource, "schema": {"fields": fields}}
    new = tables.reshaped(session.catalog, Table(table.ref, table.physical, resource), table.fields)
    return session.catalog.touch(new)


ACTIONS: dict[type[exp.Expr], Callable[..., Table]] = {
    exp.ColumnDef: _add,
    exp.AlterSet: _set,
    exp.AlterRename: _rename,
    exp.AlterColumn: _change,
    exp.RenameColumn: _rename_column,
    exp.Drop: _drop,
}
