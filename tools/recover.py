"""`make recover STACK=...`: mends a stack whose `up` or `destroy` was killed, without anybody editing its state.

The lock of a process that is gone is given back. What was being made when it was killed is adopted where it exists and
forgotten where it does not. Does not deploy: the next `pulumi up` goes on from there.
"""

import argparse
import copy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools import adoption, locks
from tools.engine import EXIT_USAGE, ROOT, Stack, ToolFailed, pending, refuse, resources, say


def main(arguments: list[str] | None = None) -> int:
    """0 when the next `pulumi up` can go on, 2 when a lock must stay, 4 when the backend or a provider failed."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.recover --stack dev")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--cwd", type=Path, default=ROOT, help="the project's folder (default: this clone)")
    parser.add_argument(
        "--adopt",
        action="append",
        default=[],
        type=_name_and_id,
        metavar="NAME=ID",
        help="the provider's id of an unfinished resource",
    )
    given = parser.parse_args(arguments)
    try:
        recover(Stack(given.stack, given.cwd), dict(given.adopt))
    except ToolFailed as error:
        return refuse(error)
    return 0


def _name_and_id(text: str) -> tuple[str, str]:
    name, _, id = text.partition("=")
    if not (name and id):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=ID")
    return name, id


def recover(stack: Stack, known: Mapping[str, str]) -> None:
    """Give dead locks back, then settle what was pending. Safe to repeat; a failure leaves the state as it was.

    Args:
        known: provider ids by logical name, of resources whose id nobody can work out.

    Raises:
        ToolFailed: a lock's process may still run, or the state could not be mended.
    """
    release(stack)
    before = stack.export()
    if not pending(before):
        say(f"Stack {stack.name!r} has no unfinished operation. `pulumi up --stack {stack.name}` can go on.")
        return
    for operation in pending(before):
        say(f"unfinished: {operation['type']} {_short(operation['resource']['urn'])}")
    settle(stack, before, known)


def release(stack: Stack) -> None:
    """Give back the locks of processes that are gone.

    Raises:
        ToolFailed: one may still be held; none is given back then.
    """
    held = locks.of(stack)
    for lock in held:
        if refusal := lock.refusal():
            raise ToolFailed(f"Stack {stack.name!r} is locked by {lock}. {refusal}", EXIT_USAGE)
    for note in locks.mend_notes(stack):  # first: without it no command can read the stack
        say(f"half-written note removed: {note.name}")
    if held:
        stack.run("cancel", "--stack", stack.name, "--yes")
    for lock in held:
        say(f"lock given back: {lock}")


def settle(stack: Stack, before: dict[str, Any], known: Mapping[str, str]) -> None:
    """Put what may have been made into the state, then let the engine read it: what is not there goes again.

    `pulumi refresh --import-pending-creates` would be the engine's own way; 3.259 forgets what it is given
    (docs/surprises.md).
    """
    trial = copy.deepcopy(before)
    begun, trial["deployment"]["pending_operations"] = pending(before), []
    there = {resource["urn"] for resource in resources(before)}
    candidates = []
    for operation in begun:
        resource = operation["resource"]
        if operation["type"] != "creating":
            candidates.append(resource["urn"])  # it is in the state already, perhaps not as it is now
        elif resource["urn"] not in there and (id := adoption.id_of(resource, stack, known)):
            # With its inputs as outputs it is read as a resource that is known, not imported with inputs made up anew.
            trial["deployment"]["resources"].append({**resource, "id": id, "outputs": resource.get("inputs", {})})
            candidates.append(resource["urn"])
    stack.restore(trial)
    targets = [option for urn in candidates if urn in _urns(trial) for option in ("--target", urn)]
    try:
        if targets:
            stack.run("refresh", "--stack", stack.name, "--yes", "--skip-preview", *targets)
    except ToolFailed:
        stack.restore(before)
        raise
    _report(begun, _urns(stack.export()), stack)


def _report(begun: list[dict[str, Any]], now: set[str], stack: Stack) -> None:
    for operation in begun:
        urn = operation["resource"]["urn"]
        fate = "kept in the state, as it is now" if urn in now else "not there"
        if operation["type"] == "creating":
            again = "to be made again, which changes nothing that exists"
            forgotten = again if adoption.repeatable(operation["resource"]["type"]) else "does not exist; forgotten"
            fate = "exists; adopted" if urn in now else forgotten
        say(f"  {_short(urn)}: {fate}")
    say(f"Stack {stack.name!r} is mended. Next: pulumi up --stack {stack.name}")


def _urns(state: Mapping[str, Any]) -> set[str]:
    return {resource["urn"] for resource in resources(state)}


def _short(urn: str) -> str:
    kind, name = urn.split("::")[2].rpartition("$")[2], urn.rpartition("::")[2]
    return f"{kind.rpartition(':')[2]} {name!r}"


if __name__ == "__main__":
    sys.exit(main())
