"""Objects of a bucket in order of their names: pages, prefixes as folders, globs, versions."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.storage.catalog import Catalog, Rows
from local.storage.records import StoredObject
from local.storage.resources import object_resource
from local.storage.routes import LISTED, invalid, number, row, unsupported
from local.wire import Answer, Call, Method, flag

PAGE = 1000
GLOB = re.compile(
    r"(?P<any>\*\*)|(?P<part>\*)|(?P<one>\?)|\[(?P<set>[!^]?\]?[^\]]*)\]|(?P<open>\{)|(?P<close>\})|(?P<comma>,)"
)
AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True)
class Selection:
    """Which versions a listing shows, and what stands for many of them."""

    bucket: str
    state: str  # condition on the state of a version, in SQL
    prefix: str
    delimiter: str
    trailing: bool  # an object whose name is a prefix shows itself as well
    pattern: re.Pattern[str] | None
    first: str
    end: str

    def folder(self, name: str) -> str | None:
        """The prefix that stands for a name, if one does."""
        place = name.find(self.delimiter, len(self.prefix)) if self.delimiter else -1
        return name[: place + len(self.delimiter)] if place >= 0 else None


@dataclass
class Page:
    """Up to `limit` versions and prefixes, and where the next page begins."""

    limit: int
    items: list[StoredObject] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    following: tuple[str, int] | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more fits."""
        return len(self.items) + len(self.prefixes) >= self.limit


FOLDERS = "prefix pageToken pageSize"  # `gcloud storage rm -r` asks for managed folders


class Listing:
    """The method that lists objects."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def methods(self) -> list[Method]:
        """The table of methods."""
        refuses = "filter; matchGlob with a delimiter"
        one = "/storage/v1/b/{bucket}"
        return [
            row("storage.objects.list", "GET", f"{one}/o", self._list, LISTED, refuses=refuses),
            row("storage.managedFolders.list", "GET", f"{one}/managedFolders", self._folders, FOLDERS, supports="none"),
        ]

    def _folders(self, call: Call) -> Answer:
        with self._catalog.reading() as rows:
            rows.bucket(call.params["bucket"])
        return Answer(body={"kind": "storage#managedFolders", "items": []})

    def _list(self, call: Call) -> Answer:
        chosen = selection(call)
        start = place_of(call.query["pageToken"]) if call.query.get("pageToken") else (chosen.first, 0)
        limit = number(call.query, "maxResults") or PAGE
        if limit < 0:
            raise invalid(f"Invalid value {limit} for parameter 'maxResults'")
        with self._catalog.reading() as rows:
            rows.bucket(chosen.bucket)
            page = read_page(rows, chosen, start, min(limit, PAGE))
        body: dict[str, Any] = {"kind": "storage#objects"}
        if token := next_page(page):
            body["nextPageToken"] = token
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.items:
            body["items"] = [object_resource(version, call.base_url) for version in page.items]
        return Answer(body=body)


def read_page(rows: Rows, selection: Selection, start: tuple[str, int], limit: int) -> Page:
    """One page of a listing. A folder of any size costs two rows, because what it hides is jumped over."""
    page = Page(limit)
    here: tuple[str, int] | None = start
    while here:
        here = _read_to_folder(page, rows.scan(selection.bucket, selection.state, here, selection.end), selection)
    return page


def _read_to_folder(page: Page, versions: Iterator[StoredObject], selection: Selection) -> tuple[str, int] | None:
    """Read until a folder hides what follows, and answer the place behind it; None when the page is done."""
    for version in versions:
        if selection.pattern and not selection.pattern.fullmatch(version.name):
            continue
        folder = selection.folder(version.name)
        shows_itself = folder is None or (selection.trailing and folder == version.name)
        shows_folder = folder is not None and page.prefixes[-1:] != [folder]
        if folder is not None and not shows_itself and not shows_folder:
            return (after(folder), 0) if after(folder) else None
        if page.full:
            page.following = (version.name, version.generation)
            return None
        if shows_folder and folder is not None:
            page.prefixes.append(folder)
        if shows_itself:
            page.items.append(version)
    return None


def glob(rows: Rows, bucket: str, pattern: str) -> Iterator[StoredObject]:
    """Live versions whose names match a pattern in which `*` stands for any text, as BigQuery reads it."""
    head = pattern.partition("*")[0]
    compiled = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    versions = rows.scan(bucket, "state = 'live'", (head, 0), after(head))
    return (version for version in versions if compiled.fullmatch(version.name))


def after(prefix: str) -> str:
    """The first text that is greater than all texts with this prefix; "" when there is none."""
    stem = prefix.rstrip(AFTER_ALL)
    if not stem:
        return ""
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)  # no text holds a lone surrogate


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A `matchGlob`: `*` and `?` stop at `/`, `**` does not; `[...]` and `{a,b}` as in a shell."""
    fixed = {"any": ".*", "part": "[^/]*", "one": "[^/]", "open": "(?:", "close": ")"}
    text, depth, place = "", 0, 0
    for match in GLOB.finditer(glob):
        text += re.escape(glob[place : match.start()])
        kind, place = str(match.lastgroup), match.end()
        depth += {"open": 1, "close": -1}.get(kind, 0)
        if kind == "set":
            inner = match["set"].replace("\\", "\\\\").replace("[", "\\[")
            text += "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]"
        elif kind == "comma":
            text += "|" if depth else ","
        else:
            text += fixed[kind]
    try:
        return re.compile(text + re.escape(glob[place:]), re.DOTALL)
    except re.error as error:
        raise invalid(f"Invalid value {glob!r} for parameter 'matchGlob': {error}") from error


def selection(call: Call) -> Selection:
    """What a request for a listing asks for.

    Raises:
        CloudError: 400 or 501.
    """
    query, prefix = call.query, call.query.get("prefix", "")
    if query.get("matchGlob") and query.get("delimiter"):
        raise unsupported("query parameter 'matchGlob' together with 'delimiter'")
    pattern = glob_pattern(query["matchGlob"]) if query.get("matchGlob") else None
    literal = re.split(r"[*?\[{]", query.get("matchGlob", ""), maxsplit=1)[0]  # every match begins with it
    ends = [end for end in (after(prefix), after(literal), query.get("endOffset", "")) if end]
    return Selection(
        bucket=call.params["bucket"], state=_state(query), prefix=prefix, delimiter=query.get("delimiter", ""),
        trailing=flag(query, "includeTrailingDelimiter"), pattern=pattern,
        first=max(prefix, literal, query.get("startOffset", "")), end=min(ends, default=""),
    )  # fmt: skip


def _state(query: Mapping[str, str]) -> str:
    if flag(query, "softDeleted"):
        if flag(query, "versions"):
            raise invalid("Parameters 'versions' and 'softDeleted' exclude each other")
        return "state = 'softDeleted'"
    return "state != 'softDeleted'" if flag(query, "versions") else "state = 'live'"


def next_page(page: Page) -> str | None:
    """What names the page after this one, None after the last."""
    return base64.urlsafe_b64encode(json.dumps(page.following).encode()).decode() if page.following else None


def place_of(token: str) -> tuple[str, int]:
    """Where the page begins that a token names.

    Raises:
        CloudError: 400 when no page was named so.
    """
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
        return str(name), int(generation)
    except ValueError as error:
        raise invalid(f"Invalid value {token!r} for parameter 'pageToken'") from error
