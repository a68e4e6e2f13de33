"""CREATE, DROP and ALTER of tables, views and datasets: the catalogue changed by statements instead of by REST calls."""

import uuid
from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp

from local.warehouse import errors, tables
from local.warehouse.catalog import Catalog, Ref, Resource, Table, now_ms
from local.warehouse.database import quoted
from local.warehouse.datasets import check_id, default_access, known_location, remove
from local.warehouse.declarations import column_options, dataset_options, field_of, layout, options
from local.warehouse.queries import Outcome, check_cost, compile_select
from local.warehouse.references import Session
from local.warehouse.schema import Field, canonical, find, mode_of
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, unsupported
from local.wire import CloudError

TEMPORARY_MS = 24 * 3_600_000  # https://cloud.google.com/bigquery/docs/multi-statement-queries#temporary_tables
COPIED = ("timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter", "description", "labels")
WIDER = {"INTEGER": ("NUMERIC", "FLOAT"), "NUMERIC": ("FLOAT",)}  # what SET DATA TYPE may make of a type
REFUSED: dict[type[exp.Expr], str] = {
    exp.ExternalProperty: "CREATE EXTERNAL TABLE",
}


class Definitions:
    """Runs DDL statements.

    Args:
        check_view: finds the schema of a view's query.
    """

    def __init__(self, sizes: Sizes, check_view: Callable[[Catalog, Ref, str], list[Field]]) -> None:
        self._sizes, self._check_view = sizes, check_view

    def run(self, session: Session, tree: exp.Expr, configuration: dict[str, Any]) -> Outcome:
        """Run one statement.

        Raises:
            CloudError: nothing is changed then.
        """
        what = str(tree.args.get("kind") or "").upper()
        handlers: dict[tuple[type[exp.Expr], str], Callable[..., Outcome]] = {
            (exp.Create, "TABLE"): self._create_table,
            (exp.Create, "VIEW"): self._create_view,
            (exp.Create, "SCHEMA"): self._create_schema,
            (exp.Drop, "TABLE"): self._drop,
            (exp.Drop, "VIEW"): self._drop,
            (exp.Drop, "SCHEMA"): self._drop_schema,
            (exp.Alter, "TABLE"): self._alter,
            (exp.Alter, "VIEW"): self._alter,
        }
        handler = handlers.get((type(tree), what))
        if handler is None:
            raise unsupported(f"{type(tree).__name__.upper()} {what}")
        _check(session, tree, what)
        return handler(session, tree, configuration)

    def _create_table(  # noqa: C901 (one branch per clause of CREATE TABLE)
        self, session: Session, tree: exp.Create, configuration: dict[str, Any]
    ) -> Outcome:
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        for kind, construct in REFUSED.items():
            if any(isinstance(p, kind) for p in properties):
                raise unsupported(construct)
        clone, like = tree.args.get("clone"), next((p for p in properties if isinstance(p, exp.LikeProperty)), None)
        if clone and not clone.args.get("copy"):
            raise unsupported("CREATE TABLE CLONE")
        columns = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        temporary = any(isinstance(p, exp.TemporaryProperty) for p in properties)
        ref = self._temporary(session, tree) if temporary else _ref(session, tree.this)
        statement = "CREATE_TABLE_AS_SELECT" if tree.expression is not None else "CREATE_TABLE"
        statistics, found = self._replaced(session, tree, ref, statement)
        if found is not None and statistics["ddlOperationPerformed"] == "SKIP":
            return Outcome(statistics)
        resource = options(properties)
        if temporary:
            resource["expirationTime"] = str(now_ms() + TEMPORARY_MS)
        for key, value in layout(properties).items():
            resource[key] = {**value, **resource.get(key, {})}
        fields = canonical([field_of(c) for c in columns if isinstance(c, exp.ColumnDef)])
        source = clone or like
        if source:
            session.catalog.access.may("copy" if clone else "like", session.ref(source.this))
        model = session.catalog.table(session.ref(source.this), location=session.location) if source else None
        if model is not None:
            resource = {k: model.resource[k] for k in COPIED if k in model.resource} | resource
            fields = model.fields
        select = None
        if isinstance(tree.expression, exp.Query):
            time = resource.get("timePartitioning")
            if time and not time.get("field"):
                raise invalid("PARTITION BY _PARTITIONDATE or _PARTITIONTIME cannot be used with AS query_statement")
            select = compile_select(session, tree.expression, self._sizes)
            check_cost(select, configuration)
            fields = fields or select.fields
            statistics |= {k: v for k, v in select.statistics.items() if k != "schema"}
        table = tables.create(session.catalog, ref, resource | {"schema": {"fields": fields}}, self._check_view)
        if clone and model is not None:
            names = ", ".join(
                quoted(n)
                for n in (table.stored_columns if table.ingested == model.ingested else [f["name"] for f in fields])
            )
            session.catalog.cursor.execute(
                f"INSERT INTO {table.physical} ({names}) SELECT {names} FROM {model.physical}"
            )
        if select is not None:
            names = ", ".join(quoted(f["name"]) for f in fields)
            try:
                session.catalog.cursor.execute(f"INSERT INTO {table.physical} ({names}) {select.written}")
            except duckdb.Error as error:
                raise errors.of_query(error, tree) from error
        return Outcome(statistics)

    @staticmethod
    def _temporary(session: Session, tree: exp.Create) -> Ref:
        """A name for a temporary table, in a hidden dataset; the script knows it by the short one."""
        name = (tree.this.this if isinstance(tree.this, exp.Schema) else tree.this).name
        hidden = f"_script_{str(session.location).replace('-', '_').lower()}"
        if session.catalog.find_dataset(session.project, hidden) is None:
            now = str(now_ms())
            reference = {"projectId": session.project, "datasetId": hidden}
            times = {"creationTime": now, "lastModifiedTime": now}
            session.catalog.put_dataset({"datasetReference": reference, "location": session.location, **times})
        if name not in session.temporary:
            session.temporary[name] = Ref(session.project, hidden, f"{name}_{uuid.uuid4().hex}")
        return session.temporary[name]

    def _create_view(self, session: Session, tree: exp.Create, _configuration: dict[str, Any]) -> Outcome:
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        if any(isinstance(p, exp.MaterializedProperty) for p in properties):
            raise unsupported("CREATE MATERIALIZED VIEW")
        ref = _ref(session, tree.this)
        statistics, found = self._replaced(session, tree, ref, "CREATE_VIEW")
        if found is not None and statistics["ddlOperationPerformed"] == "SKIP":
            return Outcome(statistics)
        query = self._with_names(session, tree, ref)
        body = options(properties) | {"view": {"query": query, "useLegacySql": False}}
        view = tables.create(session.catalog, ref, body, self._check_view)
        given = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        told = [column_options(c) if isinstance(c, exp.ColumnDef) else {} for c in given]
        if any(told):
            fields = [field | more for field, more in zip(view.fields, told, strict=True)]
            session.catalog.touch(view, schema={"fields": fields})
        return Outcome(statistics)

    def _with_names(self, session: Session, tree: exp.Create, ref: Ref) -> str:
        """The query of a view, under the names of columns that CREATE VIEW gives: the API has no other place for them."""
        query = str(tree.meta["query"])
        given = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        if not given:
            return query
        fields = self._check_view(session.catalog, ref, query)
        if len(fields) != len(given):
            raise invalid(f"The view has {len(given)} columns, but its query {len(fields)}: {ref}")
        names = ", ".join(f"`{f['name']}` AS `{new.name}`" for f, new in zip(fields, given, strict=True))
        return f"SELECT {names} FROM (\n{query}\n)"

    def _replaced(self, session: Session, tree: exp.Create, ref: Ref, kind: str) -> tuple[Resource, Table | None]:
        """What becomes of a table that has the name already."""
        found = session.catalog.find_table(ref)
        operation = "CREATE"
        session.catalog.dataset(ref.project, ref.dataset, location=session.location)
        if found is not None:
            if tree.args.get("exists"):
                operation = "SKIP"
            elif tree.args.get("replace"):
                operation = "REPLACE"
                session.catalog.drop_table(found)
            else:
                raise CloudError(409, "duplicate", f"Already Exists: Table {ref}")
        return _statistics(kind, operation, ref), found

    def _create_schema(self, session: Session, tree: exp.Create, _configuration: dict[str, Any]) -> Outcome:
        project, dataset = _dataset(session, tree)
        check_id(dataset)
        operation = "CREATE"
        if session.catalog.find_dataset(project, dataset):
            if not tree.args.get("exists"):
                raise CloudError(409, "duplicate", f"Already Exists: Dataset {project}:{dataset}")
            operation = "SKIP"
        else:
            now = str(now_ms())
            given = tree.args["properties"].expressions if tree.args.get("properties") else []
            location = next((p.this.name for p in given if isinstance(p, exp.LocationProperty)), session.location)
            resource = {
                **dataset_options(given),
                "datasetReference": {"projectId": project, "datasetId": dataset},
                "access": default_access(session.caller),
                "type": "DEFAULT",
                "creationTime": now,
                "lastModifiedTime": now,
                "location": known_location(location),
            }
            session.catalog.put_dataset(resource)
        return Outcome(
            {"statementType": "CREATE_SCHEMA", "ddlOperationPerformed": operation, "totalBytesProcessed": "0"}
        )

    def _drop(self, session: Session, tree: exp.Drop, _configuration: dict[str, Any]) -> Outcome:
        kind = str(tree.args["kind"]).upper()
        ref = _ref(session, _dropped(tree))
        found = session.catalog.find_table(ref)
        if found is None:
            if not tree.args.get("exists"):
                session.catalog.table(ref, location=session.location)
            return Outcome(_statistics(f"DROP_{kind}", "SKIP", ref))
        if (found.view is not None) != (kind == "VIEW"):
            raise invalid(f"Cannot drop {found.ref} with DROP {kind}: it is a {found.resource['type'].lower()}")
        session.catalog.drop_table(found)
        return Outcome(_statistics(f"DROP_{kind}", "DROP", ref))

    def _drop_schema(self, session: Session, tree: exp.Drop, _configuration: dict[str, Any]) -> Outcome:
        project, dataset = _dataset(session, tree)
        operation = "DROP"
        if tree.args.get("exists") and session.catalog.find_dataset(project, dataset) is None:
            operation = "SKIP"
        else:
            remove(session.catalog, project, dataset, "true" if tree.args.get("cascade") else None)
        return Outcome({"statementType": "DROP_SCHEMA", "ddlOperationPerformed": operation, "totalBytesProcessed": "0"})

    def _alter(self, session: Session, tree: exp.Alter, _configuration: dict[str, Any]) -> Outcome:
        table = session.catalog.table(_ref(session, tree.this), location=session.location)
        for action in tree.args.get("actions") or []:
            table = self._altered(session, table, action)
        kind = str(tree.args["kind"]).upper()
        return Outcome(_statistics(f"ALTER_{kind}", "ALTER", table.ref))

    def _altered(  # noqa: C901 (one branch per action of ALTER TABLE)
        self, session: Session, table: Table, action: exp.Expr
    ) -> Table:
        if isinstance(action, exp.ColumnDef):
            new = canonical([field_of(action)])[0]
            if find(table.fields, new["name"]):
                if action.args.get("exists"):
                    return table
                raise invalid(f"Column already exists: {new['name']}")
            if mode_of(new) == "REQUIRED":
                raise invalid(f"Cannot add required columns to an existing table: {new['name']}")
            return self._with_fields(session, table, [*table.fields, new])
        if isinstance(action, exp.AlterSet):
            changes = options([p for properties in action.expressions for p in properties.expressions])
            if "timePartitioning" in changes:
                changes["timePartitioning"] = {
                    **table.resource.get("timePartitioning", {}),
                    **changes["timePartitioning"],
                }
            return session.catalog.touch(table, **changes)
        if isinstance(action, exp.AlterRename):
            return self._renamed(session, table, action.this.name)
        if isinstance(action, exp.AlterColumn) and action.args.get("allow_null") and action.args.get("drop"):
            _existing(table, action.this.name)
            relaxed = [
                f | {"mode": "NULLABLE"} if f["name"].lower() == action.this.name.lower() else f for f in table.fields
            ]
            return self._with_fields(session, table, relaxed)
        if isinstance(action, exp.AlterColumn) and action.args.get("dtype"):
            field = _existing(table, action.this.name)
            wider = canonical([field_of(exp.ColumnDef(this=action.this, kind=action.args["dtype"]))])[0]
            if wider["type"] in WIDER.get(field["type"], ()) and mode_of(field) == mode_of(wider):
                new = field | {k: wider[k] for k in ("type", "precision", "scale") if k in wider}
                return self._with_fields(session, table, [new if f is field else f for f in table.fields])
        if isinstance(action, exp.RenameColumn):
            field, name = _existing(table, action.this.name), action.args["to"].name
            if find(table.fields, name):
                raise invalid(f"Column already exists: {name}")
            change = f"RENAME COLUMN {quoted(field['name'])} TO {quoted(name)}"
            session.catalog.cursor.execute(f"ALTER TABLE {table.physical} {change}")
            return session.catalog.touch(
                table, schema={"fields": [f | {"name": name} if f is field else f for f in table.fields]}
            )
        if isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
            name = action.args["tables"][0].name
            if action.args.get("exists") and find(table.fields, name) is None:
                return table
            field = _existing(table, name)
            session.catalog.cursor.execute(f"ALTER TABLE {table.physical} DROP COLUMN {quoted(field['name'])}")
            left = [f for f in table.fields if f is not field]
            return session.catalog.touch(table, schema={"fields": left})
        raise unsupported(f"ALTER TABLE {action.sql('bigquery')}")

    def _renamed(self, session: Session, table: Table, name: str) -> Table:
        ref = Ref(table.ref.project, table.ref.dataset, name)
        if session.catalog.find_table(ref):
            raise CloudError(409, "duplicate", f"Already Exists: Table {ref}")
        session.catalog.forget(table)
        return session.catalog.touch(Table(ref, table.physical, {**table.resource, "tableReference": ref.resource}))

    def _with_fields(self, session: Session, table: Table, fields: list[Field]) -> Table:
        resource = {**table.resource, "schema": {"fields": fields}}
        new = tables.reshaped(session.catalog, Table(table.ref, table.physical, resource), table.fields)
        return session.catalog.touch(new)


def _check(session: Session, tree: exp.Expr, what: str) -> None:
    """Refuse who may not; a temporary table is its script's own.

    Raises:
        CloudError: 403.
    """
    action = f"{type(tree).__name__.upper()} {'OR REPLACE ' if tree.args.get('replace') else ''}{what}"
    if what == "SCHEMA":
        session.catalog.access.may_in_dataset(action, *_dataset(session, tree))
    elif not tree.find(exp.TemporaryProperty):
        named = _dropped(tree) if isinstance(tree, exp.Drop) else tree.this
        session.catalog.access.may(action, _ref(session, named))


def _dropped(tree: exp.Drop) -> exp.Expr:
    named = [tree.this] if tree.this is not None else tree.args.get("tables") or []
    if len(named) != 1:
        raise unsupported("DROP of several names at once")
    found: exp.Expr = named[0]
    return found


def _ref(session: Session, node: exp.Expr) -> Ref:
    table = node.this if isinstance(node, exp.Schema) else node
    if not isinstance(table, exp.Table):
        raise unsupported(f"the name {node.sql('bigquery')}")
    return session.ref(table)


def _existing(table: Table, column: str) -> Field:
    field = find(table.fields, column)
    if field is None:
        raise invalid(f"Column not found: {column} in table {table.ref}")
    return field


def _dataset(session: Session, tree: exp.Expr) -> tuple[str, str]:
    node = _dropped(tree) if isinstance(tree, exp.Drop) else tree.this
    node = node.this if isinstance(node, exp.Schema) else node
    parts = [p.name for p in node.parts if p.name] if isinstance(node, exp.Table) else [node.name]
    return (parts[-2] if len(parts) > 1 else session.project), parts[-1]


def _statistics(kind: str, operation: str, ref: Ref) -> Resource:
    return {
        "statementType": kind,
        "ddlOperationPerformed": operation,
        "ddlTargetTable": ref.resource,
        "totalBytesProcessed": "0",
        "totalBytesBilled": "0",
        "cacheHit": False,
    }
