"""How `make demo` ends when it does not end well: interrupted, killed, or with a step that fails."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from local import demo, processes
from local.rehearse import Rehearsal
from tests import scratch_clone
from tests.conftest import ROOT

PATIENCE_SECONDS = 120  # for a machine that does much else


def begun(folder: Path, root: Path = ROOT, **env: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "local.demo", "--folder", str(folder)]
    return subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
    )


def until_there_is(folder: Path, wanted: Callable[[str], bool]) -> None:
    """Wait until the demo runs a program with such a command line."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(wanted(command(process)) for process in processes.survivors(folder)):
        assert time.monotonic() < deadline, "the demo did not come that far"
        time.sleep(0.05)


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--help"])
    assert "example: python -m local.demo" in capsys.readouterr().out


def test_a_folder_of_something_else_ends_the_demo_with_the_step_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").touch()
    assert demo.main(["--folder", str(tmp_path)]) == 1
    assert "error: prepare: Folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_stopping_leaves_the_signals_as_they_were(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in demo.ENDING]
    (tmp_path / "file").touch()
    demo.main(["--folder", str(tmp_path / "file" / "below")])
    assert [signal.getsignal(number) for number in demo.ENDING] == before


@pytest.mark.engine
@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), pytest.param(signal.SIGTERM, 143, "SIGTERM", marks=pytest.mark.soak)],
)
def test_a_signal_while_pulumi_and_airflow_start_ends_both(
    tmp_path: Path, number: signal.Signals, code: int, name: str
) -> None:
    process = begun(tmp_path)
    until_there_is(tmp_path, lambda line: "pulumi up" in line)
    until_there_is(tmp_path, lambda line: "airflow" in line)
    process.send_signal(number)
    process.send_signal(number)  # an impatient second one must not leave anything behind
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (code, f"stopped by {name}; nothing is left running\n")
    assert processes.survivors(tmp_path) == []


@pytest.mark.engine
def test_after_kill_9_the_next_one_ends_what_was_left_and_starts_anew(tmp_path: Path) -> None:
    process = begun(tmp_path)
    until_there_is(tmp_path, lambda line: "pulumi up" in line)
    process.kill()
    process.communicate()
    left = processes.survivors(tmp_path)
    assert left, "they run in sessions of their own"
    following = Rehearsal(tmp_path)
    following.reset()
    try:
        assert not [p for p in left if p.is_running()]
        following.start_cloud(lambda _: None)
        following.deploy(lambda _: None)
        assert demo.MODEL in following.outputs["dags"]
    finally:
        following.stop()
    assert processes.survivors(tmp_path) == []


@pytest.mark.engine
def test_a_failing_pulumi_up_ends_the_demo_at_once_with_its_reason_and_log(tmp_path: Path) -> None:
    clone = scratch_clone.copy(tmp_path / "clone", **{"predictions:owner": ""})
    # Another project in the person's shell must not matter.
    process = begun(tmp_path / "demo", clone, GOOGLE_CLOUD_PROJECT="my-company")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1, out
    assert err.startswith("error: deploy: `pulumi up --stack local")
    assert "'predictions:owner' is missing" in err
    log = Path(err.partition("log: ")[2].strip())
    assert "'predictions:owner' is missing" in log.read_text()
    assert "Airflow: stopped" in out, "what starts at the same time is not waited for"
    assert processes.survivors(tmp_path / "demo") == []
