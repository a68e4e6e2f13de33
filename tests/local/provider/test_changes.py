"""What counts as a change, where, and whether it needs a new resource."""

import json
from typing import Any

import pytest

from local.provider.changes import Change, compare
from local.provider.table_schema import changeable, dropped, equivalent
from local.provider.values import UNKNOWN, Asset, Secret


def changes(old: dict[str, Any], new: dict[str, Any], *replacing: str) -> list[Change]:
    return compare(old, new, replacing, lambda *_: False)


def test_equal_inputs_have_no_changes_even_where_one_is_secret() -> None:
    assert changes({"a": {"b": [1, {"c": "x"}]}}, {"a": {"b": [1, {"c": Secret("x")}]}}) == []


def test_a_change_is_found_at_its_place() -> None:
    old = {"rules": [{"age": 1}, {"age": 2}], "labels": {"a-b": "x"}}
    new = {"rules": [{"age": 1}, {"age": 3}], "labels": {"a-b": "y", "c": "z"}}
    assert changes(old, new) == [
        Change('labels["a-b"]', "update"),
        Change("labels.c", "add"),
        Change("rules[1].age", "update"),
    ]


def test_what_becomes_unknown_has_changed() -> None:
    assert changes({"a": 1}, {"a": UNKNOWN}) == [Change("a", "update")]


@pytest.mark.parametrize("new", [{}, {"block": {}}, {"block": {"field": "y"}}, {"block": {"field": UNKNOWN}}])
def test_a_change_of_or_around_a_replacing_field_replaces(new: dict[str, Any]) -> None:
    found = changes({"block": {"field": "x"}}, new, "block.field")
    assert [change.replaces for change in found] == [True]


def test_a_field_beside_a_replacing_one_changes_in_place() -> None:
    assert changes({"block": {"field": "x", "other": 1}}, {"block": {"field": "x", "other": 2}}, "block.field") == [
        Change("block.other", "update")
    ]


def test_an_asset_changes_with_its_hash() -> None:
    one, two = (Asset("asset", {"hash": hash, "path": "dag.py"}) for hash in ("1", "2"))
    assert changes({"source": one}, {"source": two}, "source") == [Change("source", "update", replaces=True)]


def schema(*columns: str) -> str:
    return json.dumps([dict(zip(("name", "type", "mode"), column.split(), strict=False)) for column in columns])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (schema("a INT64", "b FLOAT64"), schema("b FLOAT", "a INTEGER")),
        (schema("a BOOL NULLABLE"), schema("A BOOLEAN")),
        (schema("a DECIMAL"), schema("a NUMERIC")),
    ],
)
def test_a_schema_written_otherwise_is_the_same_schema(old: str, new: str) -> None:
    assert equivalent(old, new)


@pytest.mark.parametrize(
    ("old", "new", "in_place"),
    [
        (schema("a INT64"), schema("a INT64", "b STRING"), True),
        (schema("a INT64 REQUIRED"), schema("a INT64 NULLABLE"), True),
        (schema("a INT64", "b STRING"), schema("a INT64"), True),
        (schema("a INT64", "b STRING"), schema("a INT64", "c STRING"), False),
        (schema("a INT64"), schema("a STRING"), False),
        (schema("a INT64"), schema("a INT64 REQUIRED"), False),
        (schema("a INT64"), schema("a INT64", "b STRING REQUIRED"), False),
    ],
)
def test_a_schema_changes_in_place_only_where_bigquery_can(old: str, new: str, in_place: bool) -> None:
    assert changeable(old, new) is in_place


def test_dropped_columns_are_named() -> None:
    assert dropped(schema("a INT64", "b STRING"), schema("A INT64")) == ["b"]
