"""Property values as the engine sends them, and as Python sees them.

A message marks secrets, assets and values that are not known yet with signatures inside plain structures; here they are
types of their own. Owns both directions, and what is kept or shown of a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2  # type: ignore[import-untyped]  # ships no types
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # ships no types

# The marks of the protocol: https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/sig/sig.go
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a mark, not a secret)
ASSETS = {"c44067f5952c0a294b673a41bacd8c17": "asset", "0def7320c3a5731c473e5ecbe6d01bc7": "archive"}
# One per type the value will have: https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/resource/plugin/rpc.go
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWNS = {
    UNKNOWN_STRING,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}
MASK = "[secret]"

Properties = dict[str, Any]


class Unknown:
    """The type of `UNKNOWN`: a value that a preview cannot know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown or kept in clear."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True)
class Asset:
    """A file or text (`asset`), or several (`archive`); with the same hash they are the same."""

    kind: str
    fields: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Asset):
            return False
        mine, theirs = self.fields.get("hash"), other.fields.get("hash")
        return mine == theirs if mine and theirs else self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields.get("hash"))


def decode(message: struct_pb2.Struct) -> Properties:
    """The properties of a message; whole numbers become ints."""
    return {key: _decoded(value) for key, value in MessageToDict(message).items()}


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as a message; entries that are None are left out, as the platform leaves out what it does not have."""
    message = struct_pb2.Struct()
    message.update({key: _encoded(value) for key, value in properties.items() if value is not None})
    return message


def plain(value: Any) -> Any:
    """The same without secret marks, for the platform."""
    return _mapped(value, lambda found: plain(found.value) if isinstance(found, Secret) else found)


def masked(value: Any) -> Any:
    """The same as JSON for keeping: of a secret only that there is one, of an asset only its hash."""

    def mask(found: Any) -> Any:
        if isinstance(found, Secret):
            return MASK
        return {found.kind: found.fields.get("hash", "")} if isinstance(found, Asset) else found

    return _mapped(value, mask)


def known(value: Any) -> bool:
    """Whether nothing in a value is unknown."""
    if isinstance(value, Secret):
        return known(value.value)
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return value is not UNKNOWN


def marked_like(value: Any, pattern: Any) -> Any:
    """Mark as secret what is secret at the same place of a pattern: outputs after the inputs they come from."""
    if isinstance(pattern, Secret):
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(value, Mapping) and isinstance(pattern, Mapping):
        return {key: marked_like(item, pattern.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(pattern, list) and len(value) == len(pattern):
        return [marked_like(item, like) for item, like in zip(value, pattern, strict=True)]
    return value


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        mark = value.get(SIGNATURE)
        if mark == SECRET:
            return Secret(_decoded(value.get("value")))
        if mark in ASSETS:
            return Asset(ASSETS[mark], {k: v for k, v in value.items() if k != SIGNATURE})
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if isinstance(value, str) and value in UNKNOWNS else value


def _encoded(value: Any) -> Any:
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": _encoded(value.value)}
    if isinstance(value, Asset):
        mark = next(mark for mark, kind in ASSETS.items() if kind == value.kind)
        return {SIGNATURE: mark, **value.fields}
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return UNKNOWN_STRING if value is UNKNOWN else value
