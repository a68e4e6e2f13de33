"""Dates and times: results of GoogleSQL's types, weeks from Sunday, whole units between timestamps."""

from sqlglot import exp

from local.warehouse.formats import parse_call, strftime_call
from local.warehouse.operators import zone
from local.warehouse.rewriting import call, cast, rule
from local.warehouse.statements import unsupported
from local.warehouse.types import kind


@rule(exp.DateAdd, exp.DateSub)
def _date_shift(node: exp.DateAdd) -> exp.Expr | None:
    target = kind(node.this)
    moved = cast(node.copy(), {"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}.get(target or "", "DATE"))
    return call("bq_in_calendar", moved)


@rule(exp.DateTrunc)
def _date_trunc(node: exp.DateTrunc) -> exp.Expr | None:
    target = {"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}.get(kind(node.this) or "", "DATE")
    return cast(node.copy(), target)


@rule(exp.TimestampDiff)
def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    # Whole units that fit between the two, where DATE_DIFF counts boundaries.
    return call("datesub", str(node.args["unit"].name).lower(), node.expression, node.this)


PARTS = {
    "DAYOFWEEK": "dayofweek", "DAYOFYEAR": "dayofyear", "ISOWEEK": "week", "ISOYEAR": "isoyear", "MILLISECOND": "millisecond",
    "MICROSECOND": "microsecond",
}  # fmt: skip


DAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")


@rule(exp.Datetime)
def _datetime(node: exp.Datetime) -> exp.Expr | None:
    second = node.args.get("expression")
    if second is not None and kind(second) == "STRING":
        moment = call("bq_timestamp", node.this) if kind(node.this) == "STRING" else cast(node.this, "TIMESTAMPTZ")
        return call("timezone", zone(second) if isinstance(second, exp.Literal) else second, moment)
    return call("bq_datetime", node.this) if second is None and kind(node.this) == "STRING" else None


@rule(exp.Timestamp)
def _timestamp(node: exp.Timestamp) -> exp.Expr | None:
    if kind(node.this) == "STRING" and node.args.get("zone"):
        return call("timezone", node.args["zone"], call("bq_datetime", node.this))
    return call("bq_timestamp", node.this) if kind(node.this) == "STRING" else None


@rule(exp.Extract)
def _extract(node: exp.Extract) -> exp.Expr | None:
    part = node.this.name.upper() if not isinstance(node.this, exp.WeekStart) else f"WEEK({node.this.name.upper()})"
    value = node.expression
    if part == "TIME" and kind(value) == "TIMESTAMP":
        return cast(call("timezone", "UTC", value), part)
    if part in ("DATE", "TIME"):
        return cast(value, part)
    if part == "DATETIME":
        return cast(value, "TIMESTAMP")
    if part.startswith("WEEK"):
        return call("bq_week", value, DAYS.index(part[5:-1]) if part != "WEEK" else 0)
    extracted = call("date_part", PARTS.get(part, part.lower()), value)
    if part == "DAYOFWEEK":
        return exp.paren(exp.Add(this=extracted, expression=exp.Literal.number(1)))
    divisor = {"MILLISECOND": 1000, "MICROSECOND": 1_000_000}.get(part)
    return exp.paren(exp.Mod(this=extracted, expression=exp.Literal.number(divisor))) if divisor else extracted


@rule(exp.TimeToStr)
def _time_to_str(node: exp.TimeToStr) -> exp.Expr:
    return strftime_call(node.this, node.args["format"], node.args.get("zone"))


@rule(exp.StrToDate, exp.StrToTime, exp.ParseDatetime, exp.ParseTime)
def _parse_time(node: exp.Expr) -> exp.Expr:
    target = {"StrToDate": "DATE", "StrToTime": "TIMESTAMPTZ", "ParseDatetime": "TIMESTAMP", "ParseTime": "TIME"}
    return parse_call(node.this, node.args["format"], target[type(node).__name__], node.args.get("zone"))


@rule(exp.CurrentDatetime)
def _current_datetime(node: exp.CurrentDatetime) -> exp.Expr:
    zone = node.this or exp.Literal.string("UTC")
    return call("timezone", zone.copy(), exp.CurrentTimestamp())


@rule(exp.CurrentTime)
def _current_time(node: exp.CurrentTime) -> exp.Expr:
    zone = node.this or exp.Literal.string("UTC")
    return cast(call("timezone", zone.copy(), exp.CurrentTimestamp()), "TIME")


@rule(exp.UnixToTime)
def _unix_to_time(node: exp.UnixToTime) -> exp.Expr:
    digits = int(node.args["scale"].name) if node.args.get("scale") else 0
    factor = cast(exp.Literal.number(10 ** (6 - digits)), "BIGINT")
    micros = exp.Mul(this=cast(node.this, "BIGINT"), expression=factor)
    return cast(call("make_timestamp", micros), "TIMESTAMPTZ")


@rule(exp.TsOrDsToTime, exp.Time)
def _time(node: exp.Time) -> exp.Expr | None:
    if kind(node.this) != "TIMESTAMP":
        return None
    return cast(call("timezone", node.args.get("zone") or exp.Literal.string("UTC"), node.this), "TIME")


@rule(exp.Interval)
def _interval(node: exp.Interval) -> None:
    if isinstance(node.args.get("unit"), exp.IntervalSpan):
        raise unsupported(f"{node.sql('bigquery')}; write a sum of intervals")


@rule(exp.TimeAdd, exp.TimeSub)
def _time_shift(node: exp.TimeAdd) -> exp.Expr:
    return cast(node.copy(), "TIME")


@rule(exp.TimeTrunc)
def _time_trunc(node: exp.TimeTrunc) -> exp.Expr:
    moment = exp.Add(this=cast(exp.Literal.string("1970-01-01"), "DATE"), expression=node.this)
    return cast(call("date_trunc", str(node.args["unit"].name).lower(), moment), "TIME")


@rule(exp.DateFromUnixDate)
def _date_from_unix_date(node: exp.DateFromUnixDate) -> exp.Expr:
    start = cast(exp.Literal.string("1970-01-01"), "DATE")
    return exp.paren(exp.Add(this=start, expression=cast(node.this, "INTEGER")))
