"""What a person reads of a running local cloud, by the verbs `logs`, `executions` and `query`."""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from rich.console import Console
from rich.table import Table

from local import log_entry, server
from local.iam.authority import LOG_ID

Verb = Callable[[str, Callable[[argparse.Namespace], None], str, str], argparse.ArgumentParser]
FORMATS = ("table", "csv", "json")
LOG_PAGE = 1000
PIPE_WIDTH = 10_000  # characters: into a file or another program nothing is cut off


class ReadFailed(Exception):
    """The local cloud refused what was asked; the message is its reason."""


def add_verbs(verb: Verb) -> None:
    """Add the verbs of this module to the command line."""
    logs = verb(
        "logs", _logs, "print the newest log entries, oldest first", "python -m local logs --filter 'severity>=ERROR'"
    )
    logs.add_argument("--filter", default="", help="in the Logging query language (default: everything)")
    logs.add_argument("--limit", type=int, default=100, help="how many entries at most (default: %(default)s)")
    executions = verb("executions", _executions, "print the executions of jobs", "python -m local executions")
    example = """python -m local query 'SELECT * FROM predictions.runs' --format csv"""
    query = verb("query", _query, "print the rows of a query", example)
    query.add_argument("sql", help="in BigQuery's dialect")
    query.add_argument("--format", choices=FORMATS, default="table", help="(default: %(default)s)")
    query.add_argument("--limit", type=int, default=1000, help="how many rows at most (default: %(default)s)")
    for added in (logs, executions, query):
        added.add_argument("--project", help="(default: the project of the local cloud)")


def denials(env: Mapping[str, str], since: str) -> list[str]:
    """What the local cloud told of denied calls since a time, each once, oldest first."""
    filter_ = f'log_id("{LOG_ID}") AND timestamp>="{since}"'
    request = {"resourceNames": [f"projects/{env['GOOGLE_CLOUD_PROJECT']}"], "filter": filter_}
    entries = _entries(f"{env['LOGGING_ENDPOINT']}/v2/entries:list", request, LOG_PAGE)
    return list(dict.fromkeys(str(entry["jsonPayload"]["message"]) for entry in entries))


def _logs(args: argparse.Namespace) -> None:
    env, project = _cloud(args)
    request = {"resourceNames": [f"projects/{project}"], "filter": args.filter, "orderBy": "timestamp desc"}
    entries = list(_entries(f"{env['LOGGING_ENDPOINT']}/v2/entries:list", request, args.limit))
    for entry in reversed(entries):
        print(
            f"{entry['timestamp']:27} {entry.get('severity', 'DEFAULT'):9} {_source(entry)}  {log_entry.message(entry)}"
        )
    if not entries:
        _say(f"no log entries in project {project!r}" + (f" match {args.filter!r}" if args.filter else ""))


def _executions(args: argparse.Namespace) -> None:
    env, project = _cloud(args)
    parent = f"{env['RUN_ENDPOINT']}/v2/projects/{project}/locations/-/jobs/-"
    found = _answer("GET", f"{parent}/executions").get("executions", [])
    rows = [
        [
            e["name"].rpartition("/")[2],
            e.get("startTime", ""),
            e.get("completionTime", ""),
            *_outcome(e["conditions"][0]),
        ]
        for e in found
    ]
    print_table(["execution", "started", "ended", "state", "message"], rows)


def _query(args: argparse.Namespace) -> None:
    from google.cloud import bigquery  # half a second that the other verbs do not need

    env, project = _cloud(args)
    options = {"api_endpoint": env["BIGQUERY_ENDPOINT"]}
    client = bigquery.Client(project=project, credentials=AnonymousCredentials(), client_options=options)
    try:
        result = client.query_and_wait(args.sql, max_results=args.limit)
        names, rows = [field.name for field in result.schema], [list(row.values()) for row in result]
    except GoogleAPICallError as error:
        raise ReadFailed(error.errors[0]["message"] if error.errors else error.message) from error
    finally:
        client.close()
    {"table": print_table, "csv": _print_csv, "json": _print_json}[args.format](names, rows)
    if (total := result.total_rows or 0) > len(rows):
        _say(f"{len(rows)} of {total} rows; use --limit for more")


def _cloud(args: argparse.Namespace) -> tuple[dict[str, str], str]:
    env: dict[str, str] = server.read_state(args.folder.resolve())["env"]
    return env, args.project or env["GOOGLE_CLOUD_PROJECT"]


def _entries(url: str, request: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    token = ""
    while limit > 0:
        size = min(limit, LOG_PAGE)
        page = _answer("POST", url, request | {"pageSize": size} | ({"pageToken": token} if token else {}))
        yield from page.get("entries", [])
        limit, token = limit - size, page.get("nextPageToken", "")
        if not token:
            return


def _source(entry: dict[str, Any]) -> str:
    """The execution that wrote the entry, else the log it is in."""
    return str(entry.get("labels", {}).get("run.googleapis.com/execution_name") or entry["logName"].rpartition("/")[2])


def _outcome(completed: dict[str, Any]) -> tuple[str, str]:
    state = str(completed["state"]).removeprefix("CONDITION_").lower()
    return "running" if state == "reconciling" else state, completed.get("message", "")


def _answer(verb: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    with httpx.Client(trust_env=False, timeout=60) as client:  # proxies of the environment lead elsewhere
        answer = client.request(verb, url, json=body)
    found: dict[str, Any] = answer.json()
    if answer.is_error:
        raise ReadFailed(found["error"]["message"])
    return found


def print_table(names: list[str], rows: list[list[Any]]) -> None:
    """Print rows with a frame, as wide as the terminal; in full where there is none."""
    table = Table(*names)
    for row in rows:
        table.add_row(*("NULL" if value is None else str(value) for value in row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False).print(table)


def _print_csv(names: list[str], rows: list[list[Any]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows([names, *rows])


def _print_json(names: list[str], rows: list[list[Any]]) -> None:
    print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str, ensure_ascii=False))


def _say(text: str) -> None:
    """One line on stderr: stdout belongs to data."""
    print(text, file=sys.stderr)
