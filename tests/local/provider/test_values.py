"""Values survive the way from the engine's messages to Python and back."""

from hypothesis import given
from hypothesis import strategies as st

from local.provider.values import MASK, UNKNOWN, Asset, Secret, decode, encode, known, marked_like, masked, plain

ASSET = Asset("asset", {"hash": "abc", "text": "print(1)"})
LEAVES = st.one_of(st.text(), st.booleans(), st.integers(-(2**53), 2**53), st.just(UNKNOWN), st.just(ASSET))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(min_size=1), inner), inner.map(Secret)),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), VALUES))
def test_what_is_encoded_is_decoded_as_it_was(properties: dict[str, object]) -> None:
    assert decode(encode(properties)) == properties


def test_none_is_left_out_because_the_platform_leaves_out_what_it_does_not_have() -> None:
    assert decode(encode({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_a_secret_is_neither_kept_nor_shown() -> None:
    value = {"login": {"user": "me", "password": Secret("hunter2")}, "list": [Secret(1)]}
    assert "hunter2" not in repr(value), "a log line must not show it"
    assert masked(value) == {"login": {"user": "me", "password": MASK}, "list": [MASK]}
    assert plain(value) == {"login": {"user": "me", "password": "hunter2"}, "list": [1]}


def test_outputs_are_secret_where_inputs_are() -> None:
    inputs = {"a": Secret("x"), "b": {"c": Secret("y"), "d": "z"}, "e": [Secret(1), 2]}
    outputs = {"a": "x", "b": {"c": "y", "d": "z"}, "e": [1, 2], "id": "new"}
    assert marked_like(outputs, inputs) == {**inputs, "id": "new"}


def test_an_unknown_value_is_found_at_any_depth() -> None:
    assert not known({"a": [{"b": Secret(UNKNOWN)}]})
    assert known({"a": [{"b": Secret(1)}]})


def test_assets_are_compared_by_hash_because_paths_differ_between_clones() -> None:
    assert Asset("asset", {"hash": "abc", "path": "/elsewhere"}) == ASSET
    assert Asset("asset", {"hash": "def", "text": "print(1)"}) != ASSET
