"""`python -m service <verb>`: the one place that maps failures to exit codes.

Does not own the command line (`arguments.py`), the verbs (`verbs.py`) or the work. Data goes to stdout, JSON log lines
to stderr.
"""

import logging
from collections.abc import Mapping, Sequence

from service import logs, settings, upstream
from service.arguments import parser
from service.errors import BadUsage
from service.verbs import VERBS

BUG = 1


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 1 bug, 2 usage, 3 data, 4 upstream (see errors.py)."""
    args = parser().parse_args(arguments)
    verb = VERBS[args.verb]
    labels: dict[str, str] = {}
    try:
        if getattr(args, "force", False) and not args.reason:
            raise BadUsage("--force overrules the gate without a reason.", "Add --reason 'why this is right'.")
        known = settings.read(
            environment, model=args.model, runs_model=verb.action is not None or args.verb == "replay"
        )
        if verb.action:
            labels = known.labels(verb.action, args.run_date)
    except BadUsage as error:
        with logs.to_stderr(labels):
            return _failed(error)
    with logs.to_stderr(labels):
        try:
            verb.run(args, known)
        except Exception as error:
            return _failed(error, known.names)
    return 0


def _failed(error: Exception, names: Mapping[str, str] = upstream.NOTHING) -> int:
    """Log why, and return the exit code."""
    fault = upstream.translated(error, names)
    if fault is None:
        logs.log.error("This is a bug in the service.", exc_info=error)
        return BUG
    logs.event(str(fault), logging.ERROR, exit_code=fault.exit_code)
    return fault.exit_code
