"""Running one statement: SELECT into a table, and what a query job reports of it.

DML is in dml.py, DDL in ddl.py, EXPORT DATA in exports.py. Works inside the caller's transaction.
"""

from dataclasses import dataclass, field
from typing import Any

import duckdb
from sqlglot import exp

from local.warehouse import aliases, errors, filters, signatures
from local.warehouse.arrays import name_fields
from local.warehouse.catalog import Ref, Table, now_ms
from local.warehouse.database import quoted, text
from local.warehouse.destinations import Destination
from local.warehouse.functions import rewrite
from local.warehouse.ordering import place_nan
from local.warehouse.paging import number
from local.warehouse.references import Session, resolve
from local.warehouse.schema import Field, field_of, mode_of
from local.warehouse.sizes import Sizes
from local.warehouse.statements import duck, invalid, name_columns
from local.warehouse.tables import with_rows
from local.warehouse.types import annotate
from local.wire import CloudError

RESULT_HOURS = 24  # https://cloud.google.com/bigquery/docs/cached-results
MINIMUM_BILLED = 10 << 20  # per query that reads a table: https://cloud.google.com/bigquery/pricing#on_demand_pricing


@dataclass
class Outcome:
    """What a statement did: `statistics.query` of its job, and the table that holds its rows, if it made any."""

    statistics: dict[str, Any] = field(default_factory=dict)
    result: Table | None = None


@dataclass(frozen=True)
class Compiled:
    """A statement ready to run: DuckDB's SQL, the schema of its rows, the tables and bytes it reads."""

    sql: str
    fields: list[Field]
    tables: list[Table]
    size: int

    @property
    def written(self) -> str:
        """The statement as its rows are written down: BigQuery refuses an array with a NULL there, and only there."""
        arrays = [f["name"] for f in self.fields if mode_of(f) == "REPEATED"]
        checked = ", ".join(f"bq_whole({quoted(a)}, {text(a)}) AS {quoted(a)}" for a in arrays)
        return f"SELECT * REPLACE ({checked}) FROM ({self.sql})" if arrays else self.sql

    @property
    def statistics(self) -> dict[str, Any]:
        """What is known of it before it runs."""
        billed = max(-(-self.size // (1 << 20)) << 20, MINIMUM_BILLED) if self.size else 0
        return {
            "totalBytesProcessed": str(self.size),
            "totalBytesBilled": str(billed),
            "totalBytesProcessedAccuracy": "PRECISE",
            "cacheHit": False,
            "referencedTables": [t.ref.resource for t in self.tables],
            "schema": {"fields": self.fields},
        }


def prepare(
    session: Session, tree: exp.Expr, sizes: Sizes, *, check_filters: bool = True
) -> tuple[exp.Expr, list[Table], int]:
    """Resolve, check and rewrite a statement.

    Args:
        check_filters: whether a table that requires a partition filter must have one.

    Returns:
        The statement in DuckDB's terms, the tables that it reads, and how many bytes of them.
    """
    found = resolve(session, tree)
    name_fields(tree)
    qualified = annotate(tree, found)
    signatures.check(tree)
    aliases.check(tree, qualified, found)
    place_nan(tree)
    conditions = filters.partition_conditions(tree) if check_filters else {}
    columns = filters.columns_read(qualified, found) if found else {}
    size = filters.bytes_read(session.catalog.cursor, sizes, tree, conditions, columns) if found else 0
    return rewrite(tree), found, size


def compile_select(session: Session, tree: exp.Query, sizes: Sizes, *, check_filters: bool = True) -> Compiled:
    """Turn a query into DuckDB's SQL and learn its schema, without running it.

    Raises:
        CloudError: 400 or 404, in BigQuery's words.
    """
    name_columns(tree)
    original = tree.copy()
    new, found, size = prepare(session, tree, sizes, check_filters=check_filters)
    sql = duck(new)
    try:
        relation = session.catalog.cursor.sql(sql)
        if relation is None:
            raise invalid("The statement has no result")
        fields = [field_of(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]
    except duckdb.Error as error:
        raise errors.of_query(error, original) from error
    _check_names(fields)
    return Compiled(sql, fields, found, size)


def _check_names(fields: list[Field]) -> None:
    names = [f["name"].lower() for f in fields]
    reserved = [f["name"] for f in fields if f["name"].upper().startswith("_PARTITION")]
    if reserved:
        raise invalid(
            f'Invalid field name "{reserved[0]}": names may not start with _PARTITION; give it another with AS'
        )
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        what = "Duplicate column names in the result are not supported."
        raise invalid(f"{what} Found duplicate(s): {', '.join(doubled)}")


def select(session: Session, tree: exp.Query, sizes: Sizes, configuration: dict[str, Any], job: str) -> Outcome:
    """Run a query into its destination, or into a table of its own that lives a day."""
    compiled = compile_select(session, tree, sizes)
    check_cost(compiled, configuration)
    catalog = session.catalog
    given = configuration.get("destinationTable")
    try:
        if given:
            target = Destination.of(configuration, session.project, write="WRITE_EMPTY")
            catalog.dataset(target.ref.project, target.ref.dataset, location=session.location)
            table = target.prepared(catalog, compiled.fields)
            target.append(catalog, table, [f["name"] for f in compiled.fields], compiled.written)
            table = catalog.table(table.ref)
        else:
            table = temporary(session, compiled, job)
            catalog.cursor.execute(f"INSERT INTO {table.physical} {compiled.written}")
    except duckdb.Error as error:
        raise errors.of_query(error, tree) from error
    return Outcome({"statementType": "SELECT", **compiled.statistics}, table)


def temporary(session: Session, compiled: Compiled, job: str) -> Table:
    """An empty table for the rows of a query that names no destination."""
    ref = Ref(session.project, "_" + "".join(c if c.isalnum() else "_" for c in session.caller), f"anon_{job}")
    now = now_ms()
    resource = {
        "tableReference": ref.resource,
        "type": "TABLE",
        "location": session.location,
        "schema": {"fields": compiled.fields},
        "creationTime": str(now),
        "lastModifiedTime": str(now),
        "expirationTime": str(now + RESULT_HOURS * 3_600_000),
    }
    return session.catalog.put_table(with_rows(session.catalog, Table(ref, None, resource)))


def check_cost(compiled: Compiled, configuration: dict[str, Any]) -> None:
    """Refuse a query that would be billed for more than `maximumBytesBilled`.

    Raises:
        CloudError: 400 `bytesBilledLimitExceeded`.
    """
    billed = int(compiled.statistics["totalBytesBilled"])
    limit = number(configuration, "maximumBytesBilled", billed)
    if limit < billed:
        fault = f"Query exceeded limit for bytes billed: {limit}. {billed} or higher required."
        raise CloudError(400, "bytesBilledLimitExceeded", fault)
