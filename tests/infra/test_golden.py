"""The golden files: what each stack declares, as text that a reviewer reads as a diff."""

import difflib
import subprocess
import sys
from pathlib import Path

import pytest

from . import golden
from .conftest import ROOT, Clone, configuration, run


@pytest.mark.parametrize("stack", golden.STACKS)
def test_a_stack_declares_what_its_golden_file_says(stack: str) -> None:
    declared = golden.text(stack, run(configuration(stack), stack=stack))
    before = golden.file(stack).read_text()
    lines = difflib.unified_diff(before.splitlines(), declared.splitlines(), f"golden/{stack}", "declared", lineterm="")
    difference = "\n".join(lines)
    assert not difference, f"Stack {stack!r} has changed. Read the diff; if it is meant, run: make golden\n{difference}"


def test_every_stack_has_a_golden_file_and_no_other_has() -> None:
    assert sorted(path.stem for path in golden.FOLDER.glob("*.yaml")) == golden.STACKS


def test_a_change_of_the_program_is_a_diff_of_text(clone: Clone) -> None:
    path = clone.root / "infra" / "components" / "storage.py"
    path.write_text(path.read_text().replace("NONCURRENT_DAYS = 30", "NONCURRENT_DAYS = 31"))
    before, after = golden.file("local").read_text(), golden.text("local", clone.run())
    changed = {line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"}
    assert {line[2:].strip().partition(": ")[::2] for line in changed if "Noncurrent" in line} == {
        ("daysSinceNoncurrentTime", "30"),
        ("daysSinceNoncurrentTime", "31"),
    }


def test_options_that_protect_stand_in_the_file() -> None:
    prod, dev = golden.file("prod").read_text(), golden.file("dev").read_text()
    assert "protect: true" in prod
    assert "protect: true" not in dev
    assert "retainOnDelete: true" in dev
    assert "create: 90m" in dev


def test_the_files_hold_no_place_of_this_machine_and_no_commit() -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for stack in golden.STACKS:
        text = golden.file(stack).read_text()
        assert str(ROOT) not in text
        assert commit.strip()[:12] not in text


def test_make_golden_writes_what_the_test_compares(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in golden.FOLDER.iterdir()}
    command = [sys.executable, "-m", "tests.infra.golden"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"written: tests/golden/{stack}.yaml" for stack in golden.STACKS]
    assert {path: path.read_bytes() for path in golden.FOLDER.iterdir()} == before
