"""Query parameters: from the API's typed JSON values to expressions put in their place in a statement."""

import base64
import binascii
from typing import Any

from sqlglot import exp

from local.warehouse.statements import invalid, place_of, unsupported
from local.wire import CloudError

SCALARS = {
    "STRING": "TEXT", "INT64": "BIGINT", "INTEGER": "BIGINT", "FLOAT64": "DOUBLE", "FLOAT": "DOUBLE", "NUMERIC": "DECIMAL",
    "BIGNUMERIC": "BIGDECIMAL", "BOOL": "BOOLEAN", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME",
    "DATETIME": "DATETIME", "TIMESTAMP": "TIMESTAMPTZ", "BYTES": "VARBINARY", "JSON": "JSON", "INTERVAL": "INTERVAL",
}  # fmt: skip


def data_type(kind: dict[str, Any]) -> exp.DataType:
    """A parameter's type as sqlglot's.

    Raises:
        CloudError: 400 for a type that does not exist or is not supported.
    """
    name = str(kind.get("type", "")).upper()
    if name == "ARRAY":
        return exp.DataType(this=exp.DType.ARRAY, expressions=[data_type(kind["arrayType"])], nested=True)
    if name in ("STRUCT", "RECORD"):
        fields = [
            exp.ColumnDef(
                this=exp.to_identifier(f.get("name") or f"_field_{i}", quoted=True), kind=data_type(f["type"])
            )
            for i, f in enumerate(kind["structTypes"], 1)
        ]
        return exp.DataType(this=exp.DType.STRUCT, expressions=fields, nested=True)
    if name not in SCALARS:
        raise unsupported(f"query parameters of type {name}")
    return exp.DataType(this=exp.DType[SCALARS[name]])


def expression(kind: dict[str, Any], value: dict[str, Any]) -> exp.Expr:
    """One parameter's value, cast to its type."""
    target = data_type(kind)
    if target.this == exp.DType.ARRAY:
        items = [expression(kind["arrayType"], v) for v in value.get("arrayValues") or []]
        return exp.Cast(this=exp.Array(expressions=items), to=target)
    if target.this == exp.DType.STRUCT:
        values = value.get("structValues") or {}
        fields = [
            exp.PropertyEQ(
                this=exp.to_identifier(f.get("name") or f"_field_{i}", quoted=True),
                expression=expression(f["type"], values.get(f.get("name", ""), {})),
            )
            for i, f in enumerate(kind["structTypes"], 1)
        ]
        return exp.Cast(this=exp.Struct(expressions=fields), to=target)
    text = value.get("value")
    return exp.Cast(this=exp.Null(), to=target) if text is None else _scalar(target, str(text))


def _scalar(target: exp.DataType, text: str) -> exp.Expr:
    literal = exp.Literal.string(text)
    if target.this == exp.DType.TEXT:
        return literal
    if target.this == exp.DType.JSON:
        return exp.ParseJSON(this=literal)
    if target.this == exp.DType.VARBINARY:
        try:
            return exp.ByteString(this=base64.b64decode(text, validate=True).decode("latin-1"), is_bytes=True)
        except binascii.Error as error:
            raise invalid(f"Invalid value for a parameter of type BYTES: {text!r} is not base64") from error
    if target.this == exp.DType.BIGINT:
        try:
            return exp.Cast(this=exp.Literal.string(str(int(text))), to=target)
        except ValueError as error:
            raise invalid(f"Invalid value for a parameter of type INT64: {text!r}") from error
    if target.this == exp.DType.BOOLEAN:
        return exp.Boolean(this=text.lower() == "true")
    return exp.Cast(this=literal, to=target)


def as_texts(value: Any, *, inside: str = "") -> Any:
    """Parameters with each scalar as the text that the API makes of it: the client for Node sends numbers."""
    if isinstance(value, list):
        return [as_texts(item, inside=inside) for item in value]
    if isinstance(value, dict):
        return {key: as_texts(item, inside=key) for key, item in value.items()}
    if inside != "value" or value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


class Parameters:
    """The parameters of one query.

    Args:
        given: `queryParameters` of the request.
    """

    def __init__(self, given: list[dict[str, Any]] | None) -> None:
        named = {str(p["name"]).lower(): p for p in given or [] if p.get("name")}
        self._given = named | {f"?{i}": p for i, p in enumerate((p for p in given or [] if not p.get("name")), 1)}

    def put(self, tree: exp.Expr) -> None:
        """Replace every parameter in a statement by its value.

        Raises:
            CloudError: 400 for one that was not given.
        """
        for node in list(tree.find_all(exp.Parameter)):
            if isinstance(node.parent, exp.Parameter) or isinstance(node.this, exp.Parameter):
                continue  # @@variable
            if node.name.lower() not in self._given:
                raise invalid(f"Query parameter '{node.name}' not found{place_of(node)}")
            node.replace(self._value(self._given[node.name.lower()]))

    @staticmethod
    def _value(parameter: dict[str, Any]) -> exp.Expr:
        try:
            return expression(parameter["parameterType"], parameter.get("parameterValue") or {})
        except (KeyError, TypeError) as error:
            raise CloudError(400, "invalid", f"Invalid query parameter {parameter!r}: {error!r}") from error
