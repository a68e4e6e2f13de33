"""What each verb of `python -m service` does: one thin function per verb, and the table of them.

Does not own the command line (`arguments.py`), how failures end (`cli.py`), or the work. Data goes to stdout.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from service import (
    application,
    check,
    explain,
    live_version,
    promotions,
    receipt,
    replay,
    spec,
    tasks,
    training,
    versions,
)
from service.clients import connect
from service.errors import BadUsage
from service.receipt import Status
from service.run import Run, perform
from service.settings import Settings
from service.stopping import stoppable


@dataclass(frozen=True)
class Verb:
    """One verb: its function, help and example, and the action of the model that it performs, if any."""

    run: Callable[[argparse.Namespace, Settings], None]
    help: str
    example: str
    action: str | None = None


def _train(args: argparse.Namespace, known: Settings) -> None:
    _perform(args, known, "training", training.train)


def _apply(args: argparse.Namespace, known: Settings) -> None:
    _perform(args, known, "application", tasks.apply if known.task_count > 1 else application.apply)


def _check(args: argparse.Namespace, known: Settings) -> None:
    print(json.dumps(check.check(connect(known), known, args.action or "application", args.run_date)))


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
    given = {"--run-date": args.run_date, "--key": args.key, "--action": args.action}
    if args.run_id and (also := [option for option, value in given.items() if value is not None]):
        raise BadUsage(f"--run-id and {' and '.join(also)} may name different runs.", "Give --run-id alone.")
    if not args.run_id and args.run_date is None:
        raise BadUsage("It is not said what to explain.", "Give --run-id, or --run-date with or without --key.")
    if args.key and args.action == "training":
        raise BadUsage("A training makes no rows, so it has no --key.", "Leave out --key or --action.")
    clients = connect(known)
    if args.run_id:
        found = explain.of_run(clients, known, args.run_id)
    elif args.key:
        found = explain.of_row(clients, known, spec.load(known.models_folder / known.model), args.key, args.run_date)
    else:
        found = explain.of_date(clients, known, args.action or "application", args.run_date)
    print(json.dumps(found, indent=2))  # people read it, and jq does


def _replay(args: argparse.Namespace, known: Settings) -> None:
    clients = connect(known)
    found = [r for r in receipt.of_run(clients.runs, args.run_id) if r["status"] == "succeeded"]
    if not found:
        text = f"Run '{args.run_id}' has no receipt of success in 'gs://{clients.runs.name}'."
        raise BadUsage(text, "Name a run that succeeded; the table of runs lists them.")
    with tempfile.TemporaryDirectory(prefix="predictions-") as folder, stoppable():
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


def _perform(args: argparse.Namespace, known: Settings, action: str, work: Callable[[Run], Status | None]) -> None:
    model = spec.load(known.models_folder / known.model)
    with tempfile.TemporaryDirectory(prefix="predictions-") as folder, stoppable():
        run = Run(
            settings=known,
            spec=model,
            action=model.actions[action],
            run_date=args.run_date,
            clients=connect(known),
            folder=Path(folder),
            force_reason=args.reason if args.force else None,
        )
        perform(run, work)


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
