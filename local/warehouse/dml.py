"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE: rows changed in place, and how many."""

from collections import Counter
from typing import Any

import duckdb
from sqlglot import exp

from local.warehouse import errors
from local.warehouse.catalog import Table
from local.warehouse.database import quoted, text
from local.warehouse.pseudo_columns import name_dates
from local.warehouse.queries import Compiled, Outcome, check_cost, prepare
from local.warehouse.references import Session
from local.warehouse.schema import Field, find, mode_of, sql_type
from local.warehouse.sizes import Sizes
from local.warehouse.statements import duck, invalid, place_of, unsupported
from local.warehouse.types import kind

COUNTERS = {"INSERT": "insertedRowCount", "UPDATE": "updatedRowCount", "DELETE": "deletedRowCount"}
# What a value of one type may be stored into, besides its own: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
COERCES = {
    "INT64": {"NUMERIC", "BIGNUMERIC", "FLOAT64"},
    "NUMERIC": {"BIGNUMERIC", "FLOAT64"},
    "BIGNUMERIC": {"FLOAT64"},
    "DATE": {"DATETIME"},
    "DATETIME": {"DATE"},
}
LITERAL_TO = {"DATE", "TIMESTAMP", "DATETIME", "TIME", "BYTES", "JSON", "INTERVAL"}


def run(session: Session, tree: exp.Expr, sizes: Sizes, configuration: dict[str, Any]) -> Outcome:
    """Run one DML statement.

    Raises:
        CloudError: 400 or 404; nothing is changed then.
    """
    target = _target(tree)
    session.catalog.access.may(_name(tree), session.ref(target))
    table = _changeable(session, target)
    place_target(target, table)
    if table.ingested:
        name_dates(tree)
    if isinstance(tree, exp.Update | exp.Delete) and not tree.args.get("where"):
        raise invalid(f"{_name(tree)} must have a WHERE clause{place_of(target)}")
    if isinstance(tree, exp.TruncateTable):
        return _truncate(session, table)
    for assignment in (a for update in tree.find_all(exp.Update) for a in update.expressions):
        value = assignment.expression
        if isinstance(value, exp.Column) and value.sql().upper() == "DEFAULT":
            value.replace(exp.var("DEFAULT"))
    if isinstance(tree, exp.Insert):
        _check_insert(tree, table)
        _name_structs(tree, table)
    original = tree.copy()
    new, found, size = prepare(session, tree, sizes)
    read = [t for t in found if t.physical != table.physical] + ([] if isinstance(tree, exp.Insert) else [table])
    _check_types(original, tree, table)
    compiled = Compiled("", [], read, size)
    check_cost(compiled, configuration)
    try:
        counts = _execute(session, new, table)
    except duckdb.Error as error:
        raise errors.of_query(error, original) from error
    session.catalog.touch(table)
    statistics = compiled.statistics | _statistics(counts)
    del statistics["schema"]
    return Outcome({"statementType": _name(tree), **statistics})


def _name(tree: exp.Expr) -> str:
    return type(tree).__name__.upper()


def _target(tree: exp.Expr) -> exp.Table:
    if isinstance(tree, exp.Delete) and not tree.this and tree.args.get("tables"):
        tree.set("this", tree.args["tables"][0])  # DELETE without FROM
        tree.set("tables", None)
    target: Any = tree.expressions[0] if isinstance(tree, exp.TruncateTable) else tree.this
    target = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(target, exp.Table):
        raise unsupported(f"{_name(tree)} of {target.sql('bigquery') if target else 'nothing'}")
    return target


def _changeable(session: Session, target: exp.Table) -> Table:
    table = session.catalog.table(session.ref(target), location=session.location)
    if table.view is not None:
        raise invalid(f"Cannot change {table.ref}: it is a view{place_of(target)}")
    if table.physical is None:
        raise invalid(f"Table {table.ref} does not have a schema.")
    return table


def place_target(target: exp.Table, table: Table) -> None:
    """Make the target of a statement name its DuckDB table."""
    insert = isinstance(target.parent, exp.Insert | exp.Schema)
    if not target.alias and not insert:
        target.set("alias", exp.TableAlias(this=exp.to_identifier(table.ref.table, quoted=True)))
    target.set("this", exp.to_identifier(table.physical, quoted=True))
    target.set("db", None)
    target.set("catalog", None)
    target.meta["resolved"] = True
    if not insert:
        target.meta["table"] = table


def _truncate(session: Session, table: Table) -> Outcome:
    row = session.catalog.cursor.execute(f"DELETE FROM {table.physical}").fetchone()
    session.catalog.touch(table)
    counts = {"DELETE": int(row[0]) if row else 0}
    return Outcome({"statementType": "TRUNCATE_TABLE", "totalBytesProcessed": "0", **_statistics(counts)})


def _columns(tree: exp.Insert, table: Table) -> list[str]:
    if not isinstance(tree.this, exp.Schema):
        if table.ingested:
            fault = "Omitting INSERT target column list is unsupported for ingestion-time partitioned table"
            raise invalid(f"{fault} {table.ref}{place_of(tree)}")
        return [f["name"] for f in table.fields]
    names = [str(e.name) for e in tree.this.expressions]
    for name, node in zip(names, tree.this.expressions, strict=True):
        if find(table.fields, name) is None and name not in table.stored_columns:
            raise invalid(f"Column {name} is not present in table {table.ref}{place_of(node)}")
    missing = [
        f["name"]
        for f in table.fields
        if mode_of(f) == "REQUIRED"
        and "defaultValueExpression" not in f
        and not any(n.lower() == f["name"].lower() for n in names)
    ]
    if missing:
        raise invalid(f"Required column {missing[0]} is missing from the INSERT into {table.ref}")
    return names


def _check_insert(tree: exp.Insert, table: Table) -> None:
    names = _columns(tree, table)
    source = tree.expression
    widths = [len(t.expressions) for t in source.expressions] if isinstance(source, exp.Values) else []
    if isinstance(source, exp.Query) and not any(e.find(exp.Star) for e in source.selects):
        widths = [len(source.selects)]
    for width in widths:
        if width != len(names):
            fault = f"Inserted row has wrong column count; Has {width}, expected {len(names)}"
            raise invalid(f"{fault}{place_of(tree)}")


def _values(tree: exp.Insert, width: int) -> list[list[exp.Expr]]:
    """The expressions of each row that an INSERT writes out."""
    source = tree.expression
    if isinstance(source, exp.Values):
        return [t.expressions for t in source.expressions]
    if isinstance(source, exp.Select) and len(source.expressions) == width:
        return [[e.unalias() for e in source.expressions]]
    return []


def _name_structs(tree: exp.Insert, table: Table) -> None:
    """Name the fields of struct literals after the column: GoogleSQL matches them by position, DuckDB by name."""
    names = _columns(tree, table)
    for row in _values(tree, len(names)):
        for name, value in zip(names, row, strict=True):
            field = find(table.fields, name)
            if field is not None:
                _name_struct(value, field)


def _name_struct(value: exp.Expr, field: Field) -> None:
    for struct in value.expressions if isinstance(value, exp.Array) else [value]:
        inner = field.get("fields", [])
        if isinstance(struct, exp.Struct | exp.Tuple) and len(struct.expressions) == len(inner):
            plain = [v.expression if isinstance(v, exp.PropertyEQ) else v.unalias() for v in struct.expressions]
            for item, part in zip(plain, inner, strict=True):
                _name_struct(item, part)
            named = [
                exp.PropertyEQ(this=exp.to_identifier(f["name"], quoted=True), expression=v)
                for f, v in zip(inner, plain, strict=True)
            ]
            struct.replace(exp.Struct(expressions=named))


def _check_types(original: exp.Expr, tree: exp.Expr, table: Table) -> None:
    """Refuse what BigQuery would not coerce and DuckDB would."""
    if isinstance(tree, exp.Insert):
        names = _columns(tree, table)
        for name, value in (pair for row in _values(tree, len(names)) for pair in zip(names, row, strict=True)):
            _check_type(find(table.fields, name), value, "inserted into", original)
    for update in tree.find_all(exp.Update):
        for assignment in update.expressions:
            path = [str(p.name) for p in assignment.this.parts]
            field = find(table.fields, path[-1]) if len(path) == 1 or path[-2] == tree.this.alias else None
            _check_type(field, assignment.expression, "assigned to", original)


def _check_type(field: Field | None, value: exp.Expr, how: str, original: exp.Expr) -> None:
    has = kind(value)
    wanted = sql_type(field).split("<")[0] if field else None
    literal = isinstance(value, exp.Literal) and value.is_string and wanted in LITERAL_TO
    if field is None or has is None or wanted is None or has == wanted or wanted in COERCES.get(has, ()) or literal:
        return
    if isinstance(value, exp.Null) or (
        isinstance(value, exp.Literal) and has == "FLOAT64" and wanted in ("NUMERIC", "BIGNUMERIC")
    ):
        return
    fault = f"Value has type {has} which cannot be {how} column {field['name']}, which has type {wanted}"
    raise invalid(f"{fault}{place_of(original)}")


def _execute(session: Session, tree: exp.Expr, table: Table) -> dict[str, int]:
    cursor = session.catalog.cursor
    if isinstance(tree, exp.Merge):
        return _merge(cursor, tree, table)
    if isinstance(tree, exp.Update):
        _prepare_update(cursor, tree, table)
    row = cursor.execute(duck(tree)).fetchone()
    _check_arrays(cursor, table)
    return {_name(tree): int(row[0]) if row else 0}


def _check_arrays(cursor: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Fail, before it is committed, for an array with a NULL in it; one that is NULL is stored empty."""
    names = [f["name"] for f in table.fields if mode_of(f) == "REPEATED"]
    if names:
        counted = ", ".join(f"count(bq_whole({quoted(n)}, {text(n)}))" for n in names)
        cursor.execute(f"SELECT {counted} FROM {table.physical}")
    for name in (quoted(n) for n in names):
        # A stored array is never NULL.
        cursor.execute(f"UPDATE {table.physical} SET {name} = [] WHERE {name} IS NULL")


def _prepare_update(cursor: duckdb.DuckDBPyConnection, tree: exp.Update, table: Table) -> None:
    alias = tree.this.alias
    for assignment in tree.expressions:
        path = [str(p.name) for p in assignment.this.parts]
        path = path[1:] if len(path) > 1 and path[0].lower() == alias.lower() else path
        field = find(table.fields, path[0])
        if len(path) > 2 or (len(path) == 2 and (field is None or mode_of(field) == "REPEATED")):
            raise unsupported(f"UPDATE of the nested field {'.'.join(path)}; assign the whole STRUCT")
        if len(path) == 2:
            changed = exp.PropertyEQ(this=exp.to_identifier(path[1], quoted=True), expression=assignment.expression)
            whole = exp.column(path[0], table=alias, quoted=True)
            assignment.set("expression", exp.Anonymous(this="struct_update", expressions=[whole, changed]))
        assignment.set("this", exp.to_identifier(path[0], quoted=True))
    source, where = tree.args.get("from_"), tree.args.get("where")
    if source is not None:
        _check_matches(cursor, table, alias, source.this, where.this if where else exp.true())


def _check_matches(
    cursor: duckdb.DuckDBPyConnection, table: Table, alias: str, source: exp.Expr, condition: exp.Expr
) -> None:
    """Refuse a change of one row by several, where DuckDB would take any of them."""
    target = exp.alias_(exp.to_table(table.physical or ""), alias, table=True, quoted=True)
    rowid = exp.column("rowid", table=exp.to_identifier(alias, quoted=True))
    joined = exp.select("1").from_(target).join(source.copy(), on=condition.copy(), join_type="inner")
    if cursor.execute(duck(joined.group_by(rowid).having("count(*) > 1").limit(1))).fetchone():
        raise invalid("UPDATE/MERGE must match at most one source row for each target row")


def _merge(cursor: duckdb.DuckDBPyConnection, tree: exp.Merge, table: Table) -> dict[str, int]:
    source = tree.args["using"]
    matched = []
    for when in tree.args["whens"].expressions:
        _prepare_branch(when.args["then"], source.alias_or_name, table)
        if when.args.get("matched"):
            matched.append(when.args.get("condition") or exp.true())
    if matched:
        condition = exp.and_(tree.args["on"].copy(), exp.or_(*(m.copy() for m in matched)))
        _check_matches(cursor, table, tree.this.alias, source, condition)
    actions = cursor.execute(duck(tree) + " RETURNING merge_action").fetchall()
    _check_arrays(cursor, table)
    return dict(Counter(action for (action,) in actions))


def _prepare_branch(then: exp.Expr, source: str, table: Table) -> None:
    """Write out the columns that a branch of MERGE leaves unsaid."""
    every = exp.Tuple(expressions=[exp.column(f["name"], quoted=True) for f in table.fields])
    if isinstance(then, exp.Insert) and isinstance(then.this, exp.Var):  # INSERT ROW
        values = [exp.column(f["name"], table=source, quoted=True) for f in table.fields]
        then.set("this", every)
        then.set("expression", exp.Tuple(expressions=values))
    elif isinstance(then, exp.Insert) and then.this is None:
        then.set("this", every)
    if isinstance(then, exp.Update):
        for assignment in then.expressions:
            assignment.set("this", exp.to_identifier(assignment.this.name, quoted=True))


def _statistics(counts: dict[str, int]) -> dict[str, Any]:
    return {
        "numDmlAffectedRows": str(sum(counts.values())),
        "dmlStats": {COUNTERS[action]: str(count) for action, count in counts.items()},
    }
