"""`make down STACK=...`: `pulumi destroy`, and then a look at what is left of the stack, in control and data plane.

A stack that protects its data refuses, and keeps it. Does not delete what is left: it names it.
"""

import argparse
import json
import sys
from pathlib import Path

from tools import leftovers
from tools.engine import EXIT_USAGE, ROOT, Stack, ToolFailed, pending, refuse, resources, say

EXIT_LEFT = 1


def main(arguments: list[str] | None = None) -> int:
    """0 when nothing of the stack is left, 1 when something is, 2 or 4 when that could not be found out."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.down --stack dev")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--cwd", type=Path, default=ROOT, help="the project's folder (default: this clone)")
    given = parser.parse_args(arguments)
    try:
        return down(Stack(given.stack, given.cwd))
    except ToolFailed as error:
        return refuse(error)


def down(stack: Stack) -> int:
    """Destroy, then list; safe to repeat.

    Raises:
        ToolFailed: the stack does not exist, is in the middle of something, or cannot be listed.
    """
    if pending(stack.export()):
        text = f"Stack {stack.name!r} has unfinished operations, so `destroy` would not know all that exists."
        raise ToolFailed(f"{text} First: make recover STACK={stack.name}", EXIT_USAGE)
    destroyed = stack.show("destroy", "--stack", stack.name, "--yes", "--skip-preview")
    if destroyed:
        say(f"`pulumi destroy` ended with code {destroyed}: what it names above stays.")
    return report(stack) or destroyed


def report(stack: Stack) -> int:
    """List what is left; 0 when that is nothing of the stack's."""
    kept = [resource for resource in resources(stack.export()) if resource.get("custom")]
    for resource in kept:
        say(f"in the state  {resource['type']}  {resource['urn'].rpartition('::')[2]}")
    found = leftovers.find(stack)
    # Alone in its backend and on a cloud of this machine, all that is there was the stack's.
    alone = "PULUMI_DEBUG_PROVIDERS" in stack.env and not _others(stack)
    ours = [left for left in found if left.ours or alone]
    for left in ours:
        say(f"{left.plane} plane  {left.kind}  {left.name}")
    foreign = len(found) - len(ours)
    if foreign:
        say(f"Not of this stack, in the same project: {foreign} more.")
    if kept or ours:
        say(f"Of stack {stack.name!r} are left: {len(kept)} in the state, {len(ours)} on the platform.")
        return EXIT_LEFT
    say(f"Nothing of stack {stack.name!r} is left. Log entries stay until the platform's retention ends.")
    return 0


def _others(stack: Stack) -> bool:
    """Whether another stack of this backend has resources."""
    found = json.loads(stack.run("stack", "ls", "--json"))
    return any(other.get("resourceCount") and other["name"] != stack.name for other in found)


if __name__ == "__main__":
    sys.exit(main())
