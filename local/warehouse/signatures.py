"""Which types common functions, operators, conditions and casts take: GoogleSQL refuses others, DuckDB converts them.

Only what is certain is refused: literals, casts and columns. Does not own comparisons and common types (operators.py).
"""

from sqlglot import exp

from local.warehouse import bignumeric
from local.warehouse.comparisons import CERTAIN, NUMBERS
from local.warehouse.ordering import CHECKS
from local.warehouse.statements import invalid, place_of, unsupported
from local.warehouse.types import kind

TEXT, BOOL = {"STRING", "BYTES"}, {"BOOL"}
LENGTHS = NUMBERS | {"INTERVAL"}
NO_OPERAND = {"STRING", "BYTES", "BOOL", "JSON", "ARRAY", "STRUCT"}

# What their first argument may be: https://cloud.google.com/bigquery/docs/reference/standard-sql/functions-all
FIRST: dict[type[exp.Expr], set[str]] = {
    **dict.fromkeys(
        (
            exp.Upper, exp.Lower, exp.Length, exp.ByteLength, exp.Split, exp.Trim, exp.Replace, exp.Substring, exp.Pad,
            exp.Initcap, exp.Left, exp.Right, exp.Repeat, exp.Reverse, exp.StartsWith, exp.EndsWith, exp.StrPosition,
            exp.RegexpLike, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpReplace, exp.RegexpInstr, exp.Translate,
            exp.GroupConcat, exp.MD5Digest, exp.SHA, exp.SHA2Digest, exp.FarmFingerprint, exp.ToBase64, exp.Like,
        ),
        TEXT,
    ),
    **dict.fromkeys(
        (
            exp.Abs, exp.Round, exp.Ceil, exp.Floor, exp.Trunc, exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Sign, exp.Pow,
            exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.IsNan, exp.IsInf,
            exp.SafeDivide,
        ),
        NUMBERS,
    ),
    **dict.fromkeys((exp.Mod, exp.IntDiv), NUMBERS - {"FLOAT64"}),
    **dict.fromkeys((exp.Sum, exp.Avg, exp.Neg), LENGTHS),
    **dict.fromkeys((exp.CountIf, exp.LogicalOr, exp.LogicalAnd, exp.Not, exp.And, exp.Or, exp.If), BOOL),
    exp.ArraySize: {"ARRAY"},
    exp.DPipe: TEXT | {"ARRAY"},
}  # fmt: skip
# Those whose second argument is of the same types.
PAIRS = (
    exp.DPipe,
    exp.And,
    exp.Or,
    exp.Like,
    exp.StartsWith,
    exp.EndsWith,
    exp.Pow,
    exp.Mod,
    exp.IntDiv,
    exp.SafeDivide,
)
OPERATORS: dict[type[exp.Expr], str] = {
    exp.DPipe: "||", exp.Not: "NOT", exp.And: "AND", exp.Or: "OR", exp.Neg: "-", exp.Like: "LIKE", exp.Add: "+", exp.Sub: "-",
    exp.Mul: "*", exp.Div: "/",
}  # fmt: skip
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div)

JSON_FUNCTIONS = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONExtractArray, exp.JSONValueArray)

# What may be cast to what: https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
CASTS = {
    "INT64": {"STRING", "BOOL"} | NUMBERS,
    "FLOAT64": {"STRING"} | NUMBERS,
    "NUMERIC": {"STRING"} | NUMBERS,
    "BIGNUMERIC": {"STRING"} | NUMBERS,
    "BOOL": {"STRING", "BOOL", "INT64"},
    "BYTES": TEXT,
    "DATE": {"STRING", "DATE", "DATETIME", "TIMESTAMP"},
    "DATETIME": {"STRING", "DATE", "DATETIME", "TIME", "TIMESTAMP"},
    "TIMESTAMP": {"STRING", "DATE", "DATETIME", "TIME", "TIMESTAMP"},
    "TIME": {"STRING", "TIME"},
}

# Which parts of a date functions do not take, of a DATE or of anything; a TIMESTAMP has no months of one length.
CLOCK = {"HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"}
CALENDAR = {"WEEK", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"}
NO_PARTS: dict[type[exp.Expr], tuple[str | None, set[str]]] = {
    **dict.fromkeys((exp.DateAdd, exp.DateSub, exp.DateDiff, exp.DateTrunc, exp.Extract), ("DATE", CLOCK)),
    **dict.fromkeys((exp.TimestampAdd, exp.TimestampSub, exp.TimestampDiff), (None, CALENDAR)),
    **{t: (None, CALENDAR | {"DAY"}) for t in (exp.TimeAdd, exp.TimeSub, exp.TimeDiff, exp.TimeTrunc)},
}


def check(tree: exp.Expr) -> None:
    """Refuse a statement, whose types are annotated, for a type that GoogleSQL would not take.

    Raises:
        CloudError: 400 naming the function and the types.
    """
    for node in tree.walk():
        if type(node) in CHECKS:
            CHECKS[type(node)](node)
        bignumeric.check(node)
        if isinstance(node, JSON_FUNCTIONS):
            _check_path(node)
        if type(node) in FIRST:
            _check_arguments(node)
        elif type(node) in NO_PARTS:
            _check_part(node)
        elif isinstance(node, ARITHMETIC):
            _check_arithmetic(node)
        elif isinstance(node, exp.Cast):
            source, target = _certain(node.this), kind(node)
            if source in CASTS and target is not None and target not in CASTS[source]:
                raise invalid(f"Invalid cast from {source} to {target}{place_of(node)}")
        elif isinstance(node, exp.Where | exp.Having | exp.Qualify) and _certain(node.this) not in (None, "BOOL"):
            clause = type(node).__name__.upper()
            raise invalid(f"{clause} clause should return type BOOL, but returns {kind(node.this)}{place_of(node)}")


def _certain(node: exp.Expr | None) -> str | None:
    return kind(node) if isinstance(node, CERTAIN) else None


def _check_arguments(node: exp.Expr) -> None:
    if isinstance(node, exp.If) and isinstance(node.parent, exp.Case) and node.parent.args.get("this"):
        return  # CASE x WHEN y: compared, not a condition
    first = node.expressions[:1] if isinstance(node, exp.FarmFingerprint) else [node.this]
    given = [*first, *([node.expression] if isinstance(node, PAIRS) else [])]
    if any(_certain(a) not in {None, *FIRST[type(node)]} for a in given):
        raise _mismatch(node, given)


def _check_path(node: exp.Expr) -> None:
    path = node.args.get("expression")
    if isinstance(path, exp.Literal) and path.name.lower().startswith(("lax ", "strict ")):
        raise unsupported(f"the JSONPath mode of {path.name!r}{place_of(node)}")


def _check_part(node: exp.Expr) -> None:
    of, refused = NO_PARTS[type(node)]
    unit, value = (node.this, node.expression) if isinstance(node, exp.Extract) else (node.args.get("unit"), node.this)
    part = "WEEK" if isinstance(unit, exp.WeekStart) else unit.name.upper() if unit is not None else ""
    if part in refused and of in (None, _certain(value)):
        name = node.sql("bigquery").split("(")[0]
        raise invalid(f"{name} does not support the {part} date part{place_of(node)}")


def _check_arithmetic(node: exp.Binary) -> None:
    sides = [node.this, node.expression]
    wrong = [s for s in sides if _certain(s) in NO_OPERAND]
    # A text literal is taken for a time, never for a number.
    literal = any(isinstance(s, exp.Literal) and s.is_string for s in wrong)
    if wrong and not (literal and not any(kind(s) in NUMBERS for s in sides)):
        raise _mismatch(node, sides)


def _mismatch(node: exp.Expr, given: list[exp.Expr]) -> Exception:
    name = f"operator {OPERATORS[type(node)]}" if type(node) in OPERATORS else _function(node)
    types = ", ".join(kind(a) or "?" for a in given)
    return invalid(
        f"No matching signature for {name} for argument type{'s' * (len(given) > 1)}: {types}{place_of(node)}"
    )


def _function(node: exp.Expr) -> str:
    if isinstance(node, exp.If) and isinstance(node.parent, exp.Case):
        return "operator CASE"
    aggregate = "aggregate " if isinstance(node, exp.AggFunc) else ""
    return f"{aggregate}function {node.sql('bigquery').split('(')[0]}"
