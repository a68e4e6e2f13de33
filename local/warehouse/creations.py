"""CREATE TABLE, VIEW and SCHEMA: new tables, views and datasets from statements."""

import uuid
from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp

from local.warehouse import errors, tables
from local.warehouse.catalog import Catalog, Ref, Resource, Table, now_ms
from local.warehouse.database import quoted
from local.warehouse.datasets import check_id, default_access, known_location
from local.warehouse.ddl_names import dataset_of, ref_of, statistics_of
from local.warehouse.declarations import column_options, dataset_options, field_of, layout, options
from local.warehouse.queries import Compiled, Outcome, check_cost, compile_select
from local.warehouse.references import Session
from local.warehouse.schema import Field, canonical
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, unsupported
from local.wire import CloudError

TEMPORARY_MS = 24 * 3_600_000  # https://cloud.google.com/bigquery/docs/multi-statement-queries#temporary_tables
COPIED = ("timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter", "description", "labels")


class Creations:
    """Runs CREATE.

    Args:
        check_view: finds the schema of a view's query.
    """

    def __init__(self, sizes: Sizes, check_view: Callable[[Catalog, Ref, str], list[Field]]) -> None:
        self._sizes, self._check_view = sizes, check_view

    def table(  # noqa: C901 (one branch per clause of CREATE TABLE)
        self, session: Session, tree: exp.Create, configuration: dict[str, Any]
    ) -> Outcome:
        """CREATE TABLE, also AS SELECT, LIKE and COPY."""
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        if any(isinstance(p, exp.ExternalProperty) for p in properties):
            raise unsupported("CREATE EXTERNAL TABLE")
        clone, like = tree.args.get("clone"), next((p for p in properties if isinstance(p, exp.LikeProperty)), None)
        if clone and not clone.args.get("copy"):
            raise unsupported("CREATE TABLE CLONE")
        columns = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
        temporary = any(isinstance(p, exp.TemporaryProperty) for p in properties)
        ref = self._temporary(session, tree) if temporary else ref_of(session, tree.this)
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
            kept = table.stored_columns if table.ingested == model.ingested else [f["name"] for f in fields]
            listed = ", ".join(quoted(name) for name in kept)
            session.catalog.cursor.execute(
                f"INSERT INTO {table.physical} ({listed}) SELECT {listed} FROM {model.physical}"
            )
        if select is not None:
            _fill(session, tree, table, select)
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

    def view(self, session: Session, tree: exp.Create, _configuration: dict[str, Any]) -> Outcome:
        """CREATE VIEW."""
        properties = list(tree.args["properties"].expressions) if tree.args.get("properties") else []
        if any(isinstance(p, exp.MaterializedProperty) for p in properties):
            raise unsupported("CREATE MATERIALIZED VIEW")
        ref = ref_of(session, tree.this)
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
        return statistics_of(kind, operation, ref), found

    def schema(self, session: Session, tree: exp.Create, _configuration: dict[str, Any]) -> Outcome:
        """CREATE SCHEMA."""
        project, dataset = dataset_of(session, tree)
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


def _fill(session: Session, tree: exp.Create, table: Table, select: Compiled) -> None:
    names = ", ".join(quoted(f["name"]) for f in table.fields)
    try:
        session.catalog.cursor.execute(f"INSERT INTO {table.physical} ({names}) {select.written}")
    except duckdb.Error as error:
        raise errors.of_query(error, tree) from error
