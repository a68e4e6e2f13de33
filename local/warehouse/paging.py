"""Pages of lists: `maxResults` and `pageToken` of a request, `nextPageToken` of its answer."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from local.wire import CloudError

T = TypeVar("T")
DEFAULT_PAGE = 1000


def number(query: Mapping[str, object], name: str, default: int) -> int:
    """A parameter that must be a non-negative integer.

    Raises:
        CloudError: 400.
    """
    value = query.get(name)
    if value in (None, ""):
        return default
    try:
        given = int(str(value))
    except ValueError:
        given = -1
    if given < 0:
        raise CloudError(400, "invalid", f"Invalid value for {name}: {value!r} is not a non-negative integer")
    return given


def start_of(query: Mapping[str, object]) -> int:
    """Where a page starts: the token of the page before, else startIndex, else 0."""
    token = query.get("pageToken")
    if not token:
        return number(query, "startIndex", 0)
    if not str(token).isdigit():
        raise CloudError(400, "invalid", f"Invalid page token {token!r}")
    return int(str(token))


def page(items: Sequence[T], query: Mapping[str, str]) -> tuple[Sequence[T], dict[str, str]]:
    """The asked page, and `{"nextPageToken"}` when there is another."""
    start, size = start_of(query), number(query, "maxResults", DEFAULT_PAGE) or DEFAULT_PAGE
    end = start + size
    return items[start:end], {"nextPageToken": str(end)} if end < len(items) else {}
