"""Which version is live: the gate before it, promotion and rollback by hand, and many hands at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from google.cloud.storage import Bucket
from hypothesis import given
from hypothesis import strategies as st

from service import promotion_gate, promotions, versions
from service.gate_limits import AgainstLive, MetricLimits, PromotionLimits
from service.promotions import Promotion
from tests.service.deployments import Deployment

MAY, JUNE, JULY = "2024-05-01", "2024-06-01", "2024-07-01"


def train(deployment: Deployment, run_date: str) -> str:
    """Train, and return the new version."""
    ended = deployment.main("train", "--run-date", run_date)
    assert ended.code == 0, ended.said
    return str(deployment.receipts()[-1]["model_version"])


def live(deployment: Deployment, run_date: str = "2099-01-01") -> str | None:
    found = promotions.live_on(promotions.history(deployment.clients.models), date.fromisoformat(run_date))
    return found.to_version if found else None


def describe(deployment: Deployment, **keys: Any) -> None:
    """Change the model's description."""
    path = deployment.folder / "model.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def evaluated(deployment: Deployment, tolerance: float = 0.0) -> None:
    """Let the model offer an evaluation, under which its error may not grow."""
    (deployment.folder / "evaluation.json").write_text("{}")
    limits = {"against_live": {"metric": "error", "better": "lower", "tolerance": tolerance}}
    describe(deployment, evaluation={"config": "evaluation.json"}, gates={"promotion": limits})


def test_a_rollback_makes_the_earlier_version_live_from_the_same_day_on(deployment: Deployment) -> None:
    first, second = train(deployment, MAY), train(deployment, JUNE)
    ended = deployment.main("rollback", "--reason", "too many lost customers")
    assert (ended.code, ended.lines) == (0, [])
    told = json.loads(ended.out)
    assert (told["from"], told["to"], told["effective_date"]) == (second, first, JUNE)
    assert (live(deployment), live(deployment, "2024-05-31")) == (first, first)
    assert deployment.main("apply", "--run-date", "2024-06-02").code == 0
    assert deployment.receipts()[-1]["model_version"] == first
    lines = [json.loads(line) for line in deployment.main("history").out.splitlines()]
    assert [(line["to"], line["why"]) for line in lines] == [
        (first, "training"),
        (second, "training"),
        (first, "too many lost customers"),
    ]
    assert all(line["recorded_time"][:10] != line["effective_date"] for line in lines), "two times, kept apart"


def test_two_rollbacks_go_two_versions_back_and_a_third_has_nowhere_to_go(deployment: Deployment) -> None:
    made = [train(deployment, day) for day in (MAY, JUNE, JULY)]
    for expected in (made[1], made[0]):
        assert deployment.main("rollback").code == 0
        assert live(deployment) == expected
    ended = deployment.main("rollback")
    assert (ended.code, "none was before it. Name a version with --to" in ended.said) == (2, True)
    assert deployment.main("rollback", "--to", made[1]).code == 0
    assert live(deployment) == made[1]
    assert deployment.main("promote", "--version", made[2], "--reason", "it was right").code == 0
    assert live(deployment) == made[2], "a version that was rolled back may be promoted again"


def test_a_version_that_is_not_whole_is_not_promoted(deployment: Deployment) -> None:
    first, _ = train(deployment, MAY), train(deployment, JUNE)
    deployment.clients.models.blob(f"versions/{first}/deep/mean.json").upload_from_string("7")
    for verb in (("rollback",), ("promote", "--version", first)):
        ended = deployment.main(*verb)
        assert (ended.code, "'deep/mean.json' of version" in ended.said) == (3, True)
    assert deployment.main("promote", "--version", "none").code == 3


def test_no_version_is_promoted_for_days_before_its_training(deployment: Deployment) -> None:
    version = train(deployment, JUNE)
    ended = deployment.main("promote", "--version", version, "--effective-date", "2024-05-31")
    assert (ended.code, "was trained for 2024-06-01, after the effective date" in ended.said) == (2, True)


def test_a_version_that_misses_a_limit_stays_and_can_be_forced(deployment: Deployment) -> None:
    first = train(deployment, MAY)
    describe(deployment, gates={"promotion": {"metrics": {"rows": {"minimum": 31}, "auc": {"maximum": 1}}}})
    ended = deployment.main("train", "--run-date", JUNE)
    assert ended.code == 3
    assert "Metric 'rows' is 30, less than 31. Metric 'auc' is 'None' and not a number." in ended.said
    assert live(deployment) == first
    refused = str(deployment.receipts()[-1]["model_version"])
    assert [finding["rule"] for finding in deployment.receipts()[-1]["gate"]["findings"]] == ["metric", "metric"]
    assert deployment.main("promote", "--version", refused).code == 3
    assert deployment.main("promote", "--version", refused, "--force").code == 2, "whoever forces says why"
    assert deployment.main("promote", "--version", refused, "--force", "--reason", "a quiet month").code == 0
    assert live(deployment) == refused
    assert promotions.history(deployment.clients.models)[-1].why == "a quiet month"


def test_a_version_that_is_worse_than_the_live_one_on_the_same_data_does_not_go_live(deployment: Deployment) -> None:
    evaluated(deployment)
    first = train(deployment, MAY)
    (deployment.folder / "training.json").write_text(json.dumps({"times": 3}))
    ended = deployment.main("train", "--run-date", JUNE)
    assert (ended.code, live(deployment)) == (3, first)
    assert f"for the live '{first}'; lower is better" in ended.said
    evaluation = deployment.receipts()[-1]["gate"]["evaluation"]
    assert evaluation["live_version"] == first
    assert evaluation["candidate"]["error"] > evaluation["live"]["error"]
    evaluated(deployment, tolerance=10)
    assert train(deployment, JULY) == live(deployment)


@pytest.mark.parametrize(
    ("better", "new", "passes"),
    [
        ("higher", 0.79, False),
        ("higher", 0.8, True),
        ("lower", 0.81, False),
        ("lower", 0.8, True),
        ("lower", None, False),
    ],
)
def test_a_tie_is_not_worse(better: str, new: float | None, passes: bool) -> None:
    limits = PromotionLimits(against_live=AgainstLive(metric="m", better=better))
    evaluation = {"candidate": {"m": new}, "live": {"m": 0.8}, "live_version": "v"}
    assert (promotion_gate.examine(limits, {}, evaluation) == []) == passes
    assert promotion_gate.examine(limits, {}, {"candidate": {"m": new}}) == [], "the first version has no rival"


@pytest.mark.parametrize("value", [float("nan"), True, "0.9", None])
def test_what_is_no_number_meets_no_limit(value: object) -> None:
    limits = PromotionLimits(metrics={"auc": MetricLimits(minimum=0)})
    assert len(promotion_gate.examine(limits, {"auc": value}, {})) == 1


def test_sixteen_promotions_at_once_are_all_recorded_each_from_the_one_before(bucket: Bucket) -> None:
    names = [f"v{at}" for at in range(16)]

    def promote(name: str) -> None:
        promotions.promote(bucket, name, effective_date=date(2024, 5, 1), who="x", why="y", again=True)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(promote, names))
    history = promotions.history(bucket)
    assert sorted(p.to_version for p in history) == sorted(names)
    assert [p.from_version for p in history] == [None, *(p.to_version for p in history[:-1])]


def test_a_training_that_wakes_up_late_does_not_undo_a_rollback(bucket: Bucket) -> None:
    def promote(version: str, day: str, again: bool = False) -> None:
        promotions.promote(bucket, version, effective_date=date.fromisoformat(day), who="x", why="y", again=again)

    promote("v1", MAY)
    promote("v2", JUNE)
    promote("v1", JUNE, again=True)
    promote("v2", JUNE)
    assert [p.to_version for p in promotions.history(bucket)] == ["v1", "v2", "v1"]


DAYS = st.integers(0, 12).map(lambda n: date(2024, 1, 1) + timedelta(days=n))


@given(st.lists(st.tuples(st.sampled_from("abcd"), DAYS), max_size=12), DAYS)
def test_a_past_run_date_keeps_its_version_whatever_is_promoted_for_later_days(
    recorded: list[tuple[str, date]], run_date: date
) -> None:
    history: list[Promotion] = []
    for version, day in recorded:
        found = promotions.live_on(history, run_date)
        history.append(
            Promotion(effective_date=str(day), recorded_time="", who="", from_version=None, to_version=version, why="")
        )
        now = promotions.live_on(history, run_date)
        if day > run_date:
            assert now == found
        # By its meaning: of the latest day that is not later, what was recorded last.
        days = [d for _, d in recorded[: len(history)] if d <= run_date]
        last = [v for v, d in recorded[: len(history)] if days and d == max(days)]
        assert (now.to_version if now else None) == (last[-1] if last else None)


def test_versions_say_which_is_live_after_a_rollback(deployment: Deployment) -> None:
    train(deployment, MAY)
    train(deployment, JUNE)
    assert deployment.main("rollback").code == 0
    lines = [json.loads(line) for line in deployment.main("versions").out.splitlines()]
    assert [(line["live"], line["effective_dates"]) for line in lines] == [(True, [MAY, JUNE]), (False, [JUNE])]
    assert len(list(versions.all_of(deployment.clients.models))) == 2
