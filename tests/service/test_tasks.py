"""An application shared by three tasks: the last to finish delivers the complete set, once, whatever dies."""

import itertools
import json
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from service.delivery import Plan
from tests.service.attempts import Attempt, Trip
from tests.service.deployments import Deployment, Ended, deployed
from tests.service.reader import Reader, staged

SEED = 20261123
TASKS = 3
REQUESTS = (16, 15, 29)  # of tasks that run in turn: the first makes the split, the last delivers
BASE = date(2024, 5, 1)
DAYS = (date(2039, 12, 31) - timedelta(days=n) for n in itertools.count())
RETRIES = 2


@dataclass(frozen=True)
class Case:
    """What is done to one task at one of its requests, the tasks running in turn or at once."""

    task: int
    index: int
    when: str
    fate: str  # "in turn", "at once", or "a zombie": stopped there, retried, and woken when all is done

    def __str__(self) -> str:
        return f"task {self.task} at request {self.index}, {self.when}, {self.fate}"


CASES = [
    Case(task, index, when, fate)
    for fate in ("in turn", "at once", "a zombie")
    for task in range(TASKS)
    for index in range(REQUESTS[task])
    for when in ("before", "after")
]
CHOSEN = random.Random(SEED).sample(CASES, 5)  # noqa: S311 - no secret


class Execution:
    """The tasks of one execution, each in a process of its own."""

    def __init__(self, deployment: Deployment, folder: Path, name: str = "e1", run: str = "0000000a") -> None:
        self.deployment, self.folder, self.day = deployment, folder, next(DAYS)
        self.name, self.run = name, run

    def attempt(self, task: int, *trips: Trip, number: int = 0) -> Attempt:
        """Start an attempt of a task."""
        env = {
            "RUN_ID": f"{self.deployment.env['MODEL']}-application-{self.day}-{self.run}",
            "CLOUD_RUN_EXECUTION": f"{self.name}-{self.day}",
            "CLOUD_RUN_TASK_ATTEMPT": str(number),
            "CLOUD_RUN_TASK_INDEX": str(task),
            "CLOUD_RUN_TASK_COUNT": str(TASKS),
            "IMAGE_DIGEST": "sha256:1",
            "CODE_COMMIT": "c",
        }
        day = ("--run-date", str(self.day))
        return Attempt(self.deployment, "apply", *day, folder=self.folder, trips=trips, env=env)

    def task(self, task: int, *trips: Trip) -> list[Ended]:
        """Run a task as Cloud Run does: again when it was killed."""
        ended = [self.attempt(task, *trips).ended()]
        while ended[-1].code and len(ended) <= RETRIES:
            ended.append(self.attempt(task, number=len(ended)).ended())
        return ended

    def all(self, case: Case) -> list[Ended]:
        """Run all tasks to their good end; answers how each attempt ended."""
        do = signal.SIGSTOP if case.fate == "a zombie" else signal.SIGKILL
        trips = {case.task: (Trip(do=do, index=case.index, when=case.when),)}
        if case.fate == "in turn":
            return [end for task in range(TASKS) for end in self.task(task, *trips.get(task, ()))]
        if case.fate == "at once":
            with ThreadPoolExecutor(TASKS) as pool:
                return [e for ended in pool.map(lambda t: self.task(t, *trips.get(t, ())), range(TASKS)) for e in ended]
        return list(self._with_zombie(case, trips[case.task]))

    def _with_zombie(self, case: Case, trips: tuple[Trip, ...]) -> Iterator[Ended]:
        order = [*range(case.task), case.task, *range(case.task + 1, TASKS)]
        for task in order:
            if task == case.task:
                zombie = self.attempt(task, *trips)
                zombie.until_stopped_or_ended()
                yield self.attempt(task, number=1).ended()
            else:
                yield from self.task(task)
        zombie.wake()
        yield zombie.ended()


@pytest.fixture(scope="module")
def noisy(owner: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A model of which no two attempts predict the same, trained once."""
    made = deployed(owner, tmp_path_factory.mktemp("tasks"))
    for action in ("training", "application"):
        made.misbehave("noise", action)
    assert made.main("train", "--run-date", str(BASE)).code == 0
    return made


def test_tasks_in_turn_deliver_once_and_the_last_says_so(noisy: Deployment, tmp_path: Path) -> None:
    execution = Execution(noisy, tmp_path)
    attempts = []
    for task in range(TASKS):
        attempts.append(execution.attempt(task))
        assert attempts[-1].ended().code == 0
        assert bool(noisy.partition(execution.day)) == (task == TASKS - 1), "nothing is to be seen before the last"
    assert tuple(len(attempt.requests) for attempt in attempts) == REQUESTS, [a.requests for a in attempts]
    check(execution)
    (receipt,) = [r for r in noisy.receipts() if r["run_date"] == str(execution.day)]
    assert (receipt["task"], receipt["tasks"], receipt["rows"], receipt["input_rows"]) == (2, TASKS, 10, 30)


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_a_task_killed_anywhere_and_repeated_changes_nothing(noisy: Deployment, tmp_path: Path, case: Case) -> None:
    happen(noisy, tmp_path, case)


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_task_killed_at_every_request_changes_nothing(noisy: Deployment, tmp_path: Path, case: Case) -> None:
    happen(noisy, tmp_path, case)


def happen(deployment: Deployment, folder: Path, case: Case) -> None:
    execution = Execution(deployment, folder)
    reader = Reader(deployment, execution.day)
    with reader.polling():
        ended = execution.all(case)
    assert {end.code for end in ended} <= {0, -signal.SIGKILL}, "\n".join(end.said for end in ended)
    words = [end.lines[-1]["message"] for end in ended if end.code == 0]
    # A zombie and its repetition are one task, and each that finds the receipt of this task says so.
    assert words.count("Well done.") <= (2 if case.fate == "a zombie" else 1), words
    if not any(end.code for end in ended):
        assert words.count("Well done.") >= 1, words
    assert len(reader.seen) == 2, "first nothing, then all"
    assert check(execution) == reader.seen[-1]


def check(execution: Execution) -> tuple[tuple[object, ...], ...]:
    """The partition is the parts that the plan names, one for each key; the one receipt agrees."""
    deployment = execution.deployment
    plan = Plan(**json.loads(deployment.clients.runs.blob(f"plans/{execution.day}.json").download_as_bytes()))
    files = staged(deployment, execution.day)
    rows = tuple(sorted(row for uri in plan.files for row in files[uri]))
    assert Reader(deployment, execution.day).look() == rows
    assert [row[0] for row in rows] == [f"{at:03d}" for at in range(10)], "one prediction for each key"
    assert plan.state == "delivered"
    (receipt,) = [r for r in deployment.receipts() if r["run_date"] == str(execution.day)]
    told = {name: receipt[name] for name in ("status", "rows", "output_fingerprint", "load_job")}
    assert told == {
        "status": "succeeded",
        "rows": 10,
        "output_fingerprint": plan.fingerprint,
        "load_job": plan.load_job,
    }
    assert deployment.main("check", "--run-date", str(execution.day)).code == 0
    return rows


def test_a_task_that_fails_for_good_leaves_no_rows(noisy: Deployment, tmp_path: Path) -> None:
    execution = Execution(noisy, tmp_path)
    assert [end.code for end in execution.task(0)] == [0]
    noisy.misbehave("nan")
    failed = execution.task(1)
    noisy.misbehave("noise")
    assert {end.code for end in failed} == {3}
    assert [end.code for end in execution.task(2)] == [0], "its own part is good"
    assert not noisy.partition(execution.day)
    (receipt,) = [r for r in noisy.receipts() if r["run_date"] == str(execution.day)]
    assert (receipt["status"], receipt["task"]) == ("failed", 1)


def test_parts_of_another_execution_are_never_taken(noisy: Deployment, tmp_path: Path) -> None:
    first = Execution(noisy, tmp_path)
    for task in (0, 1):
        assert first.task(task)[-1].code == 0
    cleared = Execution(noisy, tmp_path, name="e2")
    cleared.day = first.day
    for task in range(TASKS):
        assert cleared.task(task)[-1].code == 0
    check(cleared)
    late = first.task(2)[-1]
    assert (late.code, "Superseded" in late.said) == (0, True), late.said
    plan = json.loads(noisy.clients.runs.blob(f"plans/{first.day}.json").download_as_bytes())
    assert all("/e2-" in uri for uri in plan["files"])
    assert {row["run_id"] for row in noisy.partition(first.day)} == {
        f"{noisy.env['MODEL']}-application-{first.day}-0000000a"
    }


def test_a_training_is_not_shared(deployment: Deployment) -> None:
    env = {"CLOUD_RUN_EXECUTION": "e", "CLOUD_RUN_TASK_COUNT": "2", "IMAGE_DIGEST": "sha256:1", "CODE_COMMIT": "c"}
    ended = deployment.main("train", "--run-date", str(BASE), **env)
    assert (ended.code, "Declare its job with one task." in ended.said) == (2, True)


def test_a_run_of_several_tasks_is_replayed_share_by_share(deployment: Deployment, tmp_path: Path) -> None:
    assert deployment.main("train", "--run-date", str(BASE), IMAGE_DIGEST="sha256:1").code == 0
    execution = Execution(deployment, tmp_path)
    for task in range(TASKS):
        assert execution.task(task)[-1].code == 0
    (receipt,) = [r for r in deployment.receipts() if r["action"] == "application"]
    again = deployment.main("replay", "--run-id", receipt["run_id"], IMAGE_DIGEST="sha256:1")
    assert again.code == 0, again.said
    assert json.loads(again.out)["same"]["output"] == receipt["output_fingerprint"]
