"""Cloud Logging v2 of the local cloud: write, list and delete log entries.

Does not own the query language (log_filter.py), the rules for one entry (log_entry.py) or the file (log_store.py).
Sinks, metrics, buckets and live tailing are not supported.
"""

import base64
import itertools
import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local import log_entry, log_filter
from local.log_entry import Row
from local.log_store import LogStore, Position
from local.wire import Answer, Call, CloudError, Method

PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000  # as documented for entries.list
ORDERS = {"": False, "timestamp": False, "timestamp asc": False, "timestamp desc": True}
_PARENT = re.compile(log_entry.PARENTS)
_LIST_FIELDS = {"resourceNames", "filter", "orderBy", "pageSize", "pageToken"}


class Logs:
    """All logs of the local cloud.

    Args:
        folder: holds their file; nothing written is lost when the process is killed.
    """

    def __init__(self, folder: Path) -> None:
        self._store = LogStore(folder)

    def methods(self) -> list[Method]:
        """The table of methods."""
        logs = "/v2/projects/{project}/logs"
        return [
            Method("logging.entries.write", "POST", "/v2/entries:write", self._write_entries, "partialSuccess, dryRun"),
            Method(
                "logging.entries.list",
                "POST",
                "/v2/entries:list",
                self._list_entries,
                supports="filters with every operator, orderBy timestamp, pages",
                refuses="functions other than log_id(), log views",
            ),
            Method("logging.projects.logs.list", "GET", logs, self._list_logs),
            Method("logging.projects.logs.delete", "DELETE", logs + "/{log}", self._delete_log),
        ]

    def write(self, entries: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any] | None = None) -> None:
        """Keep entries; raises ValueError, and keeps none, when one of them is not a log entry."""
        self._store.add([log_entry.complete(entry, defaults or {}) for entry in entries])

    def find(self, project: str, filter: str = "", *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
        """The entries of a project that match a filter, in order of time."""
        for _, entry in self._matching([f"projects/{project}"], filter, descending=newest_first, after=None):
            yield entry

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _write_entries(self, call: Call) -> Answer:
        body = call.json()
        entries = body.get("entries")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise CloudError(400, "badRequest", "entries must be a list of log entries")
        rows, faults = _completed(entries, body)
        keeps = not faults or body.get("partialSuccess", body.get("partial_success"))
        if keeps and not body.get("dryRun", body.get("dry_run")):
            self._store.add(rows)
        if faults:
            raise CloudError(
                400, "badRequest", "; ".join(f"entries[{index}]: {text}" for index, text in faults.items())
            )
        return Answer(body={})

    def _list_entries(self, call: Call) -> Answer:
        body = call.json()
        if unknown := sorted(set(body) - _LIST_FIELDS):
            raise CloudError(400, "badRequest", f"Unknown field {unknown[0]!r} of ListLogEntriesRequest")
        names, filter, order = _parents(body), str(body.get("filter", "")), str(body.get("orderBy", ""))
        if order not in ORDERS:
            raise CloudError(400, "badRequest", f"orderBy {order!r} is not one of 'timestamp asc', 'timestamp desc'")
        size, query = _page_size(body), [names, filter, order]
        after = _position(str(body.get("pageToken", "")), query)
        found = list(itertools.islice(self._matching(names, filter, descending=ORDERS[order], after=after), size + 1))
        answer: dict[str, Any] = {"entries": [entry for _, entry in found[:size]]}
        if len(found) > size:
            answer["nextPageToken"] = _token(found[size - 1][0], query)
        return Answer(body=answer)

    def _matching(
        self, parents: Sequence[str], text: str, *, descending: bool, after: Position | None
    ) -> Iterator[tuple[Position, dict[str, Any]]]:
        wanted = log_filter.parse(text)
        rows = self._store.scan(parents, since=wanted.since, until=wanted.until, after=after, descending=descending)
        found = (row for row in rows if wanted.matches(row[1]))
        # Of the same project, instant and insert id one is shown, whatever the log: the others are its duplicates.
        return (next(same) for _, same in itertools.groupby(found, key=operator.itemgetter(0)))

    def _list_logs(self, call: Call) -> Answer:
        return Answer(body={"logNames": self._store.names(f"projects/{call.params['project']}")})

    def _delete_log(self, call: Call) -> Answer:
        try:
            name = log_entry.log_name("/".join(call.path.split("/")[2:]))
        except ValueError as error:
            raise CloudError(400, "badRequest", str(error)) from error
        if not self._store.delete(name):
            raise CloudError(404, "notFound", f"Log {name!r} has no entries")
        return Answer(body={})


def _completed(entries: list[dict[str, Any]], defaults: Mapping[str, Any]) -> tuple[list[Row], dict[int, str]]:
    rows: list[Row] = []
    faults: dict[int, str] = {}
    for index, entry in enumerate(entries):
        try:
            rows.append(log_entry.complete(entry, defaults))
        except ValueError as error:
            faults[index] = str(error)
    return rows, faults


def _parents(body: Mapping[str, Any]) -> list[str]:
    names = body.get("resourceNames")
    if not isinstance(names, list) or not names:
        raise CloudError(400, "badRequest", "resourceNames must name at least one parent, as in 'projects/my-project'")
    for name in names:
        if not _PARENT.fullmatch(str(name)):
            raise CloudError(400, "badRequest", f"resourceNames: {name!r} is not a parent, as in 'projects/my-project'")
    return [str(name) for name in names]


def _page_size(body: Mapping[str, Any]) -> int:
    size = body.get("pageSize") or PAGE_SIZE
    if not isinstance(size, int) or size < 0:
        raise CloudError(400, "badRequest", f"pageSize must be a positive number, not {size!r}")
    return min(size, MAX_PAGE_SIZE)


def _token(position: Position, query: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([position, query]).encode()).decode()


def _position(token: str, query: list[Any]) -> Position | None:
    """Where the next page begins; the token carries its query, so that it cannot continue another one."""
    if not token:
        return None
    try:
        (timestamp, insert_id, parent), asked = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise CloudError(400, "badRequest", f"pageToken {token!r} is not one of this service") from error
    if asked != query:
        raise CloudError(400, "badRequest", "pageToken belongs to a request with other names, filter or order")
    return timestamp, insert_id, parent
