"""PIVOT and UNPIVOT: DuckDB has both, and names or orders their columns otherwise."""

from typing import cast

from sqlglot import exp

from local.warehouse.rewriting import rule
from local.warehouse.statements import place_of, unsupported


@rule(exp.Pivot)
def _pivot(node: exp.Pivot) -> None:
    source = cast(exp.Expr, node.parent)
    if len(source.args["pivots"]) != 1:
        raise unsupported("several PIVOT or UNPIVOT of one table")
    if node.args.get("unpivot"):
        names = [field.this for field in node.args["fields"]]
        shown = [exp.Star(except_=[n.copy() for n in names]), *(n.copy() for n in names)]
    else:
        node.set("columns", None)
        shown = [exp.Star(rename=_renamed(node))]
    if node.args.get("unpivot") or shown[0].args["rename"]:
        _select(node, source, shown)


def _select(node: exp.Pivot, source: exp.Expr, shown: list[exp.Expr]) -> None:
    alias = node.args.get("alias") or source.args.get("alias")
    node.set("alias", None)
    inner = exp.select(*shown).from_("source").subquery(alias.copy() if alias else None)
    source.replace(inner)
    inner.this.find(exp.Table).replace(source)  # itself, for what is in it is yet to be rewritten


def _renamed(node: exp.Pivot) -> list[exp.Expr]:
    """What to rename: of an aggregate `a` and a value `v` BigQuery makes the column a_v, and DuckDB v_a."""
    aliases = [a.alias for a in node.expressions]
    if len(aliases) > 1 and not all(aliases):
        raise unsupported(f"PIVOT with several aggregates, some without a name{place_of(node.expressions[0])}")
    renamed: list[exp.Expr] = []
    for value in [v for field in node.args["fields"] for v in field.expressions]:
        label = value.alias if isinstance(value, exp.PivotAlias) else _label(value, named=bool(aliases[0]))
        value.replace(exp.PivotAlias(this=value.unalias().copy(), alias=exp.to_identifier(label, quoted=True)))
        for alias in filter(None, aliases):
            column = exp.column(exp.to_identifier(f"{label}_{alias}", quoted=True))
            renamed.append(exp.alias_(column, f"{alias}_{label}", quoted=True))
    return renamed


def _label(value: exp.Expr, *, named: bool) -> str:
    """How a value stands in the name of its column: https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#rules_pivot_column."""
    if isinstance(value, exp.Literal) and (value.is_string or value.is_int):
        return value.name if value.is_string or named else f"_{value.name}"
    raise unsupported(f"PIVOT FOR ... IN {value.sql('bigquery')} without a name{place_of(value)}; write AS name")
