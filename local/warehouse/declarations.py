"""Columns, options and partitioning as DDL writes them, turned into the properties of the API's resources."""

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from local.warehouse.catalog import Resource
from local.warehouse.schema import Field
from local.warehouse.statements import invalid, unsupported

TYPES = {
    exp.DType.BIGINT: "INTEGER", exp.DType.INT: "INTEGER", exp.DType.DOUBLE: "FLOAT", exp.DType.DECIMAL: "NUMERIC",
    exp.DType.BIGDECIMAL: "BIGNUMERIC", exp.DType.TEXT: "STRING", exp.DType.VARBINARY: "BYTES", exp.DType.BINARY: "BYTES", exp.DType.BOOLEAN: "BOOLEAN",
    exp.DType.DATE: "DATE", exp.DType.TIME: "TIME", exp.DType.DATETIME: "DATETIME", exp.DType.TIMESTAMP: "DATETIME",
    exp.DType.TIMESTAMPTZ: "TIMESTAMP", exp.DType.JSON: "JSON", exp.DType.INTERVAL: "INTERVAL", exp.DType.GEOGRAPHY: "GEOGRAPHY",
}  # fmt: skip
OPTIONS = {
    "description": "description", "friendly_name": "friendlyName", "labels": "labels",
    "require_partition_filter": "requirePartitionFilter", "expiration_timestamp": "expirationTime",
    "partition_expiration_days": "partition_expiration_days",
}  # fmt: skip
DATASET_OPTIONS = {
    "description": "description", "friendly_name": "friendlyName", "labels": "labels",
    "default_table_expiration_days": "defaultTableExpirationMs", "max_time_travel_hours": "maxTimeTravelHours",
    "default_partition_expiration_days": "defaultPartitionExpirationMs", "storage_billing_model": "storageBillingModel",
}  # fmt: skip
PSEUDO = ("_PARTITIONDATE", "_PARTITIONTIME")
DAY_MS = 86_400_000


def options(properties: list[exp.Expr], known: Mapping[str, str] = OPTIONS) -> Resource:
    """OPTIONS of a statement as properties of a resource."""
    found: Resource = {}
    for item in properties:
        if type(item) is exp.Property:
            name = str(item.this.name if isinstance(item.this, exp.Expr) else item.this).lower()
            if name not in known:
                raise unsupported(f"the option {name}")
            found[known[name]] = _constant(item.args["value"])
    if "labels" in found:
        found["labels"] = dict(found["labels"])
    days = found.pop("partition_expiration_days", None)
    return found | ({"timePartitioning": {"expirationMs": str(int(days * DAY_MS))}} if days is not None else {})


def dataset_options(properties: list[exp.Expr]) -> Resource:
    """OPTIONS of CREATE or ALTER SCHEMA as properties of a dataset."""
    for item in properties:
        if type(item) not in (exp.Property, exp.LocationProperty):
            raise unsupported(item.sql("bigquery"))
    found = options(properties, DATASET_OPTIONS)
    days = {key: str(int(value * DAY_MS)) for key, value in found.items() if key.endswith("Ms") and value is not None}
    return found | days


def _constant(node: exp.Expr) -> Any:
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else float(node.this) if "." in node.name else int(node.this)
    if isinstance(node, exp.Array | exp.Tuple | exp.Struct):
        return [_constant(e) for e in node.expressions]
    if isinstance(node, exp.Null):
        return None
    raise unsupported(f"an option with the value {node.sql('bigquery')}")


def field_of(node: exp.ColumnDef) -> Field:
    """The field of a column definition."""
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise invalid(f"Column {node.name} has no type")
    field = _typed(node.name, kind)
    for constraint in node.args.get("constraints") or []:
        what = constraint.args.get("kind")
        if isinstance(what, exp.NotNullColumnConstraint):
            field["mode"] = "REQUIRED"
        elif isinstance(what, exp.DefaultColumnConstraint):
            field["defaultValueExpression"] = what.this.sql("bigquery")
        elif not isinstance(what, exp.Properties):
            raise unsupported(f"the column constraint {constraint.sql('bigquery')}")
    return field | column_options(node)


def column_options(node: exp.ColumnDef) -> Field:
    """OPTIONS of a column, as properties of its field."""
    stated = [constraint.args.get("kind") for constraint in node.args.get("constraints") or []]
    given = [what.expressions for what in stated if isinstance(what, exp.Properties)]
    return {k: v for found in given for k, v in options(found).items() if k == "description"}


def _typed(name: str, kind: exp.DataType) -> Field:
    if kind.this == exp.DType.ARRAY:
        return _typed(name, kind.expressions[0]) | {"mode": "REPEATED"}
    field: Field = {"name": name, "mode": "NULLABLE"}
    if kind.this == exp.DType.STRUCT:
        return field | {"type": "RECORD", "fields": [field_of(f) for f in kind.expressions]}
    if kind.this not in TYPES:
        raise unsupported(f"the type {kind.sql('bigquery')} of column {name!r}")
    sizes = [str(p.name) for p in kind.expressions]
    field["type"] = TYPES[kind.this]
    if sizes:
        keys = ["maxLength"] if field["type"] in ("STRING", "BYTES") else ["precision", "scale"]
        field |= dict(zip(keys, sizes, strict=False))
    return field


def layout(properties: list[exp.Expr]) -> Resource:
    """PARTITION BY and CLUSTER BY."""
    found: Resource = {}
    for item in properties:
        if isinstance(item, exp.PartitionedByProperty):
            found |= _partitioning(item.this)
        elif isinstance(item, exp.Cluster | exp.ClusterProperty):
            found["clustering"] = {"fields": [str(e.name) for e in item.expressions]}
        elif type(item) not in (exp.Property, exp.TemporaryProperty, exp.LikeProperty):
            raise unsupported(item.sql("bigquery"))
    return found


def _partitioning(node: exp.Expr) -> Resource:
    node = node.expressions[0] if isinstance(node, exp.Tuple | exp.Schema) else node
    found = _partitioning_of_column(node)
    name = str(found.get("timePartitioning", {}).get("field", "")).upper()
    # By the time when rows come, which is no column of theirs.
    return {"timePartitioning": {"type": found["timePartitioning"]["type"]}} if name in PSEUDO else found


def _partitioning_of_column(node: exp.Expr) -> Resource:
    if isinstance(node, exp.Column | exp.Identifier):
        return {"timePartitioning": {"type": "DAY", "field": node.name}}
    if isinstance(node, exp.DateTrunc | exp.TimestampTrunc | exp.DatetimeTrunc):
        return {"timePartitioning": {"type": str(node.args["unit"].name).upper(), "field": node.this.name}}
    if isinstance(node, exp.Date | exp.TsOrDsToDate | exp.Cast) and isinstance(node.this, exp.Column):
        return {"timePartitioning": {"type": "DAY", "field": node.this.name}}
    if isinstance(node, exp.RangeBucket) and isinstance(node.expression, exp.GenerateSeries):
        bounds = {
            k: str(node.expression.args[v].name) for k, v in (("start", "start"), ("end", "end"), ("interval", "step"))
        }
        return {"rangePartitioning": {"field": node.this.name, "range": bounds}}
    raise unsupported(f"PARTITION BY {node.sql('bigquery')}")
