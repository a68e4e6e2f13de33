"""`python -m local`: the local cloud's command line."""

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from local import airflow, fault_verbs, jobs_mode, reader, server

DEFAULT_FOLDER = ".local/cloud"
DEFAULT_PROJECT = "local-project"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when done, 2 when it could not be (with the reason on stderr)."""
    parser = _parser()
    args = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = args.run
    try:
        run(args)
    except (
        server.FolderInUse,
        jobs_mode.CannotRunContainers,
        airflow.AirflowFailed,
        reader.ReadFailed,
        fault_verbs.FaultRefused,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Google Cloud on this laptop, for rehearsals.",
        epilog="example: python -m local serve --folder /tmp/cloud",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    folder = os.environ.get("LOCAL_CLOUD_FOLDER", DEFAULT_FOLDER)

    def verb(name: str, run: Callable[[argparse.Namespace], None], help: str, example: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help, epilog=f"example: {example}")
        added.add_argument(
            "--folder", type=Path, default=Path(folder), help="where its state lies (default: %(default)s)"
        )
        added.set_defaults(run=run)
        return added

    serving = verb("serve", _serve, "run a local cloud until SIGTERM", "python -m local serve --folder /tmp/cloud")
    serving.add_argument(
        "--project", default=os.environ.get("GOOGLE_CLOUD_PROJECT", DEFAULT_PROJECT), help="(default: %(default)s)"
    )
    serving.add_argument("--port", type=_port, default=0, help="of the owner's door (default: a free one)")
    serving.add_argument(
        "--jobs",
        choices=jobs_mode.MODES,
        default=os.environ.get(jobs_mode.MODE, jobs_mode.MODES[0]),
        help=f"how jobs run; also {jobs_mode.MODE} (default: %(default)s, containers where Docker can run them)",
    )
    verb(
        "airflow", _airflow, "run Airflow on a local cloud until SIGTERM", "python -m local airflow --folder /tmp/cloud"
    )
    verb("env", _env, "print export lines for a running one", 'eval "$(python -m local env --folder /tmp/cloud)"')
    reader.add_verbs(verb)
    fault_verbs.add_verb(verb)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; they end at 65535")
    return port


def _serve(args: argparse.Namespace) -> None:
    folder = args.folder.resolve()

    def announce(env: dict[str, str]) -> None:
        print(f"jobs run as {runtime.description}", file=sys.stderr, flush=True)
        print(json.dumps({"env": env, "jobs": runtime.description}), flush=True)

    with server.claim(folder):
        runtime = jobs_mode.choose(args.jobs, folder)
        asyncio.run(server.serve(folder, args.project, args.port, runtime, announce))


def _airflow(args: argparse.Namespace) -> None:
    def announce(url: str) -> None:
        print(json.dumps({"url": url}), flush=True)

    airflow.run(args.folder.resolve(), announce, lambda note: print(note, file=sys.stderr, flush=True))


def _env(args: argparse.Namespace) -> None:
    for name, value in server.read_state(args.folder.resolve())["env"].items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    sys.exit(main())
