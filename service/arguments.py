"""The command line of `python -m service`: its verbs' options, each checked as far as the command line alone allows.

Does not own what the verbs do (`verbs.py`).
"""

import argparse
from datetime import date

from service import spec
from service.verbs import VERBS


def parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    made = argparse.ArgumentParser(
        prog="python -m service",
        description="Train and apply a predictive model.",
        epilog=f"example: {VERBS['train'].example}",
    )
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.help, description=verb.help, epilog=f"example: {verb.example}")
        added.add_argument("--model", type=_text, help="name of the model (default: $MODEL)")
        _add_dates(added, name, runs=verb.action is not None)
        _add_versions(added, name, runs=verb.action is not None)
    return made


def _add_dates(added: argparse.ArgumentParser, name: str, *, runs: bool) -> None:
    """The options that say which run is meant."""
    if runs or name == "check":
        added.add_argument("--run-date", type=_date, required=True, help="the day the run is for, as 2024-05-01")
    if name in ("explain", "replay"):
        added.add_argument("--run-id", type=_text, required=name == "replay", help="as rows, receipts and logs name it")
    if name == "explain":
        added.add_argument("--run-date", type=_date, help="the day the run was for, as 2024-05-01")
        added.add_argument("--key", type=_text, help="of one row of that day")
    if name in ("check", "explain"):
        added.add_argument("--action", choices=spec.ACTIONS, help="(default: application)")


def _add_versions(added: argparse.ArgumentParser, name: str, *, runs: bool) -> None:
    """The options about gates and versions."""
    if runs or name == "promote":
        added.add_argument("--force", action="store_true", help="overrule the gate's judgement, but not on keys")
    if runs or name in ("promote", "rollback"):
        added.add_argument("--reason", type=_text, help="why; recorded, and required with --force")
    if name in ("promote", "rollback"):
        added.add_argument("--effective-date", type=_date, help="first run date (default: the live version's)")
    if name == "promote":
        added.add_argument("--version", type=_text, required=True, help="one that `versions` lists")
    if name == "rollback":
        added.add_argument("--to", type=_text, metavar="VERSION", help="(default: what the live version replaced)")


def _text(text: str) -> str:
    """What a variable of the shell that is not set would leave: `rollback --to "$OLD"` must not pick a version."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; give a value, or leave the option out")
    return text


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01") from error
    if str(day) != text:  # fromisoformat also takes 20240501 and 2024-W18-3
        raise argparse.ArgumentTypeError(f"'{text}' is not a day such as 2024-05-01; is it '{day}'?")
    return day
