"""From a row back to what made it, and the same run once more."""

import json
from datetime import date
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


def test_a_replay_in_another_image_is_refused(applied: Deployment) -> None:
    run_id = applied.receipts()[-1]["run_id"]
    ended = applied.main("replay", "--run-id", run_id, **IMAGE | {"IMAGE_DIGEST": "sha256:34"})
    assert (ended.code, "ran in image 'sha256:12', and this is 'sha256:34'" in ended.said) == (2, True)


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
