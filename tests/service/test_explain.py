"""From a row back to what made it, and the same run once more."""

import json
import shutil
import venv
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.service.deployments import Deployment

DAY = date(2024, 5, 1)
ON = ("--run-date", str(DAY))
IMAGE = {"IMAGE_DIGEST": "sha256:12", "CODE_COMMIT": "abc"}


@pytest.fixture
def applied(deployment: Deployment) -> Deployment:
    for verb in ("train", "apply"):
        ended = deployment.main(verb, *ON, **IMAGE)
        assert ended.code == 0, ended.said
    return deployment


def test_a_row_leads_to_its_run_version_commit_and_gate_report(applied: Deployment) -> None:
    training, application = applied.receipts()
    told = json.loads(applied.main("explain", *ON, "--key", "003").out)
    assert told["row"][applied.key] == "003"
    assert told["run"] == application
    assert (told["run"]["code_commit"], told["run"]["image_digest"]) == ("abc", "sha256:12")
    assert told["version"]["run_id"] == training["run_id"]
    assert [p["why"] for p in told["promotions"]] == ["training"]
    assert told["run"]["gate"]["rows"] == 10
    for question in (ON, ("--run-id", application["run_id"])):
        assert json.loads(applied.main("explain", *question).out)["run"] == application


def test_a_run_whose_rows_were_replaced_says_whose_rows_stand(applied: Deployment) -> None:
    first = applied.receipts()[-1]["run_id"]
    assert f"'{first}' has succeeded" in (told := json.loads(applied.main("explain", *ON).out)["summary"])
    assert told.endswith("code abc, image sha256:12. The table holds its predictions.")
    assert applied.main("apply", *ON, "--force", "--reason", "seen", **IMAGE).code == 0
    second = applied.receipts()[-1]["run_id"]
    for run_id, words in ((first, f"holds the predictions of run '{second}'."), (second, "holds its predictions.")):
        told = json.loads(applied.main("explain", "--run-id", run_id).out)
        assert told["summary"].endswith(words)
        assert told["table_holds_run"] == second
        assert (told["run"]["run_id"], told["run"]["rows"]) == (run_id, 10)


def test_of_a_row_that_is_not_there_it_is_said_why(applied: Deployment) -> None:
    key = ("--key", "003")
    for day, misdeed, why in (
        ("2024-05-02", "", "the model was not applied to that day"),
        ("2024-05-02", "leave out", "the last run of that day has failed. Ask why: python -m service explain"),
    ):
        if misdeed:
            applied.misbehave(misdeed)
            assert applied.main("apply", "--run-date", day).code == 3
        ended = applied.main("explain", "--run-date", day, *key)
        assert (ended.code, why in ended.said) == (3, True), ended.said
    failed = json.loads(applied.main("explain", "--run-date", "2024-05-02").out)
    assert "has failed" in failed["summary"]
    assert "not predicted: 2 values" in failed["summary"]


def test_the_page_of_the_dag_run_is_named(deployment: Deployment) -> None:
    by_airflow = {"AIRFLOW_RUN_ID": "manual__2024-05-01T07:00:00+00:00", "AIRFLOW_DAG_ID": "dev_yields_training"}
    assert deployment.main("train", *ON, **by_airflow).code == 0
    ended = deployment.main("explain", *ON, "--action", "training", AIRFLOW_URL="https://flows.example/")
    page = "https://flows.example/dags/dev_yields_training/runs/manual__2024-05-01T07%3A00%3A00%2B00%3A00"
    assert json.loads(ended.out)["airflow"] == page


def test_a_row_whose_execution_died_before_its_receipt_is_explained_by_its_plan(applied: Deployment) -> None:
    receipt = applied.receipts()[-1]
    # As a kill between the delivery and the receipt leaves it.
    name = f"receipts/application/{receipt['run_id']}/{receipt['execution']}.json"
    applied.clients.runs.blob(name).delete()
    told = json.loads(applied.main("explain", *ON, "--key", "003").out)
    assert told["run"]["execution"] == receipt["execution"]
    assert (told["run"]["rows"], told["run"]["fingerprint"]) == (10, receipt["output_fingerprint"])
    assert "died between its delivery and its receipt" in told["run"]["message"]
    assert told["version"]["version"] == receipt["model_version"]
    # Nor is the plan of another run taken for this one's.
    applied.clients.runs.blob(f"plans/{DAY}.json").delete()
    ended = applied.main("explain", *ON, "--key", "003")
    assert (ended.code, f"nor the plan of {DAY}" in ended.said) == (3, True)


def test_what_is_not_there_cannot_be_explained(applied: Deployment) -> None:
    for question in ((*ON, "--key", "999"), ("--run-date", "2024-05-02"), ("--run-id", "none")):
        assert applied.main("explain", *question).code == 3
    assert applied.main("explain").code == 2


def test_a_replay_of_either_action_gives_the_same_and_writes_nothing(applied: Deployment) -> None:
    receipts = applied.receipts()
    before = applied.partition(DAY)
    for receipt in receipts:
        ended = applied.main("replay", "--run-id", receipt["run_id"], **IMAGE)
        assert ended.code == 0, ended.said
        assert json.loads(ended.out)["same"]["input"] == receipt["input_fingerprint"]
    assert (applied.receipts(), applied.partition(DAY)) == (receipts, before)


@pytest.mark.parametrize(("digest", "now"), [("sha256:34", "in image 'sha256:34'"), ("", "by hand")])
def test_a_replay_in_another_image_is_refused_with_the_command_for_the_right_one(
    applied: Deployment, digest: str, now: str
) -> None:
    receipt = applied.receipts()[-1]
    ended = applied.main("replay", "--run-id", receipt["run_id"], **IMAGE | {"IMAGE_DIGEST": digest})
    assert (ended.code, f"was made in image 'sha256:12', and this is {now}:" in ended.said) == (2, True)
    job, region = receipt["execution"].rpartition("-")[0], applied.env["LOCATION"]
    command = f"gcloud run jobs execute {job} --region={region} --tasks=1 --args=replay,--run-id={receipt['run_id']}"
    assert command in ended.said


def test_a_run_that_was_made_by_hand_is_not_replayed_in_an_image(deployment: Deployment) -> None:
    assert deployment.main("train", "--run-date", str(DAY)).code == 0
    (receipt,) = deployment.receipts()
    ended = deployment.main("replay", "--run-id", receipt["run_id"], **IMAGE)
    assert "was made by hand, and this is in image 'sha256:12'" in ended.said
    assert "Replay it by hand, at the receipt's commit" in ended.said
    assert deployment.main("replay", "--run-id", receipt["run_id"]).code == 0


def test_a_replay_sees_a_changed_row_and_a_changed_line_of_code(applied: Deployment) -> None:
    run_id = applied.receipts()[-1]["run_id"]
    code = Path(applied.folder / "source" / "throwaway" / "main.py")
    good = code.read_text()
    code.write_text(good.replace('"level": mean}', '"level": mean + 1e-9}'))
    ended = applied.main("replay", "--run-id", run_id, **IMAGE)
    assert (ended.code, "does not repeat: the output was" in ended.said) == (3, True)
    code.write_text(good)
    source = applied.spec.actions["application"].reads[0]
    applied.clients.bigquery.query_and_wait(f"UPDATE `{source}` SET amount = 9.5 WHERE {applied.key} = '003'")
    ended = applied.main("replay", "--run-id", run_id, **IMAGE)
    assert (ended.code, "does not repeat: the input was" in ended.said) == (3, True)


def library(python: Path, version: str) -> None:
    """Install a library of one line into an environment, as an installer leaves it."""
    (site,) = python.parent.parent.glob("lib/python*/site-packages")
    for old in site.glob("pebble-*"):
        shutil.rmtree(old)
    (site / "pebble.py").write_text(f"VERSION = '{version}'\n")
    info = site / f"pebble-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pebble\nVersion: {version}\n")
    (info / "RECORD").write_text("pebble.py,,\n")


def test_a_replay_sees_a_changed_library_though_the_result_is_the_same(deployment: Deployment, tmp_path: Path) -> None:
    venv.create(tmp_path / "own", with_pip=False, symlinks=True)
    python = tmp_path / "own" / "bin" / "python"
    library(python, "1.0")
    own = IMAGE | {"MODEL_PYTHON": str(python)}
    for verb in ("train", "apply"):
        assert deployment.main(verb, *ON, **own).code == 0
    training, application = deployment.receipts()
    assert training["environment_fingerprint"] == application["environment_fingerprint"]
    manifest = json.loads(deployment.main("explain", *ON, "--action", "training").out)["version"]
    assert manifest["environment_fingerprint"] == training["environment_fingerprint"]
    assert deployment.main("replay", "--run-id", application["run_id"], **own).code == 0
    library(python, "1.1")
    for receipt in (training, application):
        ended = deployment.main("replay", "--run-id", receipt["run_id"], **own)
        assert ended.code == 3
        assert "does not repeat: the environment was 'sha256:" in ended.said
        assert "the output was" not in ended.said
        assert "The model's libraries differ" in ended.said


@pytest.mark.soak
def test_twenty_past_runs_replay_identically(deployment: Deployment) -> None:
    for number in range(10):
        day = ("--run-date", str(DAY + timedelta(days=number)))
        for verb in ("train", "apply"):
            ended = deployment.main(verb, *day, **IMAGE)
            assert ended.code == 0, ended.said
    receipts = deployment.receipts()
    assert len(receipts) == 20
    for receipt in receipts:
        ended = deployment.main("replay", "--run-id", receipt["run_id"], **IMAGE)
        assert ended.code == 0, ended.said
