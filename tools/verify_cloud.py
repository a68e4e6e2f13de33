"""`make verify-cloud STACK=...`: each assumption that no rehearsal proves, and with credentials whether it holds.

Reads only. Does not own the assumptions (assumptions.yaml) or how one is checked (assumption_checks.py).
"""

import argparse
import json
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools import assumption_checks
from tools.assumption_checks import Deployment, NotYet, Violated
from tools.engine import EXIT_USAGE, ROOT, Stack, ToolFailed, say

FILE = Path(__file__).with_name("assumptions.yaml")
HOLDS, FAILS, OPEN, UNCHECKED = "holds", "FAILS", "by hand", "not checked"


@dataclass(frozen=True)
class Assumption:
    """One line of the list; `check` names a function of assumption_checks, or is empty."""

    id: str
    claim: str
    why: str
    used: list[str]
    how: str
    check: str = ""


def main(arguments: list[str] | None = None) -> int:
    """0 when no check failed, also when none could be run; 1 when one did; 2 for an unknown stack."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.verify_cloud --stack dev")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--cwd", type=Path, default=ROOT, help="the project's folder (default: this clone)")
    given = parser.parse_args(arguments)
    if not (given.cwd / f"Pulumi.{given.stack}.yaml").is_file():
        print(f"error: There is no file 'Pulumi.{given.stack}.yaml'.", file=sys.stderr)
        return EXIT_USAGE
    deployment = reached(Stack(given.stack, given.cwd))
    verdicts: Counter[str] = Counter()
    for assumption in load():
        verdict, words = judge(assumption, deployment)
        verdicts[verdict] += 1
        say(f"{assumption.id}: {verdict}" + (f": {words}" if words else ""))
        for label, text in (("claim", assumption.claim), ("why", assumption.why), ("how", assumption.how)):
            say(textwrap.fill(text, 110, initial_indent=f"  {label:6}", subsequent_indent=" " * 8))
        say(f"  used  {', '.join(assumption.used)}")
    say(", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items())))
    return 1 if verdicts[FAILS] else 0


def load() -> list[Assumption]:
    """The list, in the order of its file."""
    return [Assumption(**entry) for entry in yaml.safe_load(FILE.read_text())]


def reached(stack: Stack) -> Deployment | str:
    """The deployed stack, with credentials to look at it; else why nothing can be checked."""
    try:
        outputs: dict[str, Any] = json.loads(stack.run("stack", "output", "--stack", stack.name, "--json"))
    except ToolFailed as error:
        return f"the stack cannot be read: {_line(str(error))}"
    if not outputs:
        return f"stack {stack.name!r} is not deployed; `pulumi up --stack {stack.name}` first"
    try:
        credentials = assumption_checks.credentials()
    except NotYet as reason:
        return str(reason)
    return Deployment(stack.config("gcp:project"), stack.config("gcp:region"), outputs, credentials)


def judge(assumption: Assumption, deployment: Deployment | str) -> tuple[str, str]:
    """The verdict on one assumption, and what was seen."""
    if not assumption.check:
        return OPEN, ""
    if isinstance(deployment, str):
        return UNCHECKED, deployment
    try:
        return HOLDS, assumption_checks.CHECKS[assumption.check](deployment)
    except NotYet as reason:
        return UNCHECKED, str(reason)
    except Violated as found:
        return FAILS, str(found)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


if __name__ == "__main__":
    sys.exit(main())
