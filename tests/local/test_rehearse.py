"""A rehearsal's folder and programs: what it refuses, what it says when something fails, and that nothing is left."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import processes
from local.programs import StepFailed, Stopped
from local.rehearsal_folder import MARKER
from local.rehearse import Rehearsal

FOREVER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def quiet(_: str) -> None:
    """Say nothing."""


def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    rehearsal = Rehearsal(tmp_path)
    with pytest.raises(StepFailed, match=r"prepare: Folder '.*' is not a rehearsal's: it holds 'thesis.txt'"):
        rehearsal.reset()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StepFailed, match=r"prepare: Cannot write to folder '.*/file/demo': Not a directory"):
        Rehearsal(tmp_path / "file" / "demo").reset()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StepFailed, match=r"prepare: Cannot write to folder '.*': Permission denied"):
        Rehearsal(tmp_path / "demo").reset()


def test_a_place_where_no_folder_can_be_made_is_refused() -> None:
    with pytest.raises(StepFailed, match=r"prepare: Cannot write to folder '/proc/demo'"):
        Rehearsal(Path("/proc/demo")).reset()


def test_a_folder_is_emptied_when_a_rehearsal_made_it(tmp_path: Path) -> None:
    first = Rehearsal(tmp_path / "demo")
    first.reset()
    (first.folder / "storage").mkdir()
    (first.folder / "storage" / "object").touch()
    (first.folder / "link").symlink_to(tmp_path)
    first.stop()
    Rehearsal(tmp_path / "demo").reset()
    assert {file.name for file in first.folder.iterdir()} == {MARKER, "logs"}
    assert tmp_path.exists(), "a link is removed, not what it leads to"


def test_two_rehearsals_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = Rehearsal(tmp_path), Rehearsal(tmp_path)
    first.reset()
    with pytest.raises(StepFailed, match="Another rehearsal runs in folder"):
        second.reset()
    assert first.held
    assert not second.held, "so that it does not stop what is not its own"
    first.stop()
    second.reset()


def test_what_a_killed_rehearsal_left_is_ended(tmp_path: Path) -> None:
    killed = Rehearsal(tmp_path)
    killed.reset()
    killed.stop()
    left = subprocess.Popen(FOREVER, env=processes.marked(tmp_path, os.environ), stdout=subprocess.PIPE)
    next_one = Rehearsal(tmp_path)
    next_one.reset()
    assert left.poll() is not None
    next_one.stop()


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    made = Rehearsal(tmp_path / "rehearsal")
    made.reset()
    return made


def test_a_failing_program_is_told_with_its_reason_and_its_log(rehearsal: Rehearsal) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('error: no bread left')"]
    with pytest.raises(StepFailed, match=r"breakfast: .* ended with code 1: error: no bread left") as failed:
        rehearsal.programs.run("breakfast", command, os.environ, quiet)
    assert "no bread left" in Path(str(failed.value).partition("log: ")[2]).read_text()


def test_a_program_that_is_not_installed_is_named(rehearsal: Rehearsal) -> None:
    with pytest.raises(StepFailed, match="deploy: there is no program 'pulumy'"):
        rehearsal.programs.run("deploy", ["pulumy", "up"], os.environ, quiet)


def test_a_part_that_ends_while_others_work_is_told_with_its_last_words(rehearsal: Rehearsal) -> None:
    script = (
        "import sys, time; print('ready', flush=True); time.sleep(0.2); sys.exit('error: out of breath\\n  log: x')"
    )
    assert rehearsal.programs.start("runner", [sys.executable, "-c", script], os.environ) == "ready\n"
    with pytest.raises(StepFailed, match=r"runner: it ended with code 1: error: out of breath log: x\n  log: .*runner"):
        rehearsal.programs.run("walk", FOREVER, os.environ, quiet)
    rehearsal.stop()
    assert processes.survivors(rehearsal.folder) == []


def test_a_part_that_never_gets_ready_is_told(rehearsal: Rehearsal) -> None:
    with pytest.raises(StepFailed, match="runner: it ended with code 3: it printed nothing"):
        rehearsal.programs.start("runner", [sys.executable, "-c", "raise SystemExit(3)"], os.environ)


def test_the_first_failure_ends_what_is_done_at_the_same_time(rehearsal: Rehearsal) -> None:
    said: list[type] = []

    def walk() -> None:
        try:
            rehearsal.programs.run("walk", FOREVER, os.environ, quiet)
        except BaseException as error:
            said.append(type(error))
            raise

    def fail() -> None:
        while not (rehearsal.logs / "walk.out").exists() or not (rehearsal.logs / "walk.out").read_text():
            time.sleep(0.01)
        raise StepFailed("deploy", "no", None)

    with pytest.raises(StepFailed, match="deploy: no"):
        rehearsal.at_once(walk, fail)
    assert said == [Stopped]
    assert processes.survivors(rehearsal.folder) == [], "the walk was interrupted, and waited for"


def test_the_folder_is_free_after_its_holder_was_killed(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from local.rehearse import Rehearsal\n"
    code += "Rehearsal(Path(sys.argv[1])).reset(); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with (tmp_path / MARKER).open() as marker:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
