"""Purchases as rows of a CSV, and each customer's history as the model needs it.

Does not own where the purchases come from, nor what the model makes of them.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("customer_id", "purchased_on")
DAYS_PER_WEEK = 7


class InputRefused(Exception):
    """A file that cannot be used; the text names file, line or column, the value and what would be right."""


@dataclass(frozen=True)
class Histories:
    """What BG/NBD knows of each customer; arrays of equal length, one element per customer, in the order of the ids.

    Purchases of one customer on one day count as one. Times are in weeks since the customer's first purchase.
    """

    customer_ids: list[str]  # sorted as text
    repeats: NDArray[np.float64]  # days with a purchase after the first (x in the paper)
    recency: NDArray[np.float64]  # time of the last purchase, 0 without repeats (t_x)
    age: NDArray[np.float64]  # time of the end of the observation (T)


def read_histories(path: Path, run_date: date) -> Histories:
    """Read a CSV with the columns `customer_id` and `purchased_on`; others are ignored.

    The observation ends with the day before the run date, the last one that is complete.

    Raises:
        InputRefused: the file is missing, empty or malformed, or holds a purchase on or after the run date.
    """
    with _named_faults(path), path.open(encoding="utf-8-sig", newline="") as file:
        ids, customers, days = _read_rows(file, path, run_date)
    if not ids:
        raise InputRefused(f"{path}: there is no purchase below the header; give purchases before {run_date}")
    return _summarised(ids, np.frombuffer(customers, dtype=np.int64), np.frombuffer(days, dtype=np.int64), run_date)


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    """Give errors of reading the file's name."""
    try:
        yield
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputRefused(f"{path}: is not UTF-8 text (byte {error.start} of a piece); is it CSV?") from error


def _read_rows(file: TextIO, path: Path, run_date: date) -> tuple[dict[str, int], "array[int]", "array[int]"]:
    """Ids in the order of their first row, and for each row the index of its customer and its day (ordinal)."""
    rows = csv.reader(file, strict=True)
    ids: dict[str, int] = {}
    known: dict[str, int] = {}  # few days, many rows: each date is parsed once
    customers, days = array("q"), array("q")
    try:
        header = next(rows, [])
        places = [_place(header, column, path) for column in COLUMNS]
        for row in rows:
            at = f"{path.name} line {rows.line_num}"
            if len(row) != len(header):
                raise InputRefused(f"{at}: {len(row)} values where the header has {len(header)} columns")
            customer, day = (row[place] for place in places)
            if not customer:
                raise InputRefused(f"{at}, column {COLUMNS[0]}: is empty; every purchase needs a customer")
            if day not in known:
                known[day] = _ordinal(day, run_date, f"{at}, column {COLUMNS[1]}")
            customers.append(ids.setdefault(customer, len(ids)))
            days.append(known[day])
    except csv.Error as error:
        raise InputRefused(f"{path.name} line {rows.line_num}: is not CSV: {error}") from error
    return ids, customers, days


def _place(header: list[str], column: str, path: Path) -> int:
    if header.count(column) != 1:
        found = ", ".join(header) or "nothing"
        raise InputRefused(f"{path.name} line 1: needs one column {column}; the header holds '{found}'")
    return header.index(column)


def _ordinal(text: str, run_date: date, at: str) -> int:
    try:
        if len(text) != 10 or text[4] + text[7] != "--":  # fromisoformat also takes 19970101 and 1997-W01-1
            raise ValueError
        day = date.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"{at}: '{text}' is not a date; write YYYY-MM-DD") from None
    if day >= run_date:
        raise InputRefused(f"{at}: '{text}' is not before the run date {run_date}; give earlier purchases only")
    return day.toordinal()


def _summarised(ids: Iterable[str], customers: NDArray[np.int64], days: NDArray[np.int64], run_date: date) -> Histories:
    names = list(ids)
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))

    # One number for each customer and day, so that sorting merges purchases of the same day.
    span = date.max.toordinal() + 1
    merged = np.unique(rank[customers] * span + days)
    customer, day = merged // span, merged % span
    first = np.searchsorted(customer, np.arange(len(names)), side="left")
    last = np.searchsorted(customer, np.arange(len(names)), side="right") - 1
    end = run_date.toordinal() - 1
    return Histories(
        customer_ids=[names[i] for i in order],
        repeats=(last - first).astype(np.float64),
        recency=(day[last] - day[first]) / DAYS_PER_WEEK,
        age=(end - day[first]) / DAYS_PER_WEEK,
    )
