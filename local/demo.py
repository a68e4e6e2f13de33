"""`make demo`: the whole deployment on this machine, to predictions of a real model in the warehouse.

Owns the order of the steps and how the demo ends. The steps themselves are in rehearse.py, the closing report in
demo_report.py.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from local import demo_report
from local.display import Display
from local.rehearse import DagRun, Rehearsal, StepFailed

MODEL = "customer_value"
TRAIN_DATE = "1997-10-01"  # the transactions end in June 1998, so what happened in the next 90 days is known
APPLY_DATES = ("1997-10-01", "1997-10-02")
LOG_COLUMNS = 130
DEFAULT_FOLDER = Path(".local/demo")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when its predictions are in the warehouse, 1 when a step failed, 130 after Ctrl-C."""
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
    args = parser.parse_args(arguments)
    rehearsal, console = Rehearsal(args.folder), _console()
    if args.stop:
        console.print(f"stopped {rehearsal.stop()} processes of {rehearsal.folder}")
        return 0
    try:
        with _stopping(rehearsal, keep=args.keep):
            runs = _perform(rehearsal, console)
            demo_report.show(rehearsal, MODEL, runs, console)
            if args.keep:
                demo_report.show_addresses(rehearsal, console)
    except StepFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; nothing is left running", file=sys.stderr)
        return 130
    return 0


def _console() -> Console:
    """A terminal as wide as it is; a log file wide enough that no row of the report is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_COLUMNS)


@contextmanager
def _stopping(rehearsal: Rehearsal, *, keep: bool) -> Iterator[None]:
    """Stop every process at the end, except after a success that is to be kept."""
    try:
        yield
    except BaseException:
        rehearsal.stop()
        raise
    if not keep:
        rehearsal.stop()


def _perform(rehearsal: Rehearsal, console: Console) -> list[DagRun]:
    with Display(console) as display:
        with display.step("prepare", "clears what an earlier demo left"):
            rehearsal.reset()
        with display.step("local cloud", "usually 2 s") as step:
            rehearsal.start_cloud(step.say)
        _deploy_while_airflow_starts(rehearsal, display)
        dags = rehearsal.outputs["dags"][MODEL]
        with display.step("DAGs", "Airflow reads them from the bucket") as step:
            rehearsal.unpause(list(dags.values()), step.say)
        runs = []
        for action, run_date in (("training", TRAIN_DATE), *(("application", day) for day in APPLY_DATES)):
            with display.step(f"{action} for {run_date}", "usually 10-20 s") as step:
                runs.append(rehearsal.run_dag(dags[action], run_date, step.say))
        return runs


def _deploy_while_airflow_starts(rehearsal: Rehearsal, display: Display) -> None:
    def deploy() -> None:
        with display.step("pulumi up", "usually 20 s") as step:
            rehearsal.deploy(step.glance)
        with display.step("example data", "the CDNOW transactions") as step:
            rehearsal.load_example(step.say)

    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(deploy)
        try:
            with display.step("Airflow", "usually 40 s") as step:
                rehearsal.start_airflow(step.say)
        finally:
            deploying.result()


if __name__ == "__main__":
    sys.exit(main())
