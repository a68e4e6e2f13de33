"""Whole runs on the local cloud: training, application, check, and every way in which they fail."""

import json
from datetime import date
from pathlib import Path

import pytest

from service import promotions, run, versions
from service.logs import mark
from tests.service.deployments import Deployment, deployed

DAY = date(2024, 5, 1)
ON = ("--run-date", str(DAY))
JOB = {
    "CLOUD_RUN_EXECUTION": "job-x7k2p",
    "IMAGE_DIGEST": "sha256:12",
    "CODE_COMMIT": "abc-dirty",
    "AIRFLOW_RUN_ID": "scheduled__1",
}


@pytest.fixture(scope="module")
def applied(owner: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment with one version and the predictions of DAY, for tests that leave both as they are."""
    made = deployed(owner, tmp_path_factory.mktemp("applied"))
    assert made.main("train", *ON).code == made.main("apply", *ON).code == 0
    return made


@pytest.fixture
def trained(deployment: Deployment) -> Deployment:
    """A deployment with one version, live from DAY on."""
    assert deployment.main("train", *ON).code == 0
    return deployment


def test_a_training_makes_a_version_and_promotes_it(deployment: Deployment) -> None:
    ended = deployment.main("train", *ON, **JOB)
    assert (ended.code, ended.lines[-1]["message"]) == (0, "Well done.")
    (manifest,) = versions.all_of(deployment.clients.models)
    assert set(manifest.files) == {"deep/mean.json", "metrics.json"}
    assert (manifest.input_rows, manifest.code_commit, manifest.image_digest) == (30, "abc-dirty", "sha256:12")
    (promotion,) = promotions.history(deployment.clients.models)
    assert (promotion.to_version, promotion.effective_date) == (manifest.version, "2024-05-01")
    (receipt,) = deployment.receipts()
    assert (receipt["status"], receipt["model_version"], receipt["rows"]) == ("succeeded", manifest.version, None)
    assert receipt["metrics"] == manifest.metrics
    assert (receipt["execution"], receipt["airflow_run_id"]) == ("job-x7k2p", "scheduled__1")


def test_an_application_delivers_one_row_for_each_entity(applied: Deployment) -> None:
    assert applied.main("apply", *ON, **JOB).code == 0
    rows, receipt = applied.partition(DAY), applied.receipts()[-1]
    assert [row[applied.key] for row in rows] == [f"{at:03d}" for at in range(10)]
    assert [row["level"] for row in rows] == pytest.approx([1.45] * 10)
    assert {(row["run_id"], row["model_version"], row["run_date"]) for row in rows} == {
        (receipt["run_id"], receipt["model_version"], DAY)
    }
    assert (receipt["status"], receipt["rows"], receipt["partition"], receipt["table"]) == (
        "succeeded",
        10,
        "20240501",
        applied.table,
    )
    assert receipt["output_fingerprint"].startswith("10-")
    checked = applied.main("check", *ON)
    assert (checked.code, json.loads(checked.out)) == (0, receipt)


def test_a_second_application_gives_the_same_partition_and_a_new_receipt(trained: Deployment) -> None:
    for _ in range(2):
        assert trained.main("apply", *ON).code == 0
    _, first, second = trained.receipts()
    assert first["output_fingerprint"] == second["output_fingerprint"]
    assert len({first["execution"], second["execution"]}) == 2
    assert {row["run_id"] for row in trained.partition(DAY)} == {second["run_id"]}
    assert len(trained.partition(DAY)) == 10, "replaced, not appended"


def test_an_application_leaves_other_partitions_alone(applied: Deployment) -> None:
    before = applied.partition(DAY)
    assert applied.main("apply", "--run-date", "2024-05-02").code == 0
    assert applied.partition(DAY) == before


def test_runs_are_a_table_derived_from_receipts(trained: Deployment) -> None:
    trained.misbehave("exit")
    assert trained.main("apply", *ON).code == 3
    columns = "action, status, message, started_at <= ended_at AS in_order"
    query = f"SELECT {columns} FROM `{trained.table}_runs` ORDER BY ended_at"
    rows = [tuple(row) for row in trained.clients.bigquery.query_and_wait(query)]
    assert [row[:2] for row in rows] == [("training", "succeeded"), ("application", "failed")]
    assert "no convergence in 100 steps" in rows[1][2]
    assert all(row[3] for row in rows)


@pytest.mark.parametrize(
    ("misdeed", "said"),
    [
        ("exit", "ended its application for 2024-05-01 with exit code 1. Its last words:\n"),
        ("no file", "The model left no predictions. Make it write 'predictions.csv' or 'predictions.parquet'"),
        ("leave out", "In the input, but not predicted: 2 values of"),
        ("repeat", "Predicted more than once: 1 values of"),
        ("nan", f"Column 'level' is NaN or infinite in 1 rows, such as '{mark('003')}'."),
        ("unknown column", "The predictions have 'mood', not in schema.json."),
    ],
)
def test_a_model_that_misbehaves_leaves_the_table_as_it_was(applied: Deployment, misdeed: str, said: str) -> None:
    before = applied.partition(DAY)
    applied.misbehave(misdeed)
    ended = applied.main("apply", *ON)
    applied.misbehave("")
    assert ended.code == 3
    assert said in ended.lines[-1]["message"]
    assert "Well done." not in ended.said
    assert applied.partition(DAY) == before
    receipt = applied.receipts()[-1]
    assert (receipt["status"], receipt["exit_code"], said in receipt["message"]) == ("failed", 3, True)
    checked = applied.main("check", *ON)
    assert (checked.code, said in checked.said) == (3, True)


def test_the_gates_findings_stand_in_the_receipt(applied: Deployment) -> None:
    applied.misbehave("leave out")
    assert applied.main("apply", *ON).code == 3
    applied.misbehave("")
    (finding,) = applied.receipts()[-1]["gate"]["findings"]
    assert (finding["rule"], finding["count"], finding["examples"]) == ("missing_key", 2, [mark("000"), mark("001")])


def test_too_few_predictions_are_refused_unless_a_person_says_why(trained: Deployment) -> None:
    assert trained.main("apply", *ON).code == 0
    (trained.folder / "events.sql").write_text(
        (trained.folder / "events.sql").read_text().replace("@run_date", f"@run_date AND {trained.key} < '005'")
    )
    later = ("--run-date", "2024-05-02")
    ended = trained.main("apply", *later)
    assert (ended.code, "There are 5 predictions after 10 for 2024-05-01" in ended.said) == (3, True)
    assert trained.partition(date(2024, 5, 2)) == []
    assert trained.main("apply", *later, "--force").code == 2, "whoever overrules the gate says why"
    forced = trained.main("apply", *later, "--force", "--reason", "half of the plant was sold")
    assert (forced.code, len(trained.partition(date(2024, 5, 2)))) == (0, 5)
    receipt = trained.receipts()[-1]
    assert (receipt["forced"], receipt["gate"]["findings"][0]["rule"]) == ("half of the plant was sold", "row_change")
    assert receipt["gate"]["reference"] == {"run_date": "2024-05-01", "rows": 10}


def test_no_reason_overrules_the_check_of_keys(trained: Deployment) -> None:
    trained.misbehave("leave out")
    ended = trained.main("apply", *ON, "--force", "--reason", "they do not matter")
    assert (ended.code, "whatever the reason: In the input, but not predicted" in ended.said) == (3, True)
    assert trained.partition(DAY) == []


def test_a_version_that_was_trained_later_than_the_run_date_is_refused(trained: Deployment) -> None:
    (manifest,) = versions.all_of(trained.clients.models)
    early = date(2024, 4, 30)
    promotions.promote(trained.clients.models, manifest.version, effective_date=early, who="eve", why="test")
    ended = trained.main("apply", "--run-date", str(early))
    assert (ended.code, "was trained for 2024-05-01, after the run date 2024-04-30" in ended.said) == (3, True)
    assert trained.partition(early) == []


def test_without_a_version_there_is_nothing_to_apply(applied: Deployment) -> None:
    ended = applied.main("apply", "--run-date", "2024-04-30")
    assert ended.code == 2
    assert "train first: python -m service train --run-date 2024-04-30" in ended.said


def test_a_version_without_manifest_is_never_chosen(deployment: Deployment) -> None:
    deployment.clients.models.blob("versions/2024-05-01-aaaaaaaa/deep/mean.json").upload_from_string("7")
    assert deployment.main("apply", *ON).code == 2
    promotions.promote(deployment.clients.models, "2024-05-01-aaaaaaaa", effective_date=DAY, who="me", why="test")
    ended = deployment.main("apply", *ON)
    assert (ended.code, "has no manifest" in ended.said) == (3, True)


def test_a_version_whose_file_was_altered_is_not_applied(trained: Deployment) -> None:
    (manifest,) = versions.all_of(trained.clients.models)
    trained.clients.models.blob(f"versions/{manifest.version}/deep/mean.json").upload_from_string("7")
    ended = trained.main("apply", *ON)
    assert (ended.code, "'deep/mean.json' of version" in ended.said) == (3, True)


def test_a_training_that_fails_leaves_the_live_version(trained: Deployment) -> None:
    before = promotions.history(trained.clients.models)
    trained.misbehave("no file", "training")
    ended = trained.main("train", *ON)
    assert (ended.code, "left no file in its output_path" in ended.said) == (3, True)
    assert promotions.history(trained.clients.models) == before


def test_a_later_attempt_of_an_execution_ends_as_its_receipt_says(trained: Deployment) -> None:
    trained.misbehave("exit")
    first = trained.main("apply", *ON, **JOB)
    trained.misbehave("")
    second = trained.main("apply", *ON, **JOB, CLOUD_RUN_TASK_ATTEMPT="1")
    assert (first.code, second.code) == (3, 3)
    assert "An earlier attempt of execution 'job-x7k2p' failed for good: The model" in second.said
    cleared = trained.main("apply", *ON, **JOB | {"CLOUD_RUN_EXECUTION": "job-new"})
    assert cleared.code == 0, "a new execution may succeed"
    again = trained.main("apply", *ON, **JOB | {"CLOUD_RUN_EXECUTION": "job-new", "CLOUD_RUN_TASK_ATTEMPT": "1"})
    assert (again.code, [line["message"] for line in again.lines]) == (0, ["Well done."])
    assert len(trained.receipts()) == 3


def test_a_failure_that_the_platform_will_repeat_leaves_no_receipt_yet(trained: Deployment) -> None:
    trained.misbehave("kill")
    assert trained.main("apply", *ON, **JOB).code == 4
    assert [r["action"] for r in trained.receipts()] == ["training"]
    assert trained.main("apply", *ON, **JOB, CLOUD_RUN_TASK_ATTEMPT="1").code == 4, "the last that max_retries allows"
    assert [(r["action"], r["status"]) for r in trained.receipts()] == [
        ("training", "succeeded"),
        ("application", "failed"),
    ]
    trained.misbehave("")
    other = JOB | {"CLOUD_RUN_EXECUTION": "job-2"}
    assert trained.main("apply", *ON, **other, CLOUD_RUN_TASK_ATTEMPT="1").code == 0


def test_a_check_wants_the_rows_that_the_receipt_promises(trained: Deployment) -> None:
    missing = trained.main("check", *ON)
    assert (missing.code, "has no receipt in 'gs://" in missing.said) == (3, True)
    assert trained.main("check", *ON, "--action", "training").code == 0
    assert trained.main("apply", *ON).code == 0
    trained.clients.bigquery.query_and_wait(
        f"DELETE FROM `{trained.table}` WHERE run_date = '{DAY}' AND {trained.key} = '003'"
    )
    ended = trained.main("check", *ON)
    assert (ended.code, "delivered 10 rows, but" in ended.said) == (3, True)


def test_versions_are_listed_with_the_live_one_marked(trained: Deployment) -> None:
    assert trained.main("train", "--run-date", "2024-06-01").code == 0
    lines = [json.loads(line) for line in trained.main("versions").out.splitlines()]
    assert [(line["live"], line["effective_dates"]) for line in lines] == [
        (False, ["2024-05-01"]),
        (True, ["2024-06-01"]),
    ]


def test_nothing_of_a_run_stays_on_the_disk(
    applied: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert applied.main("apply", *ON).code == 0
    assert list(scratch.iterdir()) == []


def test_the_last_words_are_those_that_operators_know() -> None:
    assert run.LAST_WORDS == "Well done."
