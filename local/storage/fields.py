"""The `fields` parameter: which parts of a resource a request wants to be answered.

https://cloud.google.com/storage/docs/json_api#partial-response
"""

import re
from collections.abc import Iterator
from typing import Any

from local.wire import CloudError

TOKEN = re.compile(r"[\w*-]+|[(),/]")
Wanted = dict[str, "Wanted"]  # an empty one wants everything below


def selected(body: dict[str, Any], mask: str) -> dict[str, Any]:
    """The parts of an answer that a mask such as `items(name,size),nextPageToken` names.

    Raises:
        CloudError: 400 for what is no mask.
    """
    tokens = TOKEN.findall(mask)
    if "".join(tokens) != re.sub(r"\s", "", mask):
        raise _invalid(mask)
    words = iter([*tokens, ""])
    wanted = _parse(words, mask, "")
    found = _cut(body, wanted)
    return found if isinstance(found, dict) else {}


def _parse(words: Iterator[str], mask: str, end: str) -> Wanted:
    """Read names up to `end`: a closing bracket, or "" behind the last."""
    wanted: Wanted = {}
    while True:
        place, word = wanted, next(words, "")
        while True:
            if not re.fullmatch(r"[\w*-]+", word):
                raise _invalid(mask)
            place, follows = place.setdefault(word, {}), next(words, "")
            if follows != "/":
                break
            word = next(words, "")
        if follows == "(":
            place |= _parse(words, mask, ")")
            follows = next(words, "")
        if follows == end:
            return wanted
        if follows != ",":
            raise _invalid(mask)


def _cut(value: Any, wanted: Wanted) -> Any:
    if not wanted:
        return value
    if isinstance(value, list):
        return [_cut(item, wanted) for item in value]
    if not isinstance(value, dict):
        return value
    if "*" in wanted:
        return {name: _cut(inner, wanted.get(name, wanted["*"])) for name, inner in value.items()}
    return {name: _cut(value[name], inner) for name, inner in wanted.items() if name in value}


def _invalid(mask: str) -> CloudError:
    return CloudError(400, "invalidParameter", f"Invalid field selection {mask!r}")
