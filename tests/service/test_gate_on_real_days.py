"""The default limits on real days: clean ones pass, and twenty ways of spoiling one are blocked."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from service.columns import Column
from tests.service.real_days import EXAMPLE, Gate, bootstrap, connect, day, predicted

# Odd days other than the first of a month: the defaults were chosen on the others. See service/gate_limits.py.
SINCE_AUGUST = [date(1997, 8, 3) + timedelta(days=n) for n in range(325)]
OTHER_DAYS = [d for d in SINCE_AUGUST if d.day % 2 and d.day > 1]
CLEAN_DAYS = [d for at, d in enumerate(OTHER_DAYS) if at % 3][:100]
# They were chosen with versions of the first of each month, so these are new: trained on the fifteenth.
NEW_VERSIONS = [d for d in SINCE_AUGUST if d.day == 15]
SPOILT = date(1997, 12, 15)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    with connect(folder) as connection:
        yield Gate(folder, connection)


def changed(column: str, change: Callable[[pa.Array], object]) -> Callable[[pa.Table], pa.Table]:
    """One column with other values."""

    def spoil(table: pa.Table) -> pa.Table:
        values = change(table[column].combine_chunks())
        return table.set_column(table.schema.get_field_index(column), column, pa.array(values))

    return spoil


def some(share: float, value: object) -> Callable[[pa.Array], object]:
    """Replace every so-many-th value."""
    return lambda values: [value if at % round(1 / share) == 0 else v for at, v in enumerate(values.to_pylist())]


def of_numbers(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Array], object]:
    return lambda values: change(values.to_numpy())


# What went wrong: how it spoils the predictions, and the rule that sees it.
MADE_WRONG: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "one customer forgotten": (lambda t: t.slice(1), "missing_key"),
    "one customer twice": (lambda t: pa.concat_tables([t, t.slice(5, 1)]), "duplicate_key"),
    "everything twice": (lambda t: pa.concat_tables([t, t]), "duplicate_key"),
    "zeros of ids lost": (changed("customer_id", lambda v: pc.utf8_ltrim(v, characters="0")), "missing_key"),
    "a customer nobody knows": (changed("customer_id", some(0.0005, "9999999")), "unknown_key"),
    "a column forgotten": (lambda t: t.drop_columns(["probability_alive"]), "missing_column"),
    "an index column more": (lambda t: t.append_column("index", pa.array(range(t.num_rows))), "unknown_column"),
    "one value missing": (changed("expected_purchases", some(0.0005, None)), "null"),
    "one value NaN": (changed("expected_purchases", some(0.0005, float("nan"))), "not_finite"),
    "one value infinite": (changed("expected_purchases", some(0.0005, float("inf"))), "not_finite"),
    "text for numbers": (changed("probability_alive", lambda v: [f"{x:.0%}" for x in v.to_pylist()]), "type"),
    "a list for numbers": (changed("probability_alive", lambda v: [[x] for x in v.to_pylist()]), "type"),
    "percent for a share": (changed("probability_alive", of_numbers(lambda v: v * 100)), "maximum"),
    "the sign turned": (changed("expected_purchases", of_numbers(lambda v: -v)), "minimum"),
    "the two columns exchanged": (
        lambda t: t.rename_columns(["customer_id", "expected_purchases", "probability_alive"]),
        "drift",
    ),
    "the horizon of a year": (changed("expected_purchases", of_numbers(lambda v: v * 365 / 90)), "drift"),
    "weeks taken for days": (changed("expected_purchases", of_numbers(lambda v: v / 7)), "drift"),
    "half as much again": (changed("expected_purchases", of_numbers(lambda v: v * 1.5)), "drift"),
    "all zero": (changed("expected_purchases", of_numbers(lambda v: v * 0)), "drift"),
    "the mean for all": (changed("expected_purchases", of_numbers(lambda v: np.full(len(v), v.mean()))), "drift"),
    "whole numbers": (changed("expected_purchases", of_numbers(np.round)), "drift"),
    "a third filled with zero": (changed("expected_purchases", some(1 / 3, 0.0)), "drift"),
    "cut at the median": (changed("expected_purchases", of_numbers(lambda v: np.minimum(v, np.median(v)))), "drift"),
    "the complement": (changed("probability_alive", of_numbers(lambda v: 1 - v)), "drift"),
}
# The input is spoilt, and the predictions agree with it: only the comparison with the day before can tell.
INPUT_WRONG: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "half of the customers lost": (lambda t: t.slice(0, t.num_rows // 2), "row_change"),
    "a join that multiplies": (
        lambda t: pa.concat_tables([t, changed("customer_id", lambda v: [f"{x}-b" for x in v.to_pylist()])(t)]),
        "row_change",
    ),
    "only those who came back": (lambda t: t.filter(pc.less(t["probability_alive"], 1)), "row_change"),
}


@pytest.mark.parametrize(
    ("days", "draws"),
    [(CLEAN_DAYS[::20], 4), pytest.param(CLEAN_DAYS, 1, marks=pytest.mark.soak)],
    ids=["4 of each of 5", "1 of each of 100"],
)
def test_clean_days_pass(gate: Gate, days: list[date], draws: int) -> None:
    random = np.random.default_rng(1997)
    blocked = []
    for run_date in days * draws:
        made, earlier = bootstrap(day(run_date), random), bootstrap(day(run_date - timedelta(days=1)), random)
        judged = gate.judge(made, made, earlier, run_date)
        blocked += [(run_date, finding.message) for finding in judged.findings]
    assert (len(set(days)), len(days) * draws) in ((5, 20), (100, 100))
    assert blocked == []


@pytest.mark.parametrize(
    "days", [NEW_VERSIONS[7:9], pytest.param(NEW_VERSIONS, marks=pytest.mark.soak)], ids=["2 months", "all months"]
)
def test_the_first_day_of_a_new_version_passes(gate: Gate, days: list[date]) -> None:
    random = np.random.default_rng(1998)
    for run_date in days:
        before = (run_date.replace(day=1) - timedelta(days=1)).replace(day=15)
        made = bootstrap(predicted(run_date, run_date), random)
        earlier = bootstrap(predicted(run_date - timedelta(days=1), before), random)
        assert gate.judge(made, made, earlier, run_date).findings == [], run_date


@pytest.mark.parametrize("wrong", MADE_WRONG)
def test_spoilt_predictions_are_blocked(gate: Gate, wrong: str) -> None:
    spoil, rule = MADE_WRONG[wrong]
    clean, earlier = day(SPOILT), day(SPOILT - timedelta(days=1))
    assert gate.judge(clean, clean, earlier, SPOILT).findings == [], "what is spoilt must be clean before"
    assert rule in gate.judge(spoil(clean), clean, earlier, SPOILT).rules


@pytest.mark.parametrize("wrong", INPUT_WRONG)
def test_predictions_from_a_spoilt_input_are_blocked(gate: Gate, wrong: str) -> None:
    spoil, rule = INPUT_WRONG[wrong]
    spoilt = spoil(day(SPOILT))
    assert rule in gate.judge(spoilt, spoilt, day(SPOILT - timedelta(days=1)), SPOILT).rules


def test_too_many_nulls_and_unknown_categories_are_blocked(gate: Gate) -> None:
    group = Column(name="group", type="STRING", mode="NULLABLE", description="x", values=("a", "b"))
    wider = Gate(gate.folder, gate.connection, replace(EXAMPLE, columns=(*EXAMPLE.columns, group)))
    clean, earlier = day(SPOILT), day(SPOILT - timedelta(days=1))
    for values, rules in ((["a", None], {"null_share"}), (["a", "c"], {"values"}), (["a", "b"], set())):
        column = pa.array([values[at % 2] for at in range(clean.num_rows)])
        assert wider.judge(clean.append_column("group", column), clean, earlier, SPOILT).rules == rules
