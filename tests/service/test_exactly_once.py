"""Exactly once: attempts killed before and after each API request they make, beside rivals, zombies and a reader.

Each case kills one attempt by SIGKILL at one request, and goes on as one of `FATES` says. No two attempts predict the
same, and whenever an application has read which version is live, somebody makes another one live. `make test` takes a
seeded choice of the cases, `make soak` all of them.
"""

import itertools
import json
import random
import signal
import threading
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from service import promotions, versions
from service.delivery import Plan
from tests.service.attempts import Attempt, Trip
from tests.service.deployments import Deployment, deployed
from tests.service.reader import Reader, Rows, staged

pytestmark = pytest.mark.client

SEED = 20240501
REQUESTS = {"apply": 17, "train": 10}  # of a run; held against reality below
WHEN = ("before", "after")
FATES = ("retried", "cleared", "among rivals", "beside a zombie")
BASE = date(2024, 5, 1)  # of the first version
VERSIONS = 5  # more than a case has attempts, so that the last one finds a version that none before it had
# Each case has a day to itself, before those of the others: no earlier partition to compare its noise with.
DAYS = {"apply": (date(2039, 12, 31) - timedelta(days=n) for n in itertools.count()),
        "train": (date(2034, 12, 31) - timedelta(days=n) for n in itertools.count())}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A kill at one request of one verb, and what happens around it."""

    verb: str
    index: int
    when: str
    fate: str

    def __str__(self) -> str:
        return f"{self.verb}, killed {self.when} request {self.index}, {self.fate}"


POINTS = [(verb, index, when) for verb, count in REQUESTS.items() for index in range(count) for when in WHEN]
CASES = [Case(*point, fate) for point in POINTS for fate in FATES]


def chosen(count: int) -> list[Case]:
    """A choice in which every fate has its share; few of those that take many attempts."""
    order = random.Random(SEED).sample(CASES, len(CASES))  # noqa: S311 - no secret
    shares = dict(zip(FATES, (count - 2 * (count // 3), count // 3, count // 6, count // 3 - count // 6), strict=True))
    return [case for fate, share in shares.items() for case in [c for c in order if c.fate == fate][:share]]


@pytest.fixture(scope="module")
def noisy(owner: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A model of which no two attempts predict the same, with a few versions."""
    made = deployed(owner, tmp_path_factory.mktemp("noisy"))
    for action in ("training", "application"):
        made.misbehave("noise", action)
    for later in range(VERSIONS):
        assert made.main("train", "--run-date", str(BASE + timedelta(days=later))).code == 0
    return made


class Story:
    """One case as it happens: the attempts of one run date, under ids of their own."""

    def __init__(self, deployment: Deployment, case: Case, folder: Path) -> None:
        self.deployment, self.case, self.folder = deployment, case, folder
        self.day = next(DAYS[case.verb])
        self.random = random.Random(f"{SEED} {case}")  # noqa: S311 - no secret
        self.action = "application" if case.verb == "apply" else "training"
        self.turns = threading.Lock()
        self.versions = itertools.cycle(
            [p.to_version for p in promotions.history(deployment.clients.models)][:VERSIONS]
        )
        self.last = ""  # folder of the attempt that ends well
        if case.verb == "apply":
            self.switch()

    def attempt(self, execution: str, *trips: Trip, run: str = "0000000a", number: int = 0) -> Attempt:
        """Start one."""
        env = {
            "RUN_ID": f"{self.deployment.env['MODEL']}-{self.action}-{self.day}-{run}",
            "CLOUD_RUN_EXECUTION": f"{execution}-{self.day}",
            "CLOUD_RUN_TASK_ATTEMPT": str(number),
            "IMAGE_DIGEST": "sha256:1",
            "CODE_COMMIT": "c",
        }
        day = ("--run-date", str(self.day))
        if self.case.verb == "apply":
            trips = (*trips, Trip(do=self.switch, match="live.json", when="after"))
        return Attempt(self.deployment, self.case.verb, *day, folder=self.folder, trips=trips, env=env)

    def switch(self) -> None:
        """Make another version live for the run date."""
        with self.turns:  # they are one person; racing promoters have a test of their own
            promotions.promote(
                self.deployment.clients.models,
                next(self.versions),
                effective_date=self.day,
                who="somebody",
                why="between attempts",
                again=True,
            )

    def at_random(self, do: int) -> Trip:
        """A trip at any request."""
        index = self.random.randrange(REQUESTS[self.case.verb])
        return Trip(do=do, index=index, when=self.random.choice(WHEN))

    def tell(self) -> None:
        """Let it happen, to its good end."""
        kill = Trip(do=signal.SIGKILL, index=self.case.index, when=self.case.when)
        sleepers: list[Attempt] = []
        others: list[Attempt] = []
        if self.case.fate == "among rivals":
            others = [self.attempt("e2", self.at_random(signal.SIGKILL)), self.attempt("e3", run="0000000b")]
        if self.case.fate == "beside a zombie":
            sleepers = [self.attempt("e4", self.at_random(signal.SIGSTOP))]
        for other in [*others, *sleepers]:
            other.begun.wait()
        killed = self.attempt("e1", kill)  # began last, so nobody supersedes it before it is killed
        assert killed.ended().code == -signal.SIGKILL, killed.requests
        assert {other.ended().code for other in others} <= {0, -signal.SIGKILL}
        for sleeper in sleepers:
            sleeper.until_stopped_or_ended()
        again = self.random.random() < 0.5 if sleepers else self.case.fate == "retried"
        execution = ("e4" if sleepers else "e1") if again else "e9"
        last = self.attempt(execution, number=int(again))
        self.last = f"/{execution}-{self.day}{'-1' if again else ''}/"
        ended = last.ended()
        assert (ended.code, ended.lines[-1]["message"]) == (0, "Well done."), ended.said
        for sleeper in sleepers:
            sleeper.wake()
            assert sleeper.ended().code in (0, 4), "superseded, or its execution has a receipt already"


def test_the_cases_reach_every_request_of_a_run(noisy: Deployment, tmp_path: Path) -> None:
    for verb, count in REQUESTS.items():
        attempt = Attempt(noisy, verb, "--run-date", str(next(DAYS[verb])), folder=tmp_path)
        assert (attempt.ended().code, len(attempt.requests)) == (0, count), "\n".join(attempt.requests)


@pytest.mark.parametrize("case", chosen(25), ids=str)
def test_killed_at_any_request_and_repeated_it_happens_once(noisy: Deployment, tmp_path: Path, case: Case) -> None:
    happen(noisy, tmp_path, case)


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_at_every_request_and_repeated_it_happens_once(noisy: Deployment, tmp_path: Path, case: Case) -> None:
    happen(noisy, tmp_path, case)


def happen(deployment: Deployment, folder: Path, case: Case) -> None:
    story = Story(deployment, case, folder)
    if case.verb == "train":
        story.tell()
        check_versions(deployment, story.day)
        return
    reader = Reader(deployment, story.day)
    with reader.polling():
        story.tell()
    assert reader.polls, "the reader saw nothing"
    made = staged(deployment, story.day)
    check_what_was_seen(reader, set(made.values()))
    check_versions_differ(made, story.last)
    check_records(deployment, story.day, reader.seen[-1])


def check_what_was_seen(reader: Reader, made: set[tuple[tuple[object, ...], ...]]) -> None:
    """At each moment nothing yet, or the rows of one attempt, whole."""
    assert reader.seen[0] == ()
    for rows in reader.seen[1:]:
        assert rows in made, "a mix, a gap or double rows"
    assert len(set(reader.seen)) == len(reader.seen), "what was replaced came back"


def check_versions_differ(made: dict[str, Rows], last: str) -> None:
    """Each attempt's rows are of one version, and the last attempt had another version than those before it."""
    versions_of = {uri: {row[2] for row in rows} for uri, rows in made.items()}
    assert all(len(found) == 1 for found in versions_of.values())
    own = [found for uri, found in versions_of.items() if last in uri]
    assert all(found not in own for uri, found in versions_of.items() if last not in uri)


def check_records(deployment: Deployment, day: date, rows: tuple[tuple[object, ...], ...]) -> None:
    """Plan, receipts and `check` agree with the partition."""
    run = deployment.clients.runs
    document = run.blob(f"plans/{day}.json").download_as_bytes()
    plan = Plan(**json.loads(document))
    assert plan.state == "delivered"
    (uri,) = plan.files
    assert rows == staged(deployment, day)[uri], "the partition is not what the plan says"
    (receipt,) = [r for r in deployment.receipts() if r["load_job"] == plan.load_job]
    told = {name: receipt[name] for name in ("status", "rows", "output_fingerprint", "execution", "run_id")}
    assert told == {
        "status": "succeeded",
        "rows": len(rows),
        "output_fingerprint": plan.fingerprint,
        "execution": plan.execution,
        "run_id": plan.run_id,
    }
    assert {row[2] for row in rows} == {receipt["model_version"]}, "the receipt names another version than the rows"
    checked = deployment.main("check", "--run-date", str(day))
    assert (checked.code, json.loads(checked.out)["load_job"]) == (0, plan.load_job)


def check_versions(deployment: Deployment, day: date) -> None:
    """What was promoted is whole, and the receipts name what was promoted."""
    made = [p for p in promotions.history(deployment.clients.models) if p.effective_date == str(day)]
    for promotion in made:
        versions.verify(deployment.clients.models, versions.read(deployment.clients.models, promotion.to_version))
    assert len({p.to_version for p in made}) == len(made), "a version was promoted twice"
    of_day = [r for r in deployment.receipts() if r["run_date"] == str(day) and r["status"] == "succeeded"]
    assert {r["model_version"] for r in of_day} <= {p.to_version for p in made}
    assert deployment.main("check", "--run-date", str(day), "--action", "training").code == 0
