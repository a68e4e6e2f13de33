"""Seeded mistakes: each is found offline by the check that stands in its patch, or is listed with the reason."""

import re
from pathlib import Path

import pytest

from tests import scratch_clone
from tests.conftest import RunningCloud

from . import checks

MISTAKES = checks.load()
FOUND = [name for name, mistake in MISTAKES.items() if mistake.check != "nothing"]
# Only a container shows these, and a check of containers needs a Docker daemon.
UNFOUND = {"wrong-copy", "wrong-entry-point"}
# One of each kind of check that takes a moment only; `make soak` runs all.
QUICK = ["forgotten-import", "root-user", "missing-environment-name", "slow-import"]


def _find(name: str, cloud: RunningCloud, folder: Path) -> None:
    mistake = MISTAKES[name]
    clone = folder / "clone"
    clone.mkdir()
    scratch_clone.copy(clone)
    checks.apply(mistake, clone)
    content, said = checks.run(mistake.check, clone, cloud)
    assert not content, f"{mistake.check} does not find: {mistake.about}"
    assert re.search(mistake.says, said), f"{mistake.check} fails for another reason: {said[-4000:]}"


def test_of_forty_and_more_mistakes_few_are_not_found_and_for_a_reason() -> None:
    assert len(MISTAKES) >= 40
    assert len(FOUND) >= 36
    unfound = {name for name, mistake in MISTAKES.items() if mistake.check == "nothing"}
    assert unfound == UNFOUND, "say here what no check finds; the reason stands in the patch"


def test_every_mistake_fits_the_program_as_it_is(tmp_path: Path) -> None:
    clone = scratch_clone.copy(tmp_path)
    for mistake in MISTAKES.values():
        checks.apply(mistake, clone, only_check=True)


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_check_finds_its_mistake(name: str, cloud: RunningCloud, tmp_path: Path) -> None:
    _find(name, cloud, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in FOUND if name not in QUICK])
def test_the_check_finds_its_mistake(name: str, cloud: RunningCloud, tmp_path: Path) -> None:
    """All of them take about 20 minutes on two idle cores; a rehearsal takes half a minute, a preview six seconds."""
    checks.prepare()
    _find(name, cloud, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("check", sorted({MISTAKES[name].check for name in FOUND}))
def test_the_check_is_content_without_a_mistake(check: str, cloud: RunningCloud, tmp_path: Path) -> None:
    checks.prepare()
    clone = tmp_path / "clone"
    clone.mkdir()
    content, said = checks.run(check, scratch_clone.copy(clone), cloud)
    assert content, said
