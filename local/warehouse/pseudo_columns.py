"""Columns that a query may name and `*` does not show: _TABLE_SUFFIX, _PARTITIONTIME and _PARTITIONDATE.

A table that has them is put into a query as a subquery that shows them.
"""

from typing import TYPE_CHECKING

from sqlglot import exp

from local.warehouse.catalog import PARTITION_TIME, Ref, Table
from local.warehouse.schema import Field, find
from local.warehouse.statements import invalid, unsupported

if TYPE_CHECKING:
    from local.warehouse.references import Session

SUFFIX, PARTITION_DATE = "_TABLE_SUFFIX", "_PARTITIONDATE"


def point(node: exp.Table, physical: str, name: str) -> None:
    """Make a table node name a DuckDB table, under the alias that the query knows it by."""
    if not node.alias:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(name.split(".")[-1], quoted=True)))
    node.set("this", exp.to_identifier(physical, quoted=True))
    node.set("db", None)
    node.set("catalog", None)
    node.meta["resolved"] = True


def open_wildcard(session: "Session", node: exp.Table, ref: Ref, found: list[Table]) -> None:
    """Put the tables with a prefix in place of `prefix*`: the columns of the newest, and _TABLE_SUFFIX.

    Raises:
        CloudError: 400 when there is none, or a view among them.
    """
    prefix = ref.table[:-1]
    session.catalog.dataset(ref.project, ref.dataset, location=session.location)
    tables = [t for t in session.catalog.tables(ref.project, ref.dataset) if t.ref.table.startswith(prefix)]
    if any(t.view is not None for t in tables):
        raise invalid(f"Views cannot be queried through prefix. Prefix: {ref}")
    tables = [t for t in tables if t.physical]
    if not tables:
        raise invalid(f"{ref} does not match any table.")
    newest = max(tables, key=lambda t: int(t.resource["creationTime"]))
    selects = [_one_of_many(t, newest.fields, t.ref.table.removeprefix(prefix)) for t in tables]
    for table in tables:
        session.catalog.access.read(table.ref)
    found += tables
    _hide(node, SUFFIX)
    _put_rows(node, exp.union(*selects, distinct=False, copy=False) if len(selects) > 1 else selects[0], f"{prefix}*")


def _one_of_many(table: Table, fields: list[Field], suffix: str) -> exp.Select:
    node = exp.Table(this=exp.to_identifier(table.ref.table, quoted=True))
    point(node, str(table.physical), table.ref.table)
    node.meta["table"] = table
    missing = [f["name"] for f in fields if find(table.fields, f["name"]) is None]
    columns = [
        exp.alias_(exp.Null() if f["name"] in missing else exp.column(f["name"], quoted=True), f["name"], quoted=True)
        for f in fields
    ]
    return exp.select(*columns, exp.alias_(exp.Literal.string(suffix), SUFFIX, quoted=True)).from_(node)


def _put_rows(node: exp.Table, rows: exp.Query, name: str) -> None:
    alias = exp.TableAlias(this=exp.to_identifier(node.alias or name, quoted=True))
    node.replace(exp.Subquery(this=rows, alias=alias, joins=node.args.get("joins")))


def _hide(node: exp.Table, column: str) -> None:
    """Leave a pseudo column out of every `*` that shows the table."""
    select = node.find_ancestor(exp.Select)
    for star in [
        s for item in (select.expressions if select else []) for s in (item, item.this) if isinstance(s, exp.Star)
    ]:
        hidden = star.args.get("except_") or []
        if column not in [h.name for h in hidden]:
            star.set("except_", [*hidden, exp.to_identifier(column, quoted=True)])


def open_ingested(node: exp.Table, table: Table) -> None:
    """Put the rows of a table partitioned by ingestion time in place of its name, with _PARTITIONTIME if it is asked for."""
    shown = [exp.column(f["name"], quoted=True) for f in table.fields]
    if name_dates(node.root()):
        whole = (node.alias or table.ref.table).lower()
        if any(c.name.lower() == whole and not c.table for c in node.root().find_all(exp.Column)):
            raise unsupported(f"{PARTITION_TIME} beside whole rows of {whole!r}")
        shown.append(exp.column(PARTITION_TIME, quoted=True))
        _hide(node, PARTITION_TIME)
    inner = exp.Table(this=exp.to_identifier(table.ref.table, quoted=True))
    point(inner, str(table.physical), table.ref.table)
    inner.meta["table"] = table
    _put_rows(node, exp.select(*shown).from_(inner), table.ref.table)


def name_dates(tree: exp.Expr) -> bool:
    """Write _PARTITIONDATE as the date that it is; answers whether a statement asks for the time of partitions."""
    asked = False
    for column in list(tree.find_all(exp.Column)):
        asked |= column.name.upper() == PARTITION_TIME
        if column.name.upper() == PARTITION_DATE:
            asked = True
            time = exp.column(PARTITION_TIME, table=column.args.get("table"), quoted=True)
            date: exp.Expr = exp.Cast(this=time, to=exp.DataType.build("DATE"))
            shown = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
            column.replace(exp.alias_(date, PARTITION_DATE, quoted=True) if shown else date)
    return asked
