"""Default values of columns: GoogleSQL's expressions, which DuckDB fills in where a row leaves a column out."""

import duckdb
from sqlglot import exp

from local.warehouse.database import quoted
from local.warehouse.functions import rewrite
from local.warehouse.schema import Field
from local.warehouse.statements import duck, invalid, parse
from local.warehouse.types import annotate


def default_sql(field: Field) -> str:
    """The default value of a field as a DuckDB expression, NULL without one.

    Raises:
        CloudError: 400 for an expression that names columns or tables.
    """
    expression = field.get("defaultValueExpression")
    if not expression:
        return "NULL"
    tree = parse(f"SELECT {expression}")
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.find(exp.Column, exp.Table):
        raise invalid(f"Invalid default value expression {expression!r} of field {field['name']}")
    annotate(tree, [])
    return duck(rewrite(tree).expressions[0])


def set_defaults(cursor: duckdb.DuckDBPyConnection, physical: str, fields: list[Field]) -> None:
    """Give the columns of a DuckDB table their default values."""
    for field in fields:
        if field.get("defaultValueExpression"):
            change = f"ALTER COLUMN {quoted(field['name'])} SET DEFAULT {default_sql(field)}"
            cursor.execute(f"ALTER TABLE {physical} {change}")
