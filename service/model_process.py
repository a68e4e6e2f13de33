"""The model's own process: started in its own environment, listened to, and ended with us.

Does not own what the model reads or leaves. The process sees no identity, endpoint or token of Google Cloud.
"""

import json
import os
import signal
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

from service import model_environment
from service.documents import read_json
from service.errors import BadData, BadUsage, UpstreamFailed
from service.logs import bytes_of, event, step
from service.placeholders import expanded
from service.run import Run
from service.spec import ModelSpec
from service.stopping import held_back

ADAPTER = Path(__file__).with_name("model_adapter.py")
METRICS = "metrics.json"
LINE_CHARACTERS = 16_384  # a log entry may hold 256 KiB; a model may print without line breaks
LAST_LINES = 20
LAST_CHARACTERS = 4000  # of them, in messages and receipts
MASK = "***"
GRACE_SECONDS = 3  # of the ten that Cloud Run gives after SIGTERM; the receipt needs some, too


def run_model(
    run: Run,
    *,
    data_path: Path,
    model_path: Path,
    output_path: Path,
    action: str | None = None,
    config_file: str | None = None,
) -> str:
    """Run `python -m <package>.main --action A --config FILE` and wait until it ends.

    Args:
        action: the run's own, unless the model is asked for something else on the way; with its `config_file`.
        output_path: made if it is absent; the model leaves its files there.

    Returns:
        Its last words, for `quoting`.

    Raises:
        BadData: it ended with an exit code other than 0; the text holds its last words.
        UpstreamFailed: it was killed, as by the platform when memory runs out.
    """
    output_path.mkdir(exist_ok=True)
    paths = {"data_path": str(data_path), "model_path": str(model_path), "output_path": str(output_path)}
    config = run.folder / "config.json"
    action = action or run.action.name
    own = read_json(run.spec.folder / (config_file or run.action.config))
    given = paths | {"run_date": str(run.run_date)}
    config.write_text(json.dumps(expanded(own, given) | paths | _for_adapter(run.spec), indent=1))
    source = (run.spec.folder / run.spec.source).resolve()
    command = [str(run.settings.model_python), *_program(run.spec), "--action", action, "--config", str(config)]
    environment = run.settings.for_the_model(run.spec.secrets, run.folder) | {"PYTHONPATH": str(source)}
    run.facts.environment_fingerprint = model_environment.fingerprint(str(run.settings.model_python))
    # Line by line, as the model's words come; the longest first, so that none leaves the rest of another.
    values = {line.strip() for name in run.spec.secrets for line in environment[name].splitlines()}
    hidden = tuple(sorted(values - {""}, key=len, reverse=True))
    code, words = _listen(command, source, environment, hidden)
    if code == 0:
        step("model", f"The model has ended its {action}.", bytes=bytes_of(output_path))
        return words
    what = f"The model '{run.spec.name}' ended its {action} for {run.run_date} with"
    said = f"Its last words:\n{words}\n" if words else "It said nothing."
    if code < 0:
        text = f"{what} signal {signal.Signals(-code).name}. {said}"
        raise UpstreamFailed(text, "If that was for want of memory, raise resources.memory_gib in model.yaml.")
    raise BadData(f"{what} exit code {code}. {said}", "Correct the model or its data.")


def _program(model: ModelSpec) -> list[str]:
    if ":" in model.package:
        return ["-P", str(ADAPTER), model.package]  # -P: our folder must not be on its path
    return ["-m", f"{model.package}.main"]


def _for_adapter(model: ModelSpec) -> dict[str, str]:
    if ":" not in model.package:
        return {}
    (column,) = (column.name for column in model.columns if column.name != model.entity_key)
    return {"key": model.entity_key, "column": column}


@contextmanager
def quoting(words: str) -> Iterator[None]:
    """Add the model's last words to what is wrong with its files: it may have said why."""
    try:
        yield
    except BadData as error:
        if not words:
            raise
        to_do = f"{error.to_do} The model's last words:\n{words}"
        raise BadData(error.what, to_do, where=error.where) from error


def metrics(output_path: Path) -> dict[str, Any]:
    """What the model says about its own work in metrics.json, `{}` when it says nothing.

    Raises:
        BadData: the file is no JSON object.
    """
    path = output_path / METRICS
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except BadUsage as error:
        raise BadData(f"The model's '{METRICS}': {error}", "Make the model write one JSON object.") from error


def _listen(command: list[str], folder: Path, environment: dict[str, str], hidden: tuple[str, ...]) -> tuple[int, str]:
    """Run a command, log each line it says without the hidden values, and return its exit code and last words."""
    words: deque[str] = deque(maxlen=LAST_LINES)
    process, listeners = None, list[Thread]()
    try:
        with held_back():
            process = _started(command, folder, environment)
            for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
                # Daemons, joined with a limit: a program that the model left behind may hold the pipe open.
                listeners.append(Thread(target=_relay, args=(stream, name, words, hidden), daemon=True))
                listeners[-1].start()
        code = process.wait()
    finally:
        if process:
            with process:
                _end_group(process)
                for listener in listeners:
                    listener.join(GRACE_SECONDS)
    return code, "\n".join(words)[-LAST_CHARACTERS:]


def _started(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    try:
        # A group of its own, so that children of the model end with it.
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        text = f"The model's interpreter '{command[0]}' does not start: {error.strerror}."
        raise BadUsage(
            text, "Set MODEL_PYTHON to the Python of the model's environment.", where="environment"
        ) from error


def _relay(stream: IO[str] | None, name: str, words: deque[str], hidden: tuple[str, ...]) -> None:
    while stream and (line := stream.readline(LINE_CHARACTERS)):
        text = line.rstrip()
        for value in hidden:
            text = text.replace(value, MASK)
        if text:
            words.append(text)
            event(text, stream=name)


def _end_group(process: "subprocess.Popen[str]") -> None:
    """End the model and whatever it started; the group outlives its leader while a child of it runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
