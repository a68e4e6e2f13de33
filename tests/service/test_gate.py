"""The gate: what a model may get wrong, and what the finding says."""

from pathlib import Path

import pytest

from service import data_files, gate, predictions
from service.columns import Column
from service.data_files import DataFiles
from service.errors import BadData
from service.findings import Finding


def column(name: str, kind: str, mode: str = "NULLABLE", **bounds: object) -> Column:
    return Column(name=name, type=kind, mode=mode, description="x", **bounds)  # type: ignore[arg-type]  # bounds vary


KEY = column("house", "STRING", "REQUIRED")
SCHEMA = (KEY, column("price", "FLOAT64", "REQUIRED", minimum=0, maximum=1000))


def examine(
    tmp_path: Path, text: str, *, schema: tuple[Column, ...] = SCHEMA, keys: str = "house\n007\nb\nb\n"
) -> list[Finding]:
    """Run the gate over a CSV of predictions."""
    made, due = tmp_path / "predictions.csv", tmp_path / "input.csv"
    made.write_text(text)
    due.write_text(keys)
    with data_files.connect(tmp_path) as connection:
        return gate.examine(connection, DataFiles((made,), "csv"), DataFiles((due,), "csv"), schema, schema[0].name)


def test_exactly_one_good_prediction_for_each_key_passes(tmp_path: Path) -> None:
    assert examine(tmp_path, "price,house\n1.5,007\n2e1,b\n") == [], "neither order nor repeated input rows matter"


@pytest.mark.parametrize(
    ("text", "rule", "count", "examples", "said"),
    [
        (
            "house,price\n007,1\n",
            "missing_key",
            1,
            ("b",),
            "In the input, but not predicted: 1 values of 'house', such as 'b'.",
        ),
        ("house,price\n007,1\nb,1\nc,1\n", "unknown_key", 1, ("c",), "Predicted, but not in the input"),
        ("house,price\n007,1\nb,1\nb,2\n", "duplicate_key", 1, ("b",), "Predicted more than once"),
        ("house,price\n007,NaN\nb,1\n", "not_finite", 1, ("007",), "Column 'price' is NaN or infinite in 1 rows"),
        ("house,price\n007,\nb,1\n", "null", 1, ("007",), "Column 'price' has no value, but is REQUIRED, in 1 rows"),
        ("house,price\n007,cheap\nb,1\n", "type", 1, ("cheap",), "Column 'price' is not of the type FLOAT64"),
        ("house,price\n007,-1\nb,1\n", "minimum", 1, ("-1",), "is less than 0"),
        ("house,price\n007,1001\nb,1\n", "maximum", 1, ("1001",), "is more than 1000"),
        (
            "house,price,mood\n007,1,x\nb,1,y\n",
            "unknown_column",
            1,
            ("mood",),
            "The predictions have 'mood', not in schema.json.",
        ),
        ("house\n007\nb\n", "missing_column", 1, ("price",), "The predictions lack the column 'price'."),
        ("house,price\n", "missing_key", 2, ("007", "b"), "In the input, but not predicted: 2 values"),
    ],
)
def test_each_fault_is_one_finding_with_examples(
    tmp_path: Path, text: str, rule: str, count: int, examples: tuple[str, ...], said: str
) -> None:
    (finding,) = examine(tmp_path, text)
    assert (finding.rule, finding.count, finding.examples) == (rule, count, examples)
    assert said in finding.message


def test_faults_are_found_together(tmp_path: Path) -> None:
    found = examine(tmp_path, "house,price,mood\n007,inf,x\n007,-2,y\n")
    assert [f.rule for f in found] == ["unknown_column", "not_finite", "minimum", "duplicate_key", "missing_key"]


def test_a_leading_zero_that_the_model_lost_shows_in_the_examples(tmp_path: Path) -> None:
    missing, unknown = examine(tmp_path, "house,price\n7,1\nb,1\n")
    assert (missing.examples, unknown.examples) == (("007",), ("7",))


def test_an_input_without_keys_cannot_pass(tmp_path: Path) -> None:
    (absent,) = examine(tmp_path, "house,price\nb,1\n", keys="home\nb\n")
    assert "The input has no column 'house'" in absent.message
    (empty,) = examine(tmp_path, "house,price\nb,1\n", keys="house,x\nb,1\n,2\n")
    assert (empty.rule, empty.count) == ("input_key", 1)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("INT64", ["7", "-7", "7.0", "9223372036854775807"], ["7.5", "9223372036854775808", "x", "1e3"]),
        ("NUMERIC", ["7", "0.1", "12345678901234567890123456789.000000001"], ["x", "1" + "0" * 40]),
        ("BOOL", ["true", "False", "1"], ["maybe", "7"]),
        ("DATE", ["2024-02-29"], ["2023-02-29", "2024-02-29 10:00:00", "29.02.2024"]),
        ("TIMESTAMP", ["2024-02-29 10:00:00", "2024-02-29T10:00:00.123456+02:00"], ["yesterday"]),
        ("STRING", ["", "é", "1"], []),
    ],
)
def test_text_is_checked_against_each_type(tmp_path: Path, kind: str, good: list[str], bad: list[str]) -> None:
    schema = (KEY, column("value", kind))
    for values, broken in ((good, 0), (bad, len(bad))):
        keys = "".join(f"k{at}\n" for at, _ in enumerate(values))
        lines = "".join(f'k{at},"{value}"\n' for at, value in enumerate(values))
        found = examine(tmp_path, f"house,value\n{lines}", schema=schema, keys=f"house\n{keys}")
        assert sum(f.count for f in found) == broken, found


@pytest.mark.parametrize(
    ("kind", "sql", "fits"),
    [
        ("INT64", "7.0::DOUBLE", True),
        ("INT64", "7.5::DOUBLE", False),
        ("INT64", "7::UTINYINT", True),
        ("INT64", "true", False),
        ("STRING", "7", True),
        ("STRING", "7.0::DOUBLE", False),
        ("FLOAT64", "7.5::FLOAT", True),
        ("FLOAT64", "[7.5]", False),
        ("DATE", "TIMESTAMP '2024-02-29 00:00:00'", True),
        ("DATE", "TIMESTAMP '2024-02-29 10:00:00'", False),
        ("TIMESTAMP", "DATE '2024-02-29'", True),
        ("BOOL", "1", False),
        ("NUMERIC", "0.1::DOUBLE", True),
    ],
)
def test_parquet_is_checked_against_each_type(tmp_path: Path, kind: str, sql: str, fits: bool) -> None:
    made, due = tmp_path / "predictions.parquet", tmp_path / "input.csv"
    due.write_text("plant\na\n")
    schema = (column("plant", "STRING", "REQUIRED"), column("v", kind))
    with data_files.connect(tmp_path) as connection:
        data_files.copy(connection, f"SELECT 'a' AS plant, {sql} AS v", made, "parquet")
        found = gate.examine(connection, DataFiles((made,), "parquet"), DataFiles((due,), "csv"), schema, "plant")
    assert [f.rule for f in found] == ([] if fits else ["type"])


def test_values_outside_a_list_are_found(tmp_path: Path) -> None:
    schema = (KEY, column("colour", "STRING", values=("red", "it's")))
    (finding,) = examine(tmp_path, "house,colour\n007,it's\nb,blue\n", schema=schema)
    assert (finding.rule, finding.examples) == ("values", ("blue",))


def test_a_file_that_is_no_csv_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"'predictions\.csv' cannot be read as csv: .*Line: 3 .*Expected Number of Columns: 2"
    ):
        examine(tmp_path, "house,price\n007,1\nb,1,2,3\n")


@pytest.mark.parametrize(
    ("text", "said"), [("", "has no header line"), ("house,price,House\n", "names a column twice"), ("\n", "no header")]
)
def test_a_header_must_name_the_columns(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        examine(tmp_path, text)


def test_an_index_that_pandas_wrote_is_an_unknown_column(tmp_path: Path) -> None:
    (finding,) = examine(tmp_path, "\ufeff,house,price\r\n0,007,1\r\n1,b,2\r\n")
    assert finding.examples == ("unnamed column 1",)


def test_predictions_are_named_when_they_are_absent_or_double(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"'predictions\.csv' or 'predictions\.parquet'"):
        predictions.find(tmp_path)
    for name in predictions.NAMES:
        (tmp_path / name).touch()
    with pytest.raises(BadData, match="left both"):
        predictions.find(tmp_path)
