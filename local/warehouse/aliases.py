"""Names of the SELECT list where GoogleSQL does not see them: DuckDB takes them in WHERE, ON and beside each other.

Does not own names that nobody knows, which DuckDB refuses itself.
"""

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from local.warehouse.catalog import Table
from local.warehouse.statements import invalid, place_of


def check(tree: exp.Expr, qualified: exp.Expr | None, tables: Iterable[Table]) -> None:
    """Refuse such a name, where all the columns that it might mean instead are known.

    Args:
        qualified: the copy of the statement in which every column names its table.

    Raises:
        CloudError: 400 naming it.
    """
    if qualified is None or not isinstance(tree, exp.Query):
        return
    stored = {str(t.physical).lower(): [c.lower() for c in t.stored_columns] for t in tables}
    scopes = {s.expression.meta.get("number"): s for s in traverse_scope(qualified)}
    for select in tree.find_all(exp.Select):
        aliases = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
        scope = scopes.get(select.meta.get("number"))
        known = _columns(scope, stored) if aliases and scope is not None else None
        unseen = aliases - known if known is not None else set()
        for column in _columns_of(select) if unseen else []:
            if not column.table and column.name.lower() in unseen:
                raise invalid(f"Unrecognized name: {column.name}{place_of(column)}")


def _columns(scope: Scope, stored: dict[str, list[str]]) -> set[str] | None:
    """All names that a SELECT finds in its FROM clause, None when they cannot be told."""
    if scope.is_subquery or scope.is_udtf:
        return None
    found: set[str] = set()
    for source in scope.sources.values():
        if isinstance(source, Scope) and isinstance(source.expression, exp.Query):
            names = [name.lower() for name in source.expression.named_selects]
        elif isinstance(source, exp.Table) and source.name.lower() in stored:
            names = stored[source.name.lower()]
        else:
            return None
        holder = source.expression.parent if isinstance(source, Scope) else source
        if "*" in names or (holder is not None and holder.args.get("pivots")):
            return None
        found.update(names, (str(name).lower() for name in scope.sources))
    return found


def _columns_of(select: exp.Select) -> list[exp.Column]:
    """The columns in the SELECT list, in WHERE and in ON, without those of queries inside."""
    places = [
        *select.expressions,
        select.args.get("where"),
        *(j.args.get("on") for j in select.args.get("joins") or []),
    ]
    nodes = (n for place in places if place is not None for n in place.walk(prune=lambda n: isinstance(n, exp.Query)))
    return [node for node in nodes if isinstance(node, exp.Column)]
