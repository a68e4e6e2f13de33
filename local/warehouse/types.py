"""What type each expression of a statement has in GoogleSQL, as far as sqlglot can tell.

The types are read from a qualified copy and written onto the statement itself, which keeps its shape: a statement that
sqlglot cannot qualify just stays untyped, and DuckDB says what is wrong with it.
"""

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from local.warehouse.catalog import PARTITION_TIME, Table
from local.warehouse.schema import sql_type

NAMES = {
    exp.DType.BIGINT: "INT64", exp.DType.INT: "INT64", exp.DType.DOUBLE: "FLOAT64", exp.DType.FLOAT: "FLOAT64",
    exp.DType.DECIMAL: "NUMERIC", exp.DType.BIGDECIMAL: "BIGNUMERIC", exp.DType.TEXT: "STRING", exp.DType.VARCHAR: "STRING",
    exp.DType.VARBINARY: "BYTES", exp.DType.BINARY: "BYTES", exp.DType.BOOLEAN: "BOOL", exp.DType.DATE: "DATE",
    exp.DType.TIME: "TIME", exp.DType.DATETIME: "DATETIME", exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP", exp.DType.JSON: "JSON", exp.DType.INTERVAL: "INTERVAL", exp.DType.ARRAY: "ARRAY",
    exp.DType.STRUCT: "STRUCT",
}  # fmt: skip


# sqlglot does not know that TRUNC answers what it is given, or a FLOAT64 for whole numbers, as FLOOR does.
RULES = BigQuery.EXPRESSION_METADATA | {exp.Trunc: BigQuery.EXPRESSION_METADATA[exp.Floor]}


def kind(node: exp.Expr | None) -> str | None:
    """GoogleSQL's name of the type of an expression, None when it is not known."""
    if node is None or node.type is None:
        return None
    return NAMES.get(node.type.this)


def element(node: exp.Expr) -> exp.DataType | None:
    """The type of the elements of an array, None when it is not known."""
    if kind(node) != "ARRAY" or node.type is None or not node.type.expressions:
        return None
    found = node.type.expressions[0]
    return found if isinstance(found, exp.DataType) else None


def annotate(tree: exp.Expr, tables: Iterable[Table]) -> exp.Expr | None:
    """Write onto every expression its type, where it can be told.

    Returns:
        A copy in which every column names its table, None when sqlglot cannot make one.
    """
    for number, node in enumerate(tree.walk()):
        node.meta["number"] = number
    columns: dict[str, object] = {
        t.physical: {f["name"]: sql_type(f) for f in t.fields} | ({PARTITION_TIME: "TIMESTAMP"} if t.ingested else {})
        for t in tables
        if t.physical
    }
    schema = MappingSchema(columns, dialect="bigquery")
    try:
        copy = qualify(
            tree.copy(),
            dialect="bigquery",
            schema=schema,
            quote_identifiers=False,
            validate_qualify_columns=False,
            allow_partial_qualification=True,
        )
        annotate_types(copy, schema=schema, expression_metadata=RULES, dialect="bigquery")
    except (SqlglotError, KeyError, ValueError, AttributeError):
        return None
    types = {n.meta["number"]: n.type for n in copy.walk() if n.type is not None and "number" in n.meta}
    for node in tree.walk():
        known = None if isinstance(node, exp.DataType) else types.get(node.meta["number"])
        if known is not None and known.this != exp.DType.UNKNOWN:
            node.type = known
    _annotate_rows(tree, copy)
    _annotate_names(tree)
    return copy


def _annotate_names(tree: exp.Expr) -> None:
    """A name of the SELECT list in HAVING or QUALIFY has the type of what it names."""
    for clause in tree.find_all(exp.Having, exp.Qualify):
        items = clause.parent.expressions if isinstance(clause.parent, exp.Select) else []
        named = {item.alias.lower(): item.this.type for item in items if isinstance(item, exp.Alias)}
        for column in clause.find_all(exp.Column):
            if column.type is None and not column.table:
                column.type = named.get(column.name.lower())


def _annotate_rows(tree: exp.Expr, copy: exp.Expr) -> None:
    """Where a table's name stands for its rows, sqlglot puts a node of its own, which only its parent leads to."""
    rows = {n.parent.meta.get("number"): n for n in copy.find_all(exp.TableColumn) if n.parent is not None}
    for node in tree.walk() if rows else []:
        row = rows.get(node.meta["number"])
        column = node.args.get(row.arg_key or "") if row is not None else None
        if row is not None and isinstance(column, exp.Column):
            column.type = row.type
