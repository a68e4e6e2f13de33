"""Keys told apart by service/key_digest.py without holding them."""

from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import data_files, gate, key_digest
from service.columns import Column
from service.data_files import DataFiles
from service.key_digest import KeyDigest

KEY = Column(name="plant", type="INT64", mode="REQUIRED", description="which")
NUMBERS = st.lists(st.integers(-3, 3), max_size=8)


def files(connection: duckdb.DuckDBPyConnection, path: Path, keys: list[int | None]) -> DataFiles:
    rows = ", ".join(f"({'NULL' if key is None else key})" for key in keys)
    source = f"(VALUES {rows}) AS t(plant)" if rows else "(SELECT 1 AS plant WHERE FALSE)"
    connection.execute(f"COPY (SELECT plant::BIGINT AS plant FROM {source}) TO '{path}' (FORMAT parquet)")
    return DataFiles((path,), "parquet")


def of_all(connection: duckdb.DuckDBPyConnection, predictions: DataFiles) -> KeyDigest:
    query = data_files.select(", ".join(key_digest.aggregates(KEY)), predictions.relation())
    return key_digest.of_answer(connection.execute(query).fetchone() or ())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(due=NUMBERS, made=NUMBERS)
def test_digests_are_equal_only_for_one_prediction_a_key(tmp_path: Path, due: list[int], made: list[int]) -> None:
    with data_files.connect(tmp_path) as connection:
        wanted = key_digest.of_different(connection, files(connection, tmp_path / "due", list(due)), KEY)
        found = of_all(connection, files(connection, tmp_path / "made", list(made)))
    assert (wanted == found) == (Counter(set(due)) == Counter(made))


def test_digests_of_parts_add_up_and_rows_without_a_key_are_counted(tmp_path: Path) -> None:
    with data_files.connect(tmp_path) as connection:
        whole = of_all(connection, files(connection, tmp_path / "w", [1, 2, 2, None]))
        parts = [files(connection, tmp_path / "a", [2, None]), files(connection, tmp_path / "b", [2, 1])]
        assert sum((of_all(connection, part) for part in parts), KeyDigest()) == whole
    assert (whole.keys, whole.without) == (3, 1)


@pytest.mark.parametrize("made", [[1, 2], [1, 2, 3, 3], [1, 2, 4], [1, 2, 3, 4]])
def test_the_gate_names_the_keys_that_a_digest_only_misses(tmp_path: Path, made: list[int | None]) -> None:
    with data_files.connect(tmp_path) as connection:
        due = files(connection, tmp_path / "due", [1, 2, 3, 3])
        predictions = files(connection, tmp_path / "made", made)
        digest = key_digest.of_different(connection, due, KEY)
        found = gate.examine(connection, predictions, due, [KEY], "plant", due=digest)
        assert found == gate.examine(connection, predictions, due, [KEY], "plant"), "whichever way it is told"
        assert found
        parts = gate.examine_parts(connection, predictions, [KEY], "plant", digest)
        assert [finding.rule for finding in parts] == ["missing_key"]
