"""Reading purchases: what a history is, and how a bad file is named."""

from datetime import date
from pathlib import Path

import pytest
from customer_value.transactions import InputRefused, read_histories

RUN_DATE = date(2024, 3, 1)


def written(folder: Path, text: str | bytes) -> Path:
    """A CSV."""
    path = folder / "purchases.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_history_counts_days_after_the_first_and_weeks_up_to_the_day_before_the_run_date(tmp_path: Path) -> None:
    text = "customer_id,purchased_on\n007,2024-02-15\nb,2024-02-29\n007,2024-02-01\n007,2024-02-15\n"
    seen = read_histories(written(tmp_path, text), RUN_DATE)
    assert seen.customer_ids == ["007", "b"], "text, with leading zeros, in order"
    assert seen.repeats.tolist() == [1, 0], "two purchases on 15 February count as one"
    assert seen.recency.tolist() == [2, 0]
    assert seen.age.tolist() == [4, 0]


def test_other_columns_quotes_and_byte_order_marks_do_not_matter(tmp_path: Path) -> None:
    text = '\ufeffamount,purchased_on,customer_id\r\n1.5,2024-02-01,"a,b"\r\n'
    assert read_histories(written(tmp_path, text), RUN_DATE).customer_ids == ["a,b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "purchases.csv line 1: needs one column customer_id; the header holds 'nothing'"),
        ("customer_id,purchased_on\n", "there is no purchase below the header"),
        (
            "customer,purchased_on\na,2024-01-01\n",
            "needs one column customer_id; the header holds 'customer, purchased_on'",
        ),
        (
            "customer_id,purchased_on\na,2024-01-01\nb\n",
            "purchases.csv line 3: 1 values where the header has 2 columns",
        ),
        ("customer_id,purchased_on\na,2024-01-01\n\n", "purchases.csv line 3: 0 values"),
        ("customer_id,purchased_on\n,2024-01-01\n", "purchases.csv line 2, column customer_id: is empty"),
        ("customer_id,purchased_on\na,2024-13-01\n", "line 2, column purchased_on: '2024-13-01' is not a date"),
        ("customer_id,purchased_on\na,20240101\n", "line 2, column purchased_on: '20240101' is not a date"),
        ("customer_id,purchased_on\na,2024-01-01 10:00\n", "'2024-01-01 10:00' is not a date"),
        ("customer_id,purchased_on\na,\n", "line 2, column purchased_on: '' is not a date"),
        ("customer_id,purchased_on\na,2024-03-01\n", "'2024-03-01' is not before the run date 2024-03-01"),
        ('customer_id,purchased_on\n"a,2024-01-01\n', "purchases.csv line 2: is not CSV"),
        (b"PAR1\x15\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_bad_file_is_named_by_line_and_column(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(InputRefused) as caught:
        read_histories(written(tmp_path, text), RUN_DATE)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"absent\.csv: cannot be read: No such file"):
        read_histories(tmp_path / "absent.csv", RUN_DATE)
