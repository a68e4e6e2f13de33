"""Arrays, structs and aggregates: indexes that must exist, UNNEST with its fields and offsets, LIMIT inside an aggregate."""

from typing import cast as cast_to

from sqlglot import exp

from local.warehouse.comparisons import check_comparable, equal_structs, is_struct, read_literals, same_types
from local.warehouse.rewriting import call, cast, rule
from local.warehouse.statements import unsupported
from local.warehouse.types import element, kind


@rule(exp.Bracket)
def _bracket(node: exp.Bracket) -> exp.Expr | None:
    if len(node.expressions) != 1 or kind(node.this) in ("JSON", "STRUCT"):
        return None
    index = node.expressions[0]
    if index.is_string:
        return None  # a member of JSON
    if node.args.get("offset") == 1:
        index = exp.Sub(this=exp.paren(index), expression=exp.Literal.number(1))
    return call("bq_safe_at" if node.args.get("safe") else "bq_at", node.this, index)


def name_fields(tree: exp.Expr) -> None:
    """Give every field of a struct literal its name, those of an array's later elements, or a union's later rows, from the first one.

    Runs before types are annotated, so that the types of arrays of structs are known.
    """
    for struct in tree.find_all(exp.Struct):
        fields = []
        for number, value in enumerate(struct.expressions, 1):
            if isinstance(value, exp.PropertyEQ):
                fields.append(value)
                continue
            named = isinstance(value, exp.Column | exp.Dot | exp.Alias)
            name = value.alias_or_name if named else f"_field_{number}"
            identifier = exp.to_identifier(name, quoted=True)
            fields.append(exp.PropertyEQ(this=identifier, expression=value.unalias() if named else value))
        struct.set("expressions", fields)
    for array in tree.find_all(exp.Array):
        first = array.expressions[0] if array.expressions else None
        if isinstance(first, exp.Struct):
            array.set("expressions", [first, *(_like(first, item) for item in array.expressions[1:])])
    for union in tree.find_all(exp.SetOperation):
        for one, other in zip(union.left.selects, union.right.selects, strict=False):
            if isinstance(one.unalias(), exp.Struct) and isinstance(other.unalias(), exp.Struct):
                other.unalias().replace(_like(cast_to(exp.Struct, one.unalias()), other.unalias()))


def _like(first: exp.Struct, item: exp.Expr) -> exp.Expr:
    values = item.expressions if isinstance(item, exp.Tuple | exp.Struct) else []
    if len(values) != len(first.expressions):
        return item
    plain = [v.expression if isinstance(v, exp.PropertyEQ) else v for v in values]
    pairs = zip(first.expressions, plain, strict=True)
    return exp.Struct(expressions=[exp.PropertyEQ(this=f.this.copy(), expression=v.copy()) for f, v in pairs])


@rule(exp.ArrayFirst, exp.ArrayLast)
def _end_of_array(node: exp.ArrayFirst) -> exp.Expr:
    last = exp.Sub(this=call("len", node.this.copy()), expression=exp.Literal.number(1))
    return call("bq_at", node.this, 0 if isinstance(node, exp.ArrayFirst) else last)


@rule(exp.ArraySlice)
def _array_slice(node: exp.ArraySlice) -> exp.Expr:
    bounds = [node.args["start"], node.args["end"]]
    if not all(isinstance(b, exp.Literal) and b.is_int for b in bounds):
        raise unsupported("ARRAY_SLICE with bounds that are not literals from 0 on")
    return call("list_slice", node.this, *(int(b.name) + 1 for b in bounds))


@rule(exp.RangeBucket)
def _range_bucket(node: exp.RangeBucket) -> exp.Expr:
    return call("bq_range_bucket", node.this, node.expression)


@rule(exp.In)
def _in(node: exp.In) -> exp.Expr | None:
    same_types(node)
    check_comparable((kind(n) for n in (node.this, *node.expressions)), node)
    read_literals([node.this, *node.expressions])
    unnest = node.args.get("unnest")
    array = unnest.expressions[0] if isinstance(unnest, exp.Unnest) else None
    array = array.this if isinstance(array, exp.Cast) else array
    new: exp.Expr | None = None
    if isinstance(array, exp.Array) and array.expressions:
        new = exp.In(this=node.this, expressions=array.expressions)
    elif isinstance(array, exp.Array):
        return exp.false()
    items = (new or node).expressions
    if items and is_struct(node.this):
        tests = [equal_structs(exp.EQ(this=node.this, expression=item)) for item in items]
        return exp.paren(exp.or_(*tests, copy=False), copy=False)
    if kind(node.this) == "FLOAT64" and not all(isinstance(n, exp.Literal) for n in node.expressions or [node]):
        # For DuckDB a NaN is in a list with one.
        found = exp.and_(new or node.copy(), exp.not_(call("isnan", node.this.copy())), copy=False)
        return exp.paren(found, copy=False)
    return new


@rule(exp.Unnest)
def _unnest(node: exp.Unnest) -> exp.Expr | None:
    if isinstance(node.parent, exp.In) or len(node.expressions) != 1:
        return None
    array, alias, offset = node.expressions[0], node.args.get("alias"), node.args.get("offset")
    name = alias.columns[0] if isinstance(alias, exp.TableAlias) and alias.columns else None
    if name is None:
        implicit = array.name if isinstance(array, exp.Column | exp.Dot) and array.name else "f0_"
        name = exp.to_identifier(implicit, quoted=True)
    items = element(array)
    literal = isinstance(array, exp.Array) and bool(array.expressions) and isinstance(array.expressions[0], exp.Struct)
    struct = literal or (items is not None and items.this == exp.DType.STRUCT)
    join = node.parent
    if isinstance(join, exp.Join) and join.side and not join.args.get("on") and not join.args.get("using"):
        join.set("on", exp.true())  # GoogleSQL lets LEFT JOIN UNNEST do without
    unnested: exp.Expr = call("unnest", array)
    if struct:
        # Its fields become columns of a table of that name, so that `name.field`, `field` and `*` all work.
        unnested.append("expressions", exp.Kwarg(this=exp.var("max_depth"), expression=exp.Literal.number(2)))
    else:
        unnested = exp.alias_(unnested, name.copy())
    columns = [unnested]
    if offset:
        position = offset if isinstance(offset, exp.Identifier) else exp.to_identifier("offset", quoted=True)
        subscripts = call("generate_subscripts", array.copy(), 1)
        columns.append(
            exp.alias_(exp.Sub(this=cast(subscripts, "BIGINT"), expression=exp.Literal.number(1)), position.copy())
        )
    table = name.copy() if struct else exp.to_identifier(f"_{name.name}_row", quoted=True)
    return exp.Subquery(this=exp.select(*columns), alias=exp.TableAlias(this=table))


@rule(exp.ArrayConcat)
def _array_concat(node: exp.ArrayConcat) -> exp.Expr:
    joined: exp.Expr = node.this
    for more in node.expressions:
        joined = call("bq_array_concat", joined, more)
    return joined


@rule(exp.GenerateSeries, exp.GenerateDateArray, exp.GenerateTimestampArray)
def _series(node: exp.Expr) -> exp.Expr | None:
    """A step of 0 is an error; where it is there to see that it is not, nothing needs to be asked."""
    given = node.args.get("step")
    step = given.this if isinstance(given, exp.Interval) else given
    if isinstance(node, exp.GenerateSeries) and {"FLOAT64", "NUMERIC", "BIGNUMERIC"} & {kind(n) for n in _ends(node)}:
        raise unsupported("GENERATE_ARRAY of other numbers than INT64")
    if isinstance(node, exp.GenerateTimestampArray):
        for end in _ends(node):
            if kind(end) != "TIMESTAMP":
                end.replace(call("bq_timestamp", end.copy()))  # for DuckDB it would be one without a zone
    if step is not None and not (isinstance(step.unnest(), exp.Literal) and step.unnest().name.strip("0")):
        step.replace(call("bq_step", step.copy()))
    return None


def _ends(node: exp.Expr) -> list[exp.Expr]:
    found = [node.args.get(name) for name in ("start", "end", "step")]
    return [n for n in found if isinstance(n, exp.Expr) and not isinstance(n, exp.Interval)]


def _limited(node: exp.Expr) -> tuple[exp.Expr, exp.Expr | None]:
    """The argument of an aggregate without its LIMIT, and the LIMIT."""
    return (node.this, node.expression) if isinstance(node, exp.Limit) else (node, None)


def _value_of(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Order | exp.Distinct | exp.Limit):
        node = node.this if node.this is not None else node.expressions[0]
    return node.copy()


@rule(exp.IgnoreNulls)
def _ignore_nulls(node: exp.IgnoreNulls) -> exp.Expr | None:
    if not isinstance(node.this, exp.ArrayAgg | exp.Anonymous | exp.Bracket):
        return None
    found = node.find(exp.ArrayAgg)
    if found is None:
        return None
    present = exp.Not(this=exp.Is(this=_value_of(found.this), expression=exp.Null()))
    found.replace(exp.Filter(this=found.copy(), expression=exp.Where(this=present)))
    return node.this.copy()


@rule(exp.ArrayAgg)
def _array_agg(node: exp.ArrayAgg) -> exp.Expr | None:
    argument, limit = _limited(node.this)
    if limit is None:
        return None
    aggregate: exp.Expr = exp.ArrayAgg(this=argument.copy(), nulls_excluded=node.args.get("nulls_excluded"))
    return call("list_slice", aggregate, 1, limit.copy())


@rule(exp.GroupConcat)
def _string_agg(node: exp.GroupConcat) -> exp.Expr | None:
    argument, limit = _limited(node.this)
    if limit is None:
        return None
    present = exp.Not(this=exp.Is(this=_value_of(argument), expression=exp.Null()))
    listed = exp.Filter(this=exp.ArrayAgg(this=argument.copy()), expression=exp.Where(this=present))
    separator = node.args.get("separator") or exp.Literal.string(",")
    return call("array_to_string", call("list_slice", listed, 1, limit.copy()), separator.copy())


@rule(exp.ApproxTopK)
def _top_count(node: exp.ApproxTopK) -> exp.Expr:
    return call("bq_top_count", call("histogram", node.this), node.expression)


@rule(exp.ApproxQuantiles)
def _quantiles(node: exp.ApproxQuantiles) -> exp.Expr:
    try:
        parts = int(node.expression.name or node.expression.this.name)
    except (AttributeError, ValueError) as error:
        raise unsupported("APPROX_QUANTILES with a number that is not a literal") from error
    points: list[exp.Expr] = [exp.Literal.number(f"{i / parts!r}") for i in range(parts + 1)]
    # Exact, so that a rehearsal gives the same answer twice.
    return call("quantile_disc", node.this, exp.Array(expressions=points))
