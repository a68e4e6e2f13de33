"""`make demo`: the whole deployment on this machine, to predictions of a real model in the warehouse.

Owns the order of the steps and how the demo ends. The steps themselves are in rehearse.py, the closing report in
demo_report.py.
"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from local import demo_report, processes
from local.display import Display
from local.programs import StepFailed, Stopped
from local.rehearse import DagRun, Rehearsal

MODEL = "customer_value"
TRAIN_DATE = "1997-10-01"  # the transactions end in June 1998, so what happened in the next 90 days is known
APPLY_DATES = ("1997-10-01", "1997-10-02")
LOG_COLUMNS = 140
DEFAULT_FOLDER = Path(".local/demo")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when its predictions are in the warehouse, 1 when a step failed, 128 + the signal's number
    when Ctrl-C (so 130), SIGTERM or the end of the terminal stopped it.
    """
    args = _parser().parse_args(arguments)
    rehearsal, console = Rehearsal(args.folder), _console()
    if args.stop:
        console.print(f"stopped {rehearsal.stop()} processes of {rehearsal.folder}", soft_wrap=True)
        return 0
    try:
        with _stopping(rehearsal, keep=args.keep):
            runs = _perform(rehearsal, console)
            demo_report.show(rehearsal, MODEL, runs, console)
            if args.keep:
                is_default = rehearsal.folder == DEFAULT_FOLDER.resolve()
                demo_report.show_addresses(rehearsal, console, stop="make stop" if is_default else None)
    except StepFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stop:
        left = processes.survivors(rehearsal.folder)
        rest = f"these processes could not be ended: {left}" if left else "nothing is left running"
        print(f"stopped by {'Ctrl-C' if str(stop) == 'SIGINT' else stop}; {rest}", file=sys.stderr)
        return 128 + signal.Signals[str(stop)]
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo",
        description="Deploy, train and apply the example model on a local cloud, with real Pulumi and real Airflow.",
        epilog="example: python -m local.demo --keep",
    )
    parser.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="where everything lies (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the local cloud running at the end")
    parser.add_argument("--stop", action="store_true", help="only stop what an earlier --keep left running")
    return parser


def _console() -> Console:
    """A terminal as wide as it is; a log file wide enough that no row of the report is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_COLUMNS)


@contextmanager
def _stopping(rehearsal: Rehearsal, *, keep: bool) -> Iterator[None]:
    """Stop every process at the end, except after a success that is to be kept; no signal interrupts that."""
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = [number for number in ENDING if before[number] != signal.SIG_IGN]  # as nohup wants it
    stopping = True
    try:
        try:
            for number in heeded:
                signal.signal(number, _stop)
            yield
            stopping = not keep
        finally:
            _ignore(heeded)
    finally:
        if stopping and rehearsal.held:  # else what runs there is another's
            rehearsal.stop()
        for number in heeded:
            signal.signal(number, before[number])


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    _ignore(list(ENDING))  # the first one counts; another would only interrupt the stopping
    raise Stopped(signal.Signals(number).name)


def _ignore(numbers: list[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _perform(rehearsal: Rehearsal, console: Console) -> list[DagRun]:
    with Display(console) as display:
        with display.step("prepare", "clears what an earlier demo left"):
            rehearsal.reset()
        with display.step("local cloud", "usually 2 s") as step:
            rehearsal.start_cloud(step.say)
        _deploy_while_airflow_starts(rehearsal, display)
        with display.step("DAGs", "Airflow reads them from the bucket") as step:
            dags = _dags(rehearsal)
            rehearsal.unpause(list(dags.values()), step.say)
        runs = []
        for action, run_date in (("training", TRAIN_DATE), *(("application", day) for day in APPLY_DATES)):
            with display.step(f"{action} for {run_date}", "usually 10-20 s") as step:
                runs.append(rehearsal.run_dag(dags[action], run_date, step.say))
        return runs


def _dags(rehearsal: Rehearsal) -> dict[str, str]:
    dags: dict[str, str] | None = rehearsal.outputs.get("dags", {}).get(MODEL)
    if dags is None:
        reason = f"the stack {rehearsal.stack!r} has none of model {MODEL!r}; the demo needs orchestrator composer"
        raise StepFailed("DAGs", reason, rehearsal.logs / "deploy.out")
    return dags


def _deploy_while_airflow_starts(rehearsal: Rehearsal, display: Display) -> None:
    def deploy() -> None:
        with display.step("pulumi up", "usually 20 s") as step:
            rehearsal.deploy(step.say, step.glance)
        with display.step("example data", "the CDNOW transactions") as step:
            rehearsal.load_example(step.say)

    def start_airflow() -> None:
        with display.step("Airflow", "usually 40 s") as step:
            rehearsal.start_airflow(step.say)

    rehearsal.at_once(deploy, start_airflow)


if __name__ == "__main__":
    sys.exit(main())
