"""The bench's table, its command, and its cheapest figure; no figure is judged here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import figures, machine
from bench.__main__ import EXAMPLE, main
from bench.figures import FIGURES, Figure, Sample
from tests.conftest import ROOT

ISSUE: dict[str, float] = {
    "large-delivery": 1.3,
    "demo": 120,
    "preview": 10,
    "parse": 150,
    "cloud-ready": 250,
    "cloud-deployed": 250,
}
ISSUE |= {"delivery": 10, "delivery-memory": 512, "rollback": 5, "large-delivery-memory": 512}
ISSUE |= {"query": 20, "uploads": 300, "object-memory": 64, "load": 1, "listing": 25_000, "load-memory": 1500}


def bench(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_every_number_that_was_asked_for_is_a_figure() -> None:
    assert {figure.name: figure.target for figure in FIGURES if figure.target} == ISSUE
    assert len({figure.name for figure in FIGURES}) == len(FIGURES), "--only takes a name"


def test_help_shows_an_example_and_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = re.sub(r"-\n +", "-", capsys.readouterr().out)  # argparse breaks lines at hyphens
    assert EXAMPLE in shown
    assert all(re.search(rf"\b{figure.name}\b", shown) for figure in FIGURES)


def test_a_figure_is_printed_with_date_and_machine_and_nothing_is_left(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "cloud-ready")
    assert done.returncode == 0, done.stderr
    assert re.match(rf"\d{{4}}-\d\d-\d\d .* {os.cpu_count()} cores, .* load [\d.]+ ", done.stdout)
    assert re.search(r"cloud-ready +\d+(\.\d+)? MiB +250 MiB +(met|MISSED)", done.stdout)
    assert "up " not in done.stdout, "only what was asked for"
    assert "starting a local cloud" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_figure_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "speed")
    assert done.returncode == 2
    assert "'speed'" in done.stderr
    assert "'delivery'" in done.stderr


def test_a_program_that_fails_is_told_with_its_words_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = (sys.executable, "-c", "import sys; sys.exit('the disk is full')")
    broken = Figure("broken", "a program", "s", 1, lambda ground: Sample(ground.timed(*command)))
    known = Figure("known", "a number", "s", 1, lambda ground: Sample(2))
    monkeypatch.setattr("bench.__main__.FIGURES", (broken, known))
    assert main([]) == 1
    out, err = capsys.readouterr()
    assert "the disk is full" in err
    assert re.search(r"broken +failed", out)
    assert re.search(r"known +2 s +1 s +MISSED", out), "a missed target is shown, and is no error"


def test_the_steps_of_a_demo_are_read_from_what_it_prints() -> None:
    printed = "  11.7 s  pulumi up: done after 10.4 s\n  14.1 s  example data ... the CDNOW transactions\n"
    printed += "  14.8 s  example data: done after 2.6 s\n"
    assert figures._steps(printed, 20.1) == "pulumi up 10, example data 3, start, report and stop 5"


def test_memory_counts_children() -> None:
    command = [sys.executable, "-c", "x = bytearray(50 << 20); input()"]
    before = machine.tree_mib(os.getpid())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        while machine.tree_mib(child.pid) < 50:
            assert child.poll() is None
        assert machine.tree_mib(os.getpid()) > before + 40
        child.stdin.close()
