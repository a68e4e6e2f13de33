"""The model's own process: its command line, its configuration, its words and its end."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from service import model_process, settings, spec
from service.clients import Clients
from service.errors import BadData, BadUsage, UpstreamFailed
from service.run import Run
from service.stopping import stoppable
from tests.service.deployments import write_model

ENV = dict.fromkeys(("GOOGLE_CLOUD_PROJECT", "LOCATION", "DATASET", "MODELS_BUCKET", "RUNS_BUCKET"), "somewhere")


def run_with(
    tmp_path: Path, config: dict[str, Any], *, action: str = "application", python: str = sys.executable
) -> Run:
    """A run of a model with a configuration; its data is one row, its version says 2.5."""
    folder = tmp_path / "models" / "tides"
    write_model(folder, key="harbour", source="x.y")
    (folder / f"{action}.json").write_text(json.dumps(config))
    work = tmp_path / "work"
    (work / "version" / "deep").mkdir(parents=True)
    (work / "version" / "deep" / "mean.json").write_text("2.5")
    (work / "data.csv").write_text("harbour,amount\nBrest,1\n")
    env = ENV | {"MODEL": "tides", "MODEL_PYTHON": python, "PATH": os.environ["PATH"], "RUN_ENDPOINT": "http://run"}
    store = storage.Client(project="p", credentials=AnonymousCredentials())
    warehouse = bigquery.Client(project="p", credentials=AnonymousCredentials())
    bucket = store.bucket("b")
    described = spec.load(folder)
    return Run(
        settings=settings.read(env, model=None, runs_model=True),
        spec=described,
        action=described.actions[action],
        run_date=date(2024, 5, 1),
        clients=Clients(storage=store, bigquery=warehouse, models=bucket, runs=bucket),
        folder=work,
    )


def do(run: Run) -> Path:
    work = run.folder
    output = work / "output"
    model_process.run_model(run, data_path=work / "data.csv", model_path=work / "version", output_path=output)
    return output


def test_a_model_reads_the_paths_from_its_copy_of_the_configuration(tmp_path: Path) -> None:
    run = run_with(tmp_path, {"data_path": "put here", "depth": {"file": ["${data_path}", "${run_date}"]}, "${x}": 1})
    output = do(run)
    assert (output / "predictions.csv").read_text().split() == ["harbour,level", "Brest,2.5"]
    copy = json.loads((run.folder / "config.json").read_text())
    data = str(run.folder / "data.csv")
    assert copy["depth"] == {"file": [data, "2024-05-01"]}
    assert (copy["data_path"], copy["output_path"], copy["${x}"]) == (data, str(output), 1)


def test_training_and_application_have_their_own_action_and_metrics(tmp_path: Path) -> None:
    output = do(run_with(tmp_path, {}, action="training"))
    assert model_process.metrics(output) == {"rows": 1, "mean": 1.0}
    (output / "metrics.json").write_text("[1]")
    with pytest.raises(BadData, match=r"metrics\.json"):
        model_process.metrics(output)


def test_a_model_that_fails_is_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with pytest.raises(BadData) as raised:
        do(run_with(tmp_path, {"misdeed": "exit"}))
    assert "The model 'tides' ended its application for 2024-05-01 with exit code 1." in str(raised.value)
    assert "no convergence in 100 steps" in str(raised.value)
    words = {r.message: r.json_fields["stream"] for r in caplog.records}  # type: ignore[attr-defined]  # ours
    assert words == {"reading the data": "stdout", "no convergence in 100 steps": "stderr"}


def test_a_model_that_was_killed_may_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(UpstreamFailed, match=r"with signal SIGKILL\. It said nothing\..*memory_gib"):
        do(run_with(tmp_path, {"misdeed": "kill"}))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"interpreter '/no/python' does not start.*MODEL_PYTHON"):
        do(run_with(tmp_path, {}, python="/no/python"))


def test_a_model_sees_nothing_of_google_or_of_us(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    do(run_with(tmp_path, {"misdeed": "environment"}))
    seen = json.loads(next(r.message for r in caplog.records if r.message.startswith("{")))
    expected = {"PATH", "HOME", "TMPDIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    assert set(seen) - {"LC_CTYPE"} == expected, "LC_CTYPE is Python's own (PEP 538)"
    assert seen["HOME"].startswith(str(tmp_path))


def test_a_secret_that_the_model_prints_is_not_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run = run_with(tmp_path, {"misdeed": "environment"})
    env = dict(run.settings.environment) | {"TIDE_TOKEN": "hush-hush"}
    do(
        replace(
            run, spec=replace(run.spec, secrets={"TIDE_TOKEN": "t"}), settings=replace(run.settings, environment=env)
        )
    )
    assert '"TIDE_TOKEN": "***"' in caplog.text, "the model has it"
    assert "hush" not in caplog.text


def test_a_stop_that_comes_while_the_model_starts_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was lost between the model's start and the watch over it, and the run waited for the model's own end."""
    started = list[subprocess.Popen[str]]()

    def start_and_stop(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        process = popen(command, **options)
        if "--config" in command:
            started.append(process)
            signal.raise_signal(signal.SIGTERM)
        return process

    run, popen = run_with(tmp_path, {"misdeed": "hang"}), subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start_and_stop)
    with stoppable(), pytest.raises(UpstreamFailed, match="stopped by SIGTERM"):
        do(run)
    assert started[0].returncode is not None


def test_a_model_ends_with_us(tmp_path: Path) -> None:
    run = run_with(tmp_path, {"misdeed": "hang"})
    marker = run.folder / "output" / "hangs"

    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    def interrupt() -> None:
        while not marker.exists() or not marker.read_text():
            ready.wait(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    ready = threading.Event()
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(Stop):
            do(run)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)
