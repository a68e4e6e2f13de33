"""DuckDB's errors in Google's words: which reason a failed job has, and what a person reads."""

import re

import duckdb
from sqlglot import exp

from local.warehouse.statements import place_of
from local.wire import CloudError

# What DuckDB says, and what BigQuery says of the same fault.
QUERY_FAULTS = (
    ("(?s)Could not convert string '\x01(?P<name>.*)' to INT32", "{name}"),  # of bq_error
    (r'Referenced column "(?P<name>[^"]+)" (?:was )?not found', "Unrecognized name: {name}{place}"),
    (r'Referenced table "(?P<name>[^"]+)" not found', "Unrecognized name: {name}{place}"),
    (r'Column "(?P<name>[^"]+)" referenced that exists in the SELECT clause', "Unrecognized name: {name}{place}"),
    (r'does not have a column named "(?P<name>[^"]+)"', "Name {name} not found{place}"),
    (r'Ambiguous reference to column name "(?P<name>[^"]+)"', "Column name {name} is ambiguous{place}"),
    (
        r'Function with name "?(?P<name>\w+)"? (?:does not exist|is not in the catalog)',
        "The local warehouse does not support the function {upper}{place}",
    ),
    (r'Could not parse string "(?P<name>[^"]*)" according to format', 'Failed to parse input string "{name}"'),
    (r"Could not convert string ['\"](?P<name>.*)['\"] to INT\d+", "Bad int64 value: {name}"),
    (r"Could not convert string ['\"](?P<name>.*)['\"] to DOUBLE", "Bad double value: {name}"),
    (r"Could not convert string ['\"](?P<name>.*)['\"] to DECIMAL", "Invalid NUMERIC value: {name}"),
    (r"Type INT128 with value (?P<name>\S+) can't be cast", "int64 overflow: {name}"),
    (r"Overflow in \w+ of INT64 \((?P<name>.+)\)!", "int64 overflow: {name}"),
    (r"(?:argument types '|the function call \")(?P<name>\w+)\(", "No matching signature for function {name}"),
    (r'(?:invalid date|date field value out of range).*?"(?P<name>[^"]*)"', "Invalid date: '{name}'"),
    (r'(?:invalid timestamp|timestamp field value out of range).*?"(?P<name>[^"]*)"', "Invalid timestamp: '{name}'"),
    (r"NOT NULL constraint failed: \w+\.(?P<name>.+)", "Required field {name} cannot be null"),
    (r"CHECK constraint failed .*length\((?P<name>[^)]+)\)", "Field {name}: maximum length exceeded"),
    (
        r'column "(?P<name>[^"]+)" must appear in the GROUP BY clause',
        "SELECT list expression references column {name} which is neither grouped nor aggregated{place}",
    ),
    (r"More than one row returned by a subquery", "Scalar subquery produced more than one element"),
    (r"MERGE_CARDINALITY|MERGE.*multiple", "UPDATE/MERGE must match at most one source row for each target row"),
)
STOPPED = "Job execution was cancelled: User requested cancellation"


def _first_line(error: Exception) -> str:
    text = str(error).split("\n\n")[0].split("\nLINE ")[0].split("\nCandidate")[0].strip()
    return re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", text)


def of_query(error: duckdb.Error, tree: exp.Expr | None = None) -> CloudError:
    """The error of a query that DuckDB refused or could not finish."""
    if isinstance(error, duckdb.InterruptException):
        return CloudError(499, "stopped", STOPPED)
    if isinstance(error, duckdb.OutOfMemoryException):
        return CloudError(400, "resourcesExceeded", f"Resources exceeded during query execution: {_first_line(error)}")
    text = _first_line(error)
    for pattern, told in QUERY_FAULTS:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            name = match.groupdict().get("name", "")
            return CloudError(400, "invalidQuery", told.format(name=name, upper=name.upper(), place=_place(tree, name)))
    return CloudError(400, "invalidQuery", text)


def _place(tree: exp.Expr | None, name: str) -> str:
    for node in tree.find_all(exp.Identifier) if tree is not None else []:
        if node.name.lower() == name.lower() and node.meta.get("line"):
            return place_of(node)
    return ""


def of_data(error: duckdb.Error, source: str) -> CloudError:
    """The error of a load whose files could not be read into the table.

    Args:
        source: what was read: "CSV", "JSON", "Parquet".
    """
    if isinstance(error, duckdb.InterruptException):
        return CloudError(499, "stopped", STOPPED)
    told = of_query(error).message
    message = f"Error while reading data, error message: {source} processing encountered an error: {told}"
    return CloudError(400, "invalid", message)
