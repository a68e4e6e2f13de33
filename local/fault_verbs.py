"""Setting faults on a running local cloud: the verb `fault`, and the same for tests.

    with FaultRules(url).during(Rule(action="status", service="storage", method="objects.insert", nth=1)):
        ...

Does not own what a rule means (fault_rules.py).
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import httpx

from local import server
from local.fault_rules import Rule
from local.faults import PATH
from local.reader import Verb, print_table

EXAMPLE = "python -m local fault add --service storage --method objects.insert --status 503 --nth 1"


class FaultRefused(Exception):
    """The local cloud refused a fault; the message is its reason."""


class FaultRules:
    """The faults of the local cloud at an address.

    Args:
        url: of the owner's door.
    """

    def __init__(self, url: str) -> None:
        self._url = url + PATH

    def add(self, rule: Rule) -> str:
        """Set a rule; returns its id."""
        return str(self._answer("POST", json=asdict(rule))["id"])

    def list(self) -> list[dict[str, Any]]:
        """The rules that are set: id, rule, how many calls matched (seen) and failed (fired)."""
        return list(self._answer("GET")["faults"])

    def clear(self, id: str | None = None) -> int:
        """Take one rule away, or all; returns how many there were."""
        return len(self._answer("DELETE", params={"id": id} if id else {})["faults"])

    @contextmanager
    def during(self, *rules: Rule) -> Iterator[None]:
        """Set rules for a while."""
        ids = [self.add(rule) for rule in rules]
        try:
            yield
        finally:
            for id in ids:
                self.clear(id)

    def _answer(self, verb: str, **request: Any) -> dict[str, Any]:
        with httpx.Client(trust_env=False, timeout=60) as client:  # proxies of the environment lead elsewhere
            answer = client.request(verb, self._url, **request)
        body: dict[str, Any] = answer.json()
        if answer.is_error:
            raise FaultRefused(body["error"]["message"])
        return body


def add_verb(verb: Verb) -> None:
    """Add `fault` to the command line."""
    parser = verb("fault", _fault, "make a running local cloud fail, by rules (add, list, clear)", EXAMPLE)
    parser.add_argument("do", choices=("add", "list", "clear"), help="set a rule, show all, take one or all away")
    parser.add_argument("--id", help="of the rule to clear (default: all)")
    actions = parser.add_argument_group("what happens; one of").add_mutually_exclusive_group()
    actions.add_argument("--status", type=int, help="answer this HTTP status, with Google's error body")
    actions.add_argument("--delay", type=float, metavar="SECONDS", help="wait")
    for name, help in (
        ("drop", "cut the connection"),
        ("truncate", "cut the body in the middle"),
        ("corrupt", "turn one byte of the body around"),
        ("pend", "say that a BigQuery job is still pending"),
        ("kill", "end the calling task of a Cloud Run job by SIGKILL"),
    ):
        actions.add_argument(f"--{name}", action="store_const", const=name, dest="action", help=help)
    which = parser.add_argument_group("to which calls")
    which.add_argument("--service", help="storage, bigquery, logging, run, metadata; patterns with * (default: all)")
    which.add_argument("--method", help="as in the REST reference (objects.insert), or an HTTP verb (default: all)")
    which.add_argument("--path", help="a pattern of the path, as in '*/o/receipts/*' (default: all)")
    which.add_argument("--job", help="only calls by tasks of this Cloud Run job (default: anybody's)")
    when = parser.add_argument_group("when")
    when.add_argument("--when", choices=("before", "after"), help="the effect (default: before; for bodies after)")
    when.add_argument("--nth", type=int, help="only this one of the matching calls (default: every one)")
    when.add_argument("--times", type=int, help="so many calls, from the nth on")
    when.add_argument("--chance", type=float, help="of each of these calls, from 0 to 1 (default: 1)")
    when.add_argument("--seed", type=int, help="the same seed chooses the same calls again (default: 0)")
    texts = parser.add_argument_group("what a --status says")
    texts.add_argument("--reason", help="the service's word, as in rateLimitExceeded (default: the status's)")
    texts.add_argument("--message", help="what a person reads")
    texts.add_argument("--body", help="the whole answer instead, as recorded from the real service")


def _fault(args: argparse.Namespace) -> None:
    rules = FaultRules(server.read_state(args.folder.resolve())["env"]["STORAGE_ENDPOINT"])
    if args.do == "add":
        print(rules.add(_rule(args)))
    elif args.do == "clear":
        print(rules.clear(args.id))
    else:
        shown = [[r["id"], *_words(r["rule"]), r["seen"], r["fired"]] for r in rules.list()]
        print_table(["id", "fault", "calls", "when", "seen", "fired"], shown)


def _rule(args: argparse.Namespace) -> Rule:
    action = args.action or ("status" if args.status else "delay" if args.delay is not None else "")
    names = (
        "service",
        "method",
        "path",
        "job",
        "when",
        "nth",
        "times",
        "chance",
        "seed",
        "status",
        "reason",
        "message",
        "body",
    )
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    try:
        return Rule(action=action, **given, **({"delay_seconds": args.delay} if args.delay is not None else {}))
    except ValueError as error:
        raise FaultRefused(str(error)) from error


def _words(rule: dict[str, Any]) -> tuple[str, str, str]:
    """A rule in three columns: what happens, to which calls, when."""
    details = {"status": f" {rule['status']}", "delay": f" {rule['delay_seconds']} s"}
    calls = [rule["service"], rule["method"], rule["path"], *([f"of job {rule['job']}"] if rule["job"] else [])]
    when = [rule["when"]] + [f"{name} {rule[name]}" for name in ("nth", "times") if rule[name]]
    when += [f"chance {rule['chance']} seed {rule['seed']}"] if rule["chance"] < 1 else []
    return rule["action"] + details.get(rule["action"], ""), " ".join(calls), " ".join(when)
