"""`python -m service <verb>`: one thin function per verb, and the one place that maps failures to exit codes.

Does not own the work. Data goes to stdout, JSON log lines to stderr.
"""

import argparse
import json
import logging
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import FrameType
from typing import NoReturn

from service import (
    application,
    check,
    explain,
    live_version,
    logs,
    promotions,
    receipt,
    replay,
    settings,
    spec,
    training,
    upstream,
    versions,
)
from service.clients import connect
from service.errors import BadUsage, UpstreamFailed
from service.receipt import Status
from service.run import Run, perform
from service.settings import Settings

BUG = 1


@dataclass(frozen=True)
class Verb:
    """One verb: its function, help and example, and the action of the model that it performs, if any."""

    run: Callable[[argparse.Namespace, Settings], None]
    help: str
    example: str
    action: str | None = None


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 1 bug, 2 usage, 3 data, 4 upstream (see errors.py)."""
    args = _parser().parse_args(arguments)
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
            return _failed(error)
    return 0


def _failed(error: Exception) -> int:
    """Log why, and return the exit code."""
    fault = upstream.translated(error)
    if fault is None:
        logs.log.error("This is a bug in the service.", exc_info=error)
        return BUG
    logs.event(str(fault), logging.ERROR, exit_code=fault.exit_code)
    return fault.exit_code


def _train(args: argparse.Namespace, known: Settings) -> None:
    _perform(args, known, VERBS["train"], training.train)


def _apply(args: argparse.Namespace, known: Settings) -> None:
    _perform(args, known, VERBS["apply"], application.apply)


def _check(args: argparse.Namespace, known: Settings) -> None:
    print(json.dumps(check.check(connect(known), known, args.action, args.run_date)))


def _versions(_: argparse.Namespace, known: Settings) -> None:
    bucket = connect(known).models
    history = promotions.history(bucket)
    live = promotions.live_on(history, date.max)
    for manifest in versions.all_of(bucket):
        dates = [p.effective_date for p in history if p.to_version == manifest.version]
        is_live = live is not None and live.to_version == manifest.version
        line = {"version": manifest.version, "live": is_live, "effective_dates": dates}
        print(json.dumps(line | {"created_at": manifest.created_at, "metrics": manifest.metrics}))


def _explain(args: argparse.Namespace, known: Settings) -> None:
    clients = connect(known)
    if args.run_id:
        found = explain.of_run(clients, args.run_id)
    elif args.run_date is None:
        raise BadUsage("It is not said what to explain.", "Give --run-id, or --run-date with or without --key.")
    elif args.key:
        found = explain.of_row(clients, known, spec.load(known.models_folder / known.model), args.key, args.run_date)
    else:
        found = explain.of_date(clients, known, args.action, args.run_date)
    print(json.dumps(found))


def _replay(args: argparse.Namespace, known: Settings) -> None:
    clients = connect(known)
    found = [r for r in receipt.of_run(clients.runs, args.run_id) if r["status"] == "succeeded"]
    if not found:
        text = f"Run '{args.run_id}' has no receipt of success in 'gs://{clients.runs.name}'."
        raise BadUsage(text, "Name a run that succeeded; the table of runs lists them.")
    with tempfile.TemporaryDirectory(prefix="predictions-") as folder, _stoppable():
        model = spec.load(known.models_folder / known.model)
        run = Run(
            settings=known,
            spec=model,
            action=model.actions[found[-1]["action"]],
            run_date=date.fromisoformat(found[-1]["run_date"]),
            clients=clients,
            folder=Path(folder),
        )
        print(json.dumps(replay.replay(run, found[-1])))


def _promote(args: argparse.Namespace, known: Settings) -> None:
    promotion = live_version.promote(
        connect(known).models,
        spec.load(known.models_folder / known.model),
        args.version,
        effective_date=args.effective_date,
        who=known.person,
        why=args.reason or "promoted by hand",
        force_reason=args.reason if args.force else None,
    )
    print(json.dumps(promotion.document()))


def _rollback(args: argparse.Namespace, known: Settings) -> None:
    promotion = live_version.roll_back(
        connect(known).models,
        args.to,
        effective_date=args.effective_date,
        who=known.person,
        why=args.reason or "rolled back by hand",
    )
    print(json.dumps(promotion.document()))


def _history(_: argparse.Namespace, known: Settings) -> None:
    for promotion in promotions.history(connect(known).models):
        print(json.dumps(promotion.document()))


VERBS = {
    "train": Verb(
        _train,
        help="make a version for a run date and promote it",
        example="python -m service train --run-date 2024-05-01",
        action="training",
    ),
    "apply": Verb(
        _apply,
        help="predict for a run date and replace its partition",
        example="python -m service apply --run-date 2024-05-01",
        action="application",
    ),
    "check": Verb(
        _check,
        help="see whether a run date is done",
        example="python -m service check --run-date 2024-05-01 --action training",
    ),
    "versions": Verb(
        _versions,
        help="list the versions of a model",
        example="python -m service versions --model customer_value",
    ),
    "promote": Verb(
        _promote,
        help="make a version live that passes its gate",
        example="python -m service promote --version 2024-05-01-0a1b2c3d --reason 'seen and found good'",
    ),
    "rollback": Verb(
        _rollback,
        help="make the version live again that the live one replaced, or a given one",
        example="python -m service rollback --model customer_value --reason 'too many lost customers'",
    ),
    "explain": Verb(
        _explain,
        help="tell what made a row, the predictions of a date, or a run",
        example="python -m service explain --run-date 2024-05-01 --key 0157",
    ),
    "replay": Verb(
        _replay,
        help="do a run once more and compare its fingerprints; delivers nothing",
        example="python -m service replay --run-id churn-training-2024-05-01-1a16838b",
    ),
    "history": Verb(
        _history,
        help="list all promotions and rollbacks, in the order in which they were recorded",
        example="python -m service history --model customer_value",
    ),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Train and apply a predictive model.",
        epilog=f"example: {VERBS['train'].example}",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.help, description=verb.help, epilog=f"example: {verb.example}")
        added.add_argument("--model", help="name of the model (default: $MODEL)")
        _add_dates(added, name, runs=verb.action is not None)
        _add_versions(added, name, runs=verb.action is not None)
    return parser


def _add_dates(added: argparse.ArgumentParser, name: str, *, runs: bool) -> None:
    """The options that say which run is meant."""
    if runs or name == "check":
        added.add_argument("--run-date", type=_date, required=True, help="the day the run is for, as 2024-05-01")
    if name in ("explain", "replay"):
        added.add_argument("--run-id", required=name == "replay", help="as rows, receipts and logs name it")
    if name == "explain":
        added.add_argument("--run-date", type=_date, help="the day the run was for, as 2024-05-01")
        added.add_argument("--key", help="of one row of that day")
    if name in ("check", "explain"):
        added.add_argument("--action", choices=spec.ACTIONS, default="application", help="(default: %(default)s)")


def _add_versions(added: argparse.ArgumentParser, name: str, *, runs: bool) -> None:
    """The options about gates and versions."""
    if runs or name == "promote":
        added.add_argument("--force", action="store_true", help="overrule the gate's judgement, but not on keys")
    if runs or name in ("promote", "rollback"):
        added.add_argument("--reason", help="why; recorded, and required with --force")
    if name in ("promote", "rollback"):
        added.add_argument("--effective-date", type=_date, help="first run date (default: the live version's)")
    if name == "promote":
        added.add_argument("--version", required=True, help="one that `versions` lists")
    if name == "rollback":
        added.add_argument("--to", metavar="VERSION", help="(default: what the live version replaced)")


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01") from error
    if str(day) != text:  # fromisoformat also takes 20240501 and 2024-W18-3
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01; is it '{day}'?")
    return day


def _perform(args: argparse.Namespace, known: Settings, verb: Verb, work: Callable[[Run], Status]) -> None:
    model = spec.load(known.models_folder / known.model)
    with tempfile.TemporaryDirectory(prefix="predictions-") as folder, _stoppable():
        run = Run(
            settings=known,
            spec=model,
            action=model.actions[str(verb.action)],
            run_date=args.run_date,
            clients=connect(known),
            folder=Path(folder),
            force_reason=args.reason if args.force else None,
        )
        perform(run, work)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an error, so that the model's process is ended and the receipt still written."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        text = f"The run was stopped by {signal.Signals(number).name}: it was cancelled, or over its time limit."
        raise UpstreamFailed(text, "If it needs longer, raise timeout_seconds in model.yaml.")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
