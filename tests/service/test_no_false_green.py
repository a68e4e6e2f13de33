"""No false green: each failure of the catalogue, through the real service, is red, leaves the table and says why."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from tests.service.attempts import Attempt, Trip
from tests.service.deployments import Deployment, Ended, deployed
from tests.service.failures import BEFORE, DAY, FAILURES, Failure

pytestmark = pytest.mark.client

# What passes by itself is no failure: asked again, the run goes on, and the partition is right.
PASSING = [
    Rule(action="status", service="bigquery", status=503, nth=1),
    Rule(action="status", service="bigquery", status=429, nth=2),
    Rule(action="status", service="storage", method="objects.get", status=500, nth=2),
    Rule(action="status", service="storage", method="objects.insert", status=503, nth=1),
    Rule(action="status", service="storage", method="objects.insert", when="after", status=503, nth=2),
    Rule(action="drop", service="storage", when="after", method="objects.insert", nth=3),
    Rule(action="drop", service="bigquery", when="after", method="jobs.insert", nth=2),
    Rule(action="truncate", method="objects.get", path="/download/*input/*", nth=1),
]


def made(owner: dict[str, str], folder: Path) -> Deployment:
    """A model that was trained and applied on two days."""
    deployment = deployed(owner, folder)
    for verb, day in (("train", BEFORE), ("apply", BEFORE), ("apply", DAY)):
        assert deployment.main(verb, "--run-date", str(day)).code == 0
    return deployment


@pytest.fixture(scope="module")
def shared(owner: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """For failures that leave nothing behind."""
    return made(owner, tmp_path_factory.mktemp("shared"))


def run(deployment: Deployment, failure: Failure, faults: FaultRules, folder: Path) -> Ended:
    """Inject a failure, and do the run."""
    verb = "apply" if failure.action == "application" else "train"
    command = (verb, "--run-date", failure.on)
    with ExitStack() as injected:
        injected.enter_context(faults.during(*failure.rules))
        if failure.misdeed:
            deployment.misbehave(failure.misdeed, failure.action)
            injected.callback(deployment.misbehave, "", failure.action)
        if not (failure.at or failure.signals or failure.file_bytes):
            return deployment.main(*command, **failure.env)
        trips = list(failure.signals)
        if failure.at:
            match, skip, deed = failure.at
            trips.append(Trip(do=lambda: deed(deployment), match=match, skip=skip))
        attempt = Attempt(deployment, *command, folder=folder, trips=tuple(trips), file_bytes=failure.file_bytes)
        return attempt.ended()


@pytest.mark.parametrize(
    "failure", [pytest.param(f, marks=pytest.mark.soak if f.slow else ()) for f in FAILURES], ids=str
)
def test_a_failure_is_red_and_says_why_and_the_table_keeps_what_it_had(
    request: pytest.FixtureRequest, faults: FaultRules, tmp_path: Path, failure: Failure
) -> None:
    own = failure.own or failure.deed or failure.table != "kept"
    deployment = made(request.getfixturevalue("owner"), tmp_path) if own else request.getfixturevalue("shared")
    if failure.deed:
        failure.deed(deployment)
    before, receipts = rows(deployment), len(deployment.receipts())
    ended = run(deployment, failure, faults, tmp_path)
    last = ended.lines[-1]["message"]
    assert (ended.code, failure.cause in last, failure.remedy in last) == (failure.code, True, True), ended.said
    assert "Well done." not in ended.said
    judge_table(deployment, before, failure)
    judge_records(deployment, receipts, failure)


def judge_table(deployment: Deployment, before: dict[date, list[dict[str, Any]]], failure: Failure) -> None:
    after = rows(deployment)
    assert after[BEFORE] == before[BEFORE]
    if failure.table == "kept":
        assert after == before, "the table is not as it was"
    elif failure.table == "delivered":
        told = [[{**row, "run_id": "", "predicted_at": ""} for row in state[DAY]] for state in (before, after)]
        assert told[0] == told[1], "the new delivery is not whole"


def judge_records(deployment: Deployment, receipts: int, failure: Failure) -> None:
    """No receipt says succeeded, and the one of the failure says what the message said."""
    new = deployment.receipts()[receipts:]
    assert "succeeded" not in {receipt["status"] for receipt in new}
    for receipt in new:
        assert failure.cause in receipt["message"]
    if failure.code not in (0, -9) and new:
        assert deployment.main("check", "--run-date", failure.on).code == 3


def rows(deployment: Deployment) -> dict[date, list[dict[str, Any]]]:
    return {day: deployment.partition(day) for day in (BEFORE, DAY)}


@pytest.mark.parametrize("rule", PASSING, ids=lambda r: f"{r.action} {r.status} {r.method} {r.nth}")
def test_what_passes_by_itself_ends_well_with_the_right_partition(
    shared: Deployment, faults: FaultRules, rule: Rule
) -> None:
    before = shared.partition(DAY)
    with faults.during(rule):
        ended = shared.main("apply", "--run-date", str(DAY))
        assert faults.list()[-1]["fired"] == 1, "nothing was injected"
    assert (ended.code, ended.lines[-1]["message"]) == (0, "Well done."), ended.said
    assert [row["level"] for row in shared.partition(DAY)] == [row["level"] for row in before]


def test_of_two_runs_of_one_date_at_once_the_later_one_stands_and_the_other_says_so(
    owner: dict[str, str], tmp_path: Path
) -> None:
    deployment = made(owner, tmp_path)
    command, later = ("apply", "--run-date", str(DAY)), list[Ended]()
    rival = Trip(do=lambda: later.append(Attempt(deployment, *command, folder=tmp_path).ended()), match="POST /upload")
    early = Attempt(deployment, *command, folder=tmp_path, trips=(rival,)).ended()
    last = early.lines[-1]["message"]
    assert (later[0].code, later[0].lines[-1]["message"]) == (0, "Well done.")
    assert (early.code, "It began later, and its predictions stand" in early.said) == (0, True), early.said
    assert last != "Well done."
    told = {receipt["run_id"]: receipt["status"] for receipt in deployment.receipts()[-2:]}
    assert sorted(told.values()) == ["succeeded", "superseded"]
    (stands,) = {row["run_id"] for row in deployment.partition(DAY)}
    assert told[stands] == "succeeded"


def test_the_catalogue_holds_what_it_promises() -> None:
    assert len({failure.name for failure in FAILURES}) == len(FAILURES) >= 30
    assert all(replace(failure, name="").cause and failure.remedy for failure in FAILURES if failure.code >= 0)
