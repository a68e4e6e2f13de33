"""What a killed `up` was making is found again by its id, or the person is asked for it."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import adoption, recover
from tools.engine import EXIT_USAGE, Stack, ToolFailed

TOPIC = "gcp:pubsub/topic:Topic"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  gcp:project: acme\n  gcp:region: europe-west1\n")
    return Stack("dev", tmp_path)


def unfinished(token: str, called: str, **inputs: str) -> dict[str, object]:
    return {"type": token, "urn": f"urn:pulumi:dev::predictions::{token}::{called}", "inputs": inputs}


def test_everything_that_a_stack_declares_can_be_settled_without_a_person() -> None:
    golden = "".join(file.read_text() for file in (ROOT / "tests" / "golden").glob("*.yaml"))
    declared = set(re.findall(r"(?:gcp|docker-build):[\w/]+:\w+", golden))
    assert len(declared) > 15
    asked_for = {t for t in declared - adoption.IDS.keys() - adoption.NUMBERED.keys() if not adoption.repeatable(t)}
    assert asked_for == set(), "say in tools/adoption.py how these are found"


def test_a_component_is_in_the_state_only_and_needs_no_id(stack: Stack) -> None:
    source = "".join(file.read_text() for file in (ROOT / "infra" / "components").glob("*.py"))
    tokens = set(re.findall(r'super\(\).__init__\("([^"]+)"', source))
    assert len(tokens) > 8
    for token in tokens:
        assert adoption.id_of(unfinished(token, "airflow"), stack, {}) == ""


def test_an_id_is_made_of_the_inputs_and_of_the_stacks_places(stack: Stack) -> None:
    job = unfinished("gcp:cloudrunv2/job:Job", "churn-training", name="dev-churn-training")
    assert adoption.id_of(job, stack, {}) == "projects/acme/locations/europe-west1/jobs/dev-churn-training"
    elsewhere = unfinished("gcp:cloudrunv2/job:Job", "churn-training", name="x", project="other", location="us-east4")
    assert adoption.id_of(elsewhere, stack, {}) == "projects/other/locations/us-east4/jobs/x"


def test_an_id_that_only_a_person_can_find_is_asked_for_and_then_taken(stack: Stack) -> None:
    topic = unfinished(TOPIC, "alerts", name="alerts")
    with pytest.raises(ToolFailed, match=r"make recover STACK=dev ADOPT='alerts=ID'") as refused:
        adoption.id_of(topic, stack, {})
    assert refused.value.code == EXIT_USAGE
    assert adoption.id_of(topic, stack, {"alerts": "projects/acme/topics/alerts"}) == "projects/acme/topics/alerts"


def test_an_id_without_a_name_is_refused_before_anything_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        recover.main(["--stack", "dev", "--adopt", "projects/acme/topics/alerts"])
    assert ended.value.code == EXIT_USAGE
    assert "is not of the form NAME=ID" in capsys.readouterr().err
