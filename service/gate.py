"""The checks of single values and of keys before a partition is delivered: files in, findings out.

Every check is one question in SQL over whole files. Does not own the comparison with earlier days (`comparison.py`) or
what happens then (`findings.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from service import data_files, key_digest
from service.columns import Column
from service.data_files import DataFiles, select
from service.findings import Finding
from service.key_digest import KeyDigest
from service.predictions import DUCKDB_TYPES, cast

EXAMPLES = 3

# Kinds of DuckDB columns that may stand for a declared type; text is always read, and checked value by value.
FITTING = {
    "STRING": {"integer"},
    "INT64": {"integer", "float", "decimal"},
    "FLOAT64": {"integer", "float", "decimal"},
    "NUMERIC": {"integer", "float", "decimal"},
    "BOOL": {"boolean"},
    "DATE": {"date", "timestamp"},
    "TIMESTAMP": {"date", "timestamp"},
}
# Text that the cast would take, but cut or round.
STRICT_TEXT = {"INT64": r"[+-]?[0-9]+(\.0*)?", "DATE": "[0-9]{4}-[0-9]{2}-[0-9]{2}"}


@dataclass(frozen=True)
class _Rule:
    name: str
    condition: str  # of a row that breaks it
    example: str  # what to show of such a row
    complaint: str


def examine(
    connection: duckdb.DuckDBPyConnection,
    predictions: DataFiles,
    keys: DataFiles,
    columns: Sequence[Column],
    key: str,
    *,
    due: KeyDigest | None = None,
) -> list[Finding]:
    """Check a model's predictions against its schema and against the keys of its input.

    Args:
        keys: the input; each key in it, however often, needs exactly one prediction.
        key: the entity key.
        due: the digest of the input's different keys, if it is known: with it, keys that match take no memory.

    Raises:
        BadData: the predictions cannot be read.
    """
    kinds = data_files.columns(connection, predictions)
    present = [column for column in columns if column.name in kinds]
    findings = [*_names(kinds, columns), *_kinds(kinds, present)]
    whole = [column for column in present if _fits(column, kinds[column.name])]
    try:
        broken, made = _values(connection, predictions, whole, kinds, key)
        findings += broken
        known = next((c for c in whole if c.name == key), None)
        if known and (due is None or not _match(made, due)):
            findings += _keys(connection, predictions, keys, known)
    except data_files.UNREADABLE as error:
        raise data_files.unreadable(predictions, error) from error
    return findings


def examine_parts(
    connection: duckdb.DuckDBPyConnection,
    parts: DataFiles,
    columns: Sequence[Column],
    key: str,
    due: KeyDigest,
) -> list[Finding]:
    """Check predictions in the table's form, of which each part has been held against its share of the input.

    Raises:
        BadData: the parts cannot be read.
    """
    kinds = data_files.columns(connection, parts)
    try:
        findings, made = _values(connection, parts, columns, kinds, key)
    except data_files.UNREADABLE as error:
        raise data_files.unreadable(parts, error) from error
    if _match(made, due):
        return findings
    text = (
        f"The parts hold {made.keys} predictions for the {due.keys} keys of the input, and they are not one for each."
    )
    return [
        *findings,
        Finding(rule="missing_key", column=key, count=abs(made.keys - due.keys), examples=(), message=text),
    ]


def _match(made: KeyDigest, due: KeyDigest) -> bool:
    """Whether there is exactly one prediction for each due key, told without holding them."""
    return not due.without and (made.keys, made.first, made.second) == (due.keys, due.first, due.second)


def _names(kinds: dict[str, str], columns: Sequence[Column]) -> Iterator[Finding]:
    declared = [column.name for column in columns]
    for rule, names, text in (
        ("missing_column", [n for n in declared if n not in kinds], "The predictions lack the column {}."),
        ("unknown_column", [n for n in kinds if n not in declared], "The predictions have {}, not in schema.json."),
    ):
        if names:
            message = text.format(data_files.listed(names[:EXAMPLES]))
            yield Finding(rule=rule, column=None, count=len(names), examples=tuple(names[:EXAMPLES]), message=message)


def _kinds(kinds: dict[str, str], columns: Sequence[Column]) -> Iterator[Finding]:
    for column in columns:
        found = kinds[column.name]
        if not _fits(column, found):
            text = f"Column '{column.name}' is {found} in the predictions, {column.type} in schema.json."
            yield Finding(rule="type", column=column.name, count=1, examples=(found,), message=text)


def _fits(column: Column, kind: str) -> bool:
    group = _group(kind)
    return group == "text" or group in FITTING[column.type]


def _group(kind: str) -> str:
    if kind == "VARCHAR":
        return "text"
    if kind.startswith("DECIMAL") and not kind.endswith("]"):
        return "decimal"
    if kind.startswith("TIMESTAMP") and not kind.endswith("]"):
        return "timestamp"
    if kind.endswith("INT") or kind == "INTEGER" or kind == "UINTEGER":
        return "integer"
    return {"DOUBLE": "float", "FLOAT": "float", "BOOLEAN": "boolean", "DATE": "date"}.get(kind, "other")


def _values(
    connection: duckdb.DuckDBPyConnection,
    predictions: DataFiles,
    columns: Sequence[Column],
    kinds: dict[str, str],
    key: str,
) -> tuple[list[Finding], KeyDigest]:
    """All rules for single values, and the digest of the keys, in one pass; rule by rule only where one is broken."""
    known = [column for column in columns if column.name == key]
    shown = data_files.name(key) if known else "'?'"
    rules = [(column, rule) for column in columns for rule in _rules(column, kinds[column.name], shown)]
    broken = " OR ".join(f"({rule.condition})" for _, rule in rules) or "FALSE"
    asked = [f"count_if({broken})", *(number for column in known for number in key_digest.aggregates(column))]
    rows, *digest = connection.execute(select(", ".join(asked), predictions.relation())).fetchone() or (0,)
    made = key_digest.of_answer(digest)
    return (list(_broken(connection, predictions, rules)) if rows else []), made


def _broken(
    connection: duckdb.DuckDBPyConnection, predictions: DataFiles, rules: Sequence[tuple[Column, _Rule]]
) -> Iterator[Finding]:
    asked = ", ".join(f"count_if({rule.condition})" for _, rule in rules)
    answer = connection.execute(select(asked, predictions.relation())).fetchone() or ()
    for (column, rule), count in zip(rules, answer, strict=True):
        if count:
            examples = _first(connection, select(rule.example, predictions.relation(), where=rule.condition))
            text = f"Column '{column.name}' {rule.complaint} in {count} rows, such as {data_files.listed(examples)}."
            yield Finding(rule=rule.name, column=column.name, count=count, examples=examples, message=text)


def _rules(column: Column, kind: str, shown: str) -> Iterator[_Rule]:
    raw, value = data_files.name(column.name), cast(column)
    fits = f"{value} IS NOT NULL"
    if _group(kind) == "text" and column.type in STRICT_TEXT:
        fits += f" AND regexp_full_match({raw}, '{STRICT_TEXT[column.type]}')"
    elif _group(kind) != "text" and column.type in STRICT_TEXT:
        fits += f" AND TRY_CAST({value} AS {kind}) IS NOT DISTINCT FROM {raw}"
    if kind != DUCKDB_TYPES[column.type]:
        yield _Rule("type", f"{raw} IS NOT NULL AND NOT ({fits})", raw, f"is not of the type {column.type}")
    if column.mode == "REQUIRED":
        yield _Rule("null", f"{raw} IS NULL", shown, "has no value, but is REQUIRED,")
    if column.type == "FLOAT64":
        yield _Rule("not_finite", f"NOT isfinite({value})", shown, "is NaN or infinite")
    if column.minimum is not None:
        yield _Rule("minimum", f"{value} < {column.minimum!r}", raw, f"is less than {column.minimum}")
    if column.maximum is not None:
        # NaN is greater than every number in DuckDB, and has its own rule.
        finite = f"isfinite({value}) AND " if column.type == "FLOAT64" else ""
        yield _Rule("maximum", f"{finite}{value} > {column.maximum!r}", raw, f"is more than {column.maximum}")
    if column.values is not None:
        listed = ", ".join(data_files.literal(v) if isinstance(v, str) else str(v) for v in column.values)
        yield _Rule("values", f"{value} NOT IN ({listed})", raw, f"is not one of {listed}")


def _keys(
    connection: duckdb.DuckDBPyConnection, predictions: DataFiles, keys: DataFiles, key: Column
) -> Iterator[Finding]:
    """Exactly one prediction for each key of the input."""
    kinds = data_files.columns(connection, keys)
    if key.name not in kinds:
        text = f"The input has no column '{key.name}', so it does not tell for whom predictions are due."
        yield Finding(rule="input_key", column=key.name, count=1, examples=tuple(kinds)[:EXAMPLES], message=text)
        return
    value = f"{cast(key)} AS key"
    due = f"(SELECT DISTINCT {value} FROM {keys.relation()})"  # noqa: S608 - quoted by cast and relation
    made = f"({select(value, predictions.relation(), where=f'{cast(key)} IS NOT NULL')})"
    repeated = select("key", made, where="TRUE GROUP BY key HAVING count(*) > 1")
    for rule, broken, complaint in (
        ("input_key", select("'none'", due, where="key IS NULL"), "The input has rows without a key"),
        ("duplicate_key", repeated, "Predicted more than once"),
        (
            "missing_key",
            f"{select('*', due, where='key IS NOT NULL')} EXCEPT {made}",
            "In the input, but not predicted",
        ),
        ("unknown_key", f"{made} EXCEPT {due}", "Predicted, but not in the input"),
    ):
        answer = connection.execute(select("count(*)", f"({broken})")).fetchone()
        if answer and answer[0]:
            examples = _first(connection, broken)
            text = f"{complaint}: {answer[0]} values of '{key.name}', such as {data_files.listed(examples)}."
            yield Finding(rule=rule, column=key.name, count=answer[0], examples=examples, message=text)


def _first(connection: duckdb.DuckDBPyConnection, values: str) -> tuple[str, ...]:
    """A few different values, in their order so that two runs show the same."""
    rows = connection.execute(f"{select('DISTINCT v', f'({values}) AS t(v)')} ORDER BY v LIMIT {EXAMPLES}").fetchall()
    return tuple(str(value)[:80] for (value,) in rows)
