"""What one line of a task's output becomes, good or odd."""

import json
from typing import Any

import pytest

from local.job_output import entry

P = "logging.googleapis.com/"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Well done.", {"textPayload": "Well done."}),
        (b"[1, 2]", {"textPayload": "[1, 2]"}),
        (b'{"half": ', {"textPayload": '{"half": '}),
        (b"caf\xe9", {"textPayload": "caf\ufffd"}),
        (b'{"message": "m"}', {"jsonPayload": {"message": "m"}}),
        (b'{"severity": "info", "a": 1}', {"severity": "INFO", "jsonPayload": {"a": 1}}),
    ],
)
def test_a_line_becomes_text_or_an_object(line: bytes, expected: dict[str, Any]) -> None:
    assert entry(line) == expected


@pytest.mark.parametrize(
    "field", [{"severity": "LOUD"}, {"time": "noon"}, {f"{P}trace_sampled": "yes"}, {f"{P}labels": 1}]
)
def test_a_special_field_that_cannot_be_read_stays_where_a_person_sees_it(field: dict[str, Any]) -> None:
    assert entry(json.dumps(field).encode()) == {"jsonPayload": field}


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": {"seconds": 1_700_000_000, "nanos": 5_000_000}},
        {"timestamp": {"seconds": "1700000000", "nanos": 5_000_000}},
        {"timestampSeconds": 1_700_000_000, "timestampNanos": 5_000_000},
        {"timestampSeconds": "1700000000", "timestampNanos": "5000000"},
    ],
)
def test_a_time_may_be_written_as_seconds_and_nanoseconds(fields: dict[str, Any]) -> None:
    assert entry(json.dumps(fields).encode()) == {"timestamp": "2023-11-14T22:13:20.005Z", "jsonPayload": {}}


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": {"seconds": 1e9}},
        {"timestamp": {"seconds": -1, "nanos": 0}},
        {"timestamp": {"nanos": 5}},
        {"timestamp": {"seconds": 5, "days": 1}},
        {"timestampSeconds": 1, "timestampNanos": 10**9},
        {"timestampSeconds": 10**15},
    ],
)
def test_seconds_that_are_no_time_stay_where_a_person_sees_them(fields: dict[str, Any]) -> None:
    assert entry(json.dumps(fields).encode()) == {"jsonPayload": fields}


def test_special_fields_move_out_and_empty_ones_disappear() -> None:
    line = {
        "message": "m",
        "time": "2024-05-01T07:00:00+02:00",
        f"{P}labels": {"rows": 3},
        f"{P}trace": "projects/p/traces/1",
        f"{P}spanId": "",
        f"{P}trace_sampled": False,
        f"{P}sourceLocation": {"file": "main.py", "line": "7"},
        f"{P}insertId": "a",
        "httpRequest": {},
    }
    assert entry(json.dumps(line).encode()) == {
        "timestamp": "2024-05-01T05:00:00Z",
        "labels": {"rows": "3"},
        "trace": "projects/p/traces/1",
        "sourceLocation": {"file": "main.py", "line": "7"},
        "insertId": "a",
        "jsonPayload": {"message": "m"},
    }
