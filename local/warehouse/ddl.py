"""CREATE, DROP and ALTER of tables, views and datasets: the catalogue changed by statements instead of by REST calls."""

from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp

from local.warehouse import errors, tables
from local.warehouse.catalog import Catalog, Ref, Resource, Table, now_ms
from local.warehouse.database import quoted
from local.warehouse.datasets import canonical_location, check_id, remove
from local.warehouse.queries import Outcome, check_cost, compile_select
from local.warehouse.references import Session
from local.warehouse.schema import Field, canonical, find, mode_of
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, unsupported
from local.wire import CloudError

TYPES = {
    exp.DType.BIGINT: "INTEGER", exp.DType.INT: "INTEGER", exp.DType.DOUBLE: "FLOAT", exp.DType.DECIMAL: "NUMERIC",
    exp.DType.BIGDECIMAL: "BIGNUMERIC", exp.DType.TEXT: "STRING", exp.DType.VARBINARY: "BYTES", exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DATE: "DATE", exp.DType.TIME: "TIME", exp.DType.DATETIME: "DATETIME", exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP", exp.DType.JSON: "JSON", exp.DType.INTERVAL: "INTERVAL", exp.DType.GEOGRAPHY: "GEOGRAPHY",
}  # fmt: skip
OPTIONS = {
    "description": "description", "friendly_name": "friendlyName", "labels": "labels",
    "require_partition_filter": "requirePartitionFilter", "expiration_timestamp": "expirationTime",
    "partition_expiration_days": "partition_expiration_days",
}  # fmt: skip


def _options(properties: list[exp.Expr]) -> Resource:
    found: Resource = {}
    for item in properties:
        if isinstance(item, exp.Property):
            name = str(item.this.name if isinstance(item.this, exp.Expr) else item.this).lower()
            if name not in OPTIONS:
                raise unsupported(f"the option {name}")
            found[OPTIONS[name]] = _constant(item.args["value"])
    if "labels" in found:
        found["labels"] = dict(found["labels"])
    return found


def _constant(node: exp.Expr) -> Any:
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else float(node.this) if "." in node.name else int(node.this)
    if isinstance(node, exp.Array | exp.Tuple | exp.Struct):
        return [_constant(e) for e in node.expressions]
    if isinstance(node, exp.Null):
        return None
    raise unsupported(f"an option with the value {node.sql('bigquery')}")


def field_of(node: exp.ColumnDef) -> Field:
    """The field of a column definition."""
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise invalid(f"Column {node.name} has no type")
    field = _typed(node.name, kind)
    for constraint in node.args.get("constraints") or []:
        what = constraint.args.get("kind")
        if isinstance(what, exp.NotNullColumnConstraint):
            field["mode"] = "REQUIRED"
        elif isinstance(what, exp.Properties):
            field |= {k: v for k, v in _options(what.expressions).items() if k == "description"}
        else:
            raise unsupported(f"the column constraint {constraint.sql('bigquery')}")
    return field


def _typed(name: str, kind: exp.DataType) -> Field:
    if kind.this == exp.DType.ARRAY:
        return _typed(name, kind.expressions[0]) | {"mode": "REPEATED"}
    field: Field = {"name": name, "mode": "NULLABLE"}
    if kind.this == exp.DType.STRUCT:
        return field | {"type": "RECORD", "fields": [field_of(f) for f in kind.expressions]}
    if kind.this not in TYPES:
        raise unsupported(f"the type {kind.sql('bigquery')} of column {name!r}")
    sizes = [str(p.name) for p in kind.expressions]
    field["type"] = TYPES[kind.this]
    if sizes:
        keys = ["maxLength"] if field["type"] in ("STRING", "BYTES") else ["precision", "scale"]
        field |= dict(zip(keys, sizes, strict=False))
    return field


def _layout(properties: list[exp.Expr]) -> Resource:
    """PARTITION BY and CLUSTER BY."""
    found: Resource = {}
    for item in properties:
        if isinstance(item, exp.PartitionedByProperty):
            found["timePartitioning"] = _partitioning(item.this)
        elif isinstance(item, exp.Cluster | exp.ClusterProperty):
            found["clustering"] = {"fields": [str(e.name) for e in item.expressions]}
        elif not isinstance(item, exp.Property | exp.TemporaryProperty):
            raise unsupported(item.sql("bigquery"))
    return found


def _partitioning(node: exp.Expr) -> Resource:
    node = node.expressions[0] if isinstance(node, exp.Tuple | exp.Schema) else node
    if isinstance(node, exp.Column | exp.Identifier):
        return {"type": "DAY", "field": node.name}
    if isinstance(node, exp.DateTrunc | exp.TimestampTrunc | exp.DatetimeTrunc):
        return {"type": str(node.args["unit"].name).upper(), "field": node.this.name}
    if isinstance(node, exp.Date | exp.TsOrDsToDate | exp.Cast) and isinstance(node.this, exp.Column):
        return {"type": "DAY", "field": node.this.name}
    raise unsupported(f"PARTITION BY {node.sql('bigquery')}")


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
        }
        handler = handlers.get((type(tree), what))
        if handler is None:
            raise unsupported(f"{type(tree).__name__.upper()} {what}")
        return handler(session, tree, configuration)

    def _create_table(self, session: Session, tree: exp.Create, configuration: dict[str, Any]) -> Outcome:
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        if any(isinstance(p, exp.TemporaryProperty) for p in properties):
            raise unsupported("CREATE TEMP TABLE")
        if tree.args.get("clone"):
            raise unsupported("CLONE and COPY")
        columns = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        ref = _ref(session, tree.this)
        kind = "CREATE_TABLE_AS_SELECT" if tree.expression is not None else "CREATE_TABLE"
        statistics, found = self._replaced(session, tree, ref, kind)
        if found is not None and statistics["ddlOperationPerformed"] == "SKIP":
            return Outcome(statistics)
        resource: Resource = _options(properties) | _layout(properties)
        days = resource.pop("partition_expiration_days", None)
        if days is not None:
            resource["timePartitioning"]["expirationMs"] = str(int(days * 86_400_000))
        fields = canonical([field_of(c) for c in columns if isinstance(c, exp.ColumnDef)])
        select = None
        if isinstance(tree.expression, exp.Query):
            select = compile_select(session, tree.expression, self._sizes)
            check_cost(select, configuration)
            fields = fields or select.fields
            statistics |= {k: v for k, v in select.statistics.items() if k != "schema"}
        like = tree.find(exp.LikeProperty)
        if like is not None:
            raise unsupported("CREATE TABLE LIKE")
        table = tables.create(session.catalog, ref, resource | {"schema": {"fields": fields}}, self._check_view)
        if select is not None:
            names = ", ".join(quoted(f["name"]) for f in fields)
            try:
                session.catalog.cursor.execute(f"INSERT INTO {table.physical} ({names}) {select.sql}")
            except duckdb.Error as error:
                raise errors.of_query(error, tree) from error
        return Outcome(statistics)

    def _create_view(self, session: Session, tree: exp.Create, _configuration: dict[str, Any]) -> Outcome:
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        if any(isinstance(p, exp.MaterializedProperty) for p in properties):
            raise unsupported("CREATE MATERIALIZED VIEW")
        ref = _ref(session, tree.this)
        statistics, found = self._replaced(session, tree, ref, "CREATE_VIEW")
        if found is not None and statistics["ddlOperationPerformed"] == "SKIP":
            return Outcome(statistics)
        query = tree.expression.sql("bigquery")
        body = _options(properties) | {"view": {"query": query, "useLegacySql": False}}
        tables.create(session.catalog, ref, body, self._check_view)
        return Outcome(statistics)

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
            given = tree.args.get("properties")
            location = given.find(exp.LocationProperty) if given else None
            resource = {
                "datasetReference": {"projectId": project, "datasetId": dataset},
                "creationTime": now,
                "lastModifiedTime": now,
                "location": canonical_location(location.this.name if location else session.location),
            }
            session.catalog.put_dataset(resource)
        return Outcome(
            {"statementType": "CREATE_SCHEMA", "ddlOperationPerformed": operation, "totalBytesProcessed": "0"}
        )

    def _drop(self, session: Session, tree: exp.Drop, _configuration: dict[str, Any]) -> Outcome:
        kind = str(tree.args["kind"]).upper()
        ref = _ref(session, tree.this)
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
        return Outcome(_statistics("ALTER_TABLE", "ALTER", table.ref))

    def _altered(self, session: Session, table: Table, action: exp.Expr) -> Table:
        if isinstance(action, exp.ColumnDef):
            new = canonical([field_of(action)])[0]
            if find(table.fields, new["name"]):
                if action.args.get("exists"):
                    return table
                raise invalid(f"Column already exists: {new['name']}")
            if mode_of(new) == "REQUIRED":
                raise invalid(f"Cannot add required columns to an existing table: {new['name']}")
            return self._with_fields(session, table, [*table.fields, new])
        if isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
            name = action.args["tables"][0].name
            field = find(table.fields, name)
            if field is None and action.args.get("exists"):
                return table
            if field is None:
                raise invalid(f"Column not found: {name}")
            session.catalog.cursor.execute(f"ALTER TABLE {table.physical} DROP COLUMN {quoted(field['name'])}")
            left = [f for f in table.fields if f is not field]
            return session.catalog.touch(table, schema={"fields": left})
        raise unsupported(f"ALTER TABLE {action.sql('bigquery')}")

    def _with_fields(self, session: Session, table: Table, fields: list[Field]) -> Table:
        resource = {**table.resource, "schema": {"fields": fields}}
        new = tables.reshaped(session.catalog, Table(table.ref, table.physical, resource), table.fields)
        return session.catalog.touch(new)


def _ref(session: Session, node: exp.Expr) -> Ref:
    table = node.this if isinstance(node, exp.Schema) else node
    if not isinstance(table, exp.Table):
        raise unsupported(f"the name {node.sql('bigquery')}")
    return session.ref(table)


def _dataset(session: Session, tree: exp.Expr) -> tuple[str, str]:
    node = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
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
