"""Options of DDL that are expressions, such as the time until which a table lives: their value takes their place."""

from typing import Any

from sqlglot import exp

from local.warehouse.queries import compile_select
from local.warehouse.references import Session
from local.warehouse.sizes import Sizes

PLAIN = (exp.Literal, exp.Boolean, exp.Null, exp.Array, exp.Tuple, exp.Struct)
TIMES = {"expiration_timestamp"}  # which the API holds as the milliseconds since 1970


def put(session: Session, tree: exp.Expr, sizes: Sizes) -> None:
    """Replace the options of a statement by what they come to.

    Raises:
        CloudError: 400 for one that is no valid expression.
    """
    for option in [p for p in tree.find_all(exp.Property) if type(p) is exp.Property]:
        value, name = option.args["value"], option.name.lower()
        if name in TIMES and not isinstance(value, exp.Null):
            value = exp.cast(exp.UnixMillis(this=exp.cast(value.copy(), exp.DType.TIMESTAMPTZ)), exp.DType.TEXT)
        if not isinstance(value, PLAIN):
            option.set("value", exp.convert(_evaluated(session, value, sizes)))


def _evaluated(session: Session, value: exp.Expr, sizes: Sizes) -> Any:
    compiled = compile_select(session, exp.select(exp.alias_(value.copy(), "value")), sizes)
    row = session.catalog.cursor.execute(compiled.sql).fetchone()
    return row[0] if row else None
