"""`make bench`: measures what README.md quotes, and prints it with date, machine and load."""

import argparse
import signal
import sys
from typing import NoReturn

from rich import box
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.figures import FIGURES, Figure, Sample
from bench.ground import Ground, use_own_programs
from local.programs import StepFailed

EXAMPLE = "example: python -m bench --only preview --only parse"
COLUMNS = 130


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 0 when all were measured, met or not, 1 when one could not be, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure this product on this machine. Nothing is left behind.",
        epilog=EXAMPLE,
    )
    names = [figure.name for figure in FIGURES]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}; may be repeated"
    )
    chosen = parser.parse_args(arguments).only or names
    before = machine.description()
    ground = Ground(_say)
    try:
        measured = [(figure, _measured(figure, ground)) for figure in FIGURES if figure.name in chosen]
    except KeyboardInterrupt:
        _say("interrupted; nothing is left running")
        return 130
    finally:
        ground.close()
    print(f"{before}; at the end {machine.load()}\n")
    # As wide as a terminal is; wide enough in a file that no line is folded.
    console = Console() if sys.stdout.isatty() else Console(width=COLUMNS)
    console.print(_table(measured))
    return 0 if all(sample for _, sample in measured) else 1


def _measured(figure: Figure, ground: Ground) -> Sample | None:
    try:
        return figure.measure(ground)
    except (RuntimeError, StepFailed) as error:
        _say(f"{figure.name} could not be measured: {error}")
        return None


def _table(measured: list[tuple[Figure, Sample | None]]) -> Table:
    table = Table("figure", "measured", "target", "", "what", "more", box=box.SIMPLE, pad_edge=False)
    for figure, sample in measured:
        bound = "at least " if figure.at_least else ""
        target = f"{bound}{figure.target:g} {figure.unit}" if figure.target else "-"
        shown = f"{sample.value:.3g} {figure.unit}" if sample else "failed"
        verdict, note = (figure.verdict(sample), sample.note) if sample else ("", "see above")
        table.add_row(figure.name, shown, target, verdict, figure.tells, note)
    return table


def _say(text: str) -> None:
    """Progress, on stderr: stdout belongs to the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    use_own_programs()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
