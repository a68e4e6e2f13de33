"""Any history of trainings, promotions, rollbacks, applications, backfills and crashes, beside a small reference."""

import os
import signal
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from service import promotions, versions
from tests.service.attempts import Attempt, Trip
from tests.service.deployments import Deployment, deployed

pytestmark = pytest.mark.client

FIRST = date(2024, 5, 1)
DAYS = st.integers(0, 5).map(lambda n: FIRST + timedelta(days=n))
CRASHES = st.tuples(st.integers(0, 16), st.sampled_from(["before", "after"]))


class Reference:
    """What must be true: the promotions in order, and for each day the version whose rows it holds."""

    def __init__(self) -> None:
        self.promoted: list[tuple[date, str]] = []
        self.rows: dict[date, str] = {}

    def live_on(self, day: date) -> str | None:
        in_effect = [
            (effective, at, version) for at, (effective, version) in enumerate(self.promoted) if effective <= day
        ]
        return max(in_effect)[2] if in_effect else None

    def is_in_effect(self, day: date, version: str) -> bool:
        """Whether a version is what was promoted last for a day."""
        return [known for effective, known in self.promoted if effective == day][-1:] == [version]

    def replaced_by(self, version: str) -> str | None:
        """What was live, for the same days, when a version was first promoted."""
        first = next(at for at, (_, known) in enumerate(self.promoted) if known == version)
        before = Reference()
        before.promoted = self.promoted[:first]
        return before.live_on(self.promoted[first][0])


def trained_for(version: str) -> date:
    """A version's name begins with its run date."""
    return date.fromisoformat(version[:10])


class History(RuleBasedStateMachine):
    """Steps that people, Airflow and failing machines take, in any order."""

    owner: ClassVar[dict[str, str]]
    folder: ClassVar[Path]
    number: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        History.number += 1
        self.deployment: Deployment = deployed(self.owner, self.folder / str(History.number))
        self.truth = Reference()

    @rule(day=DAYS)
    def train(self, day: date) -> None:
        assert self.deployment.main("train", "--run-date", str(day)).code == 0
        self.truth.promoted.append((day, self._new_version()))

    @rule(day=DAYS)
    def apply(self, day: date) -> None:
        version = self.truth.live_on(day)
        if version is None:
            assert self.deployment.main("apply", "--run-date", str(day)).code == 2
        elif trained_for(version) > day:
            assert self.deployment.main("apply", "--run-date", str(day)).code == 3
        else:
            assert self.deployment.main("apply", "--run-date", str(day)).code == 0
            self.truth.rows[day] = version

    @rule(first=DAYS, length=st.integers(2, 3))
    def backfill(self, first: date, length: int) -> None:
        before = self._history()
        for at in range(length):
            self.apply(first + timedelta(days=at))
        assert self._history() == before, "a backfill never moves the live version"

    @precondition(lambda self: self.truth.promoted)
    @rule(day=DAYS, data=st.data())
    def promote(self, day: date, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted({version for _, version in self.truth.promoted})))
        self._chosen(day, version, "promote", "--version", version, "--effective-date", str(day), "--reason", "a test")

    @precondition(lambda self: self.truth.promoted)
    @rule(day=DAYS, data=st.data())
    def roll_back_to(self, day: date, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted({version for _, version in self.truth.promoted})))
        self._chosen(day, version, "rollback", "--to", version, "--effective-date", str(day), "--reason", "a test")

    @rule()
    def roll_back(self) -> None:
        """As people do it in a hurry: to what the live version replaced, from its effective date on."""
        live = self.truth.live_on(date.max)
        version = self.truth.replaced_by(live) if live else None
        if version is None:
            assert self.deployment.main("rollback").code == 2
            return
        since = max(day for day, known in self.truth.promoted if known == live and self.truth.is_in_effect(day, known))
        self._chosen(max(since, trained_for(version)), version, "rollback")

    @rule(verb=st.sampled_from(["promote", "rollback"]))
    def name_no_version(self, verb: str) -> None:
        """A version that nobody made is refused as data that is not whole."""
        option = "--version" if verb == "promote" else "--to"
        assert self.deployment.main(verb, option, "2024-05-01-00000000").code == 3

    @rule(day=DAYS, crash=CRASHES)
    def crash_in_apply(self, day: date, crash: tuple[int, str]) -> None:
        """Killed somewhere; the day then holds what it held, or what the dead attempt made, whole."""
        code = self._crash("apply", day, crash)
        version = self.truth.live_on(day)
        refused = 2 if version is None else 3 if trained_for(version) > day else 0
        assert code in (-signal.SIGKILL, refused), "killed, or ended as it would have without the kill"
        held = {row["model_version"] for row in self.deployment.partition(day)}
        if held != ({self.truth.rows[day]} if day in self.truth.rows else set()):
            assert refused == 0
            assert held == {version}
            self.truth.rows[day] = str(version)
        assert code != 0 or self.truth.rows[day] == version

    @rule(day=DAYS, crash=CRASHES)
    def crash_in_train(self, day: date, crash: tuple[int, str]) -> None:
        """Killed somewhere; its version was promoted, or it was not."""
        code = self._crash("train", day, crash)
        assert code in (-signal.SIGKILL, 0)
        assert code != 0 or len(self._history()) == len(self.truth.promoted) + 1
        if len(self._history()) > len(self.truth.promoted):
            self.truth.promoted.append((day, self._new_version()))

    @invariant()
    def history_is_what_was_done(self) -> None:
        assert [(date.fromisoformat(p.effective_date), p.to_version) for p in self._history()] == self.truth.promoted

    @invariant()
    def each_day_holds_one_version_whole(self) -> None:
        sql = f"SELECT run_date, ARRAY_AGG(DISTINCT model_version), COUNT(*), COUNT(DISTINCT {self.deployment.key})"
        sql += f" FROM `{self.deployment.table}` WHERE run_date >= '2024-01-01' GROUP BY run_date"
        found = {day: rest for day, *rest in map(tuple, self.deployment.clients.bigquery.query_and_wait(sql))}
        assert found == {day: [[version], 10, 10] for day, version in self.truth.rows.items()}

    @invariant()
    def what_is_live_is_whole(self) -> None:
        for _, version in self.truth.promoted[-1:]:
            bucket = self.deployment.clients.models
            versions.verify(bucket, versions.read(bucket, version))

    def _crash(self, verb: str, day: date, crash: tuple[int, str]) -> int:
        trip = Trip(do=signal.SIGKILL, index=crash[0], when=crash[1])
        folder = self.folder / f"words-{History.number}"
        return Attempt(self.deployment, verb, "--run-date", str(day), folder=folder, trips=(trip,)).ended().code

    def _chosen(self, day: date, version: str, *arguments: str) -> None:
        """A person's choice: refused for a day before the version's own, else recorded unless it is so already."""
        code = self.deployment.main(*arguments).code
        assert code == (2 if day < trained_for(version) else 0)
        of_day = [known for effective, known in self.truth.promoted if effective == day]
        if code == 0 and of_day[-1:] != [version]:
            self.truth.promoted.append((day, version))

    def _history(self) -> list[promotions.Promotion]:
        return promotions.history(self.deployment.clients.models)

    def _new_version(self) -> str:
        known = {version for _, version in self.truth.promoted}
        version = self._history()[-1].to_version
        assert version not in known
        return version


def explore(owner: dict[str, str], folder: Path, **limits: Any) -> None:
    History.owner, History.folder = owner, folder
    quiet = settings(deadline=None, suppress_health_check=list(HealthCheck), **limits)
    run_state_machine_as_test(History, settings=quiet)


def test_a_few_histories_end_as_the_reference_says(owner: dict[str, str], tmp_path: Path) -> None:
    explore(owner, tmp_path, max_examples=3, stateful_step_count=6, derandomize=True)


@pytest.mark.soak
def test_many_histories_end_as_the_reference_says(owner: dict[str, str], tmp_path: Path) -> None:
    explore(owner, tmp_path, max_examples=int(os.environ.get("HISTORIES", "60")), stateful_step_count=12)
