"""What a run says of itself: an event a step, labels on each line, and neither a secret nor a value of a row."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from service.logs import mark
from tests.conftest import RunningCloud
from tests.service.deployments import Deployment, Ended

pytestmark = pytest.mark.client

DAY, NEXT = date(2024, 5, 1), date(2024, 5, 2)
SECRET = "s3cr3t-canary\nof two lines-canary"  # noqa: S105 - a canary
KEYS = ("00-canary-wren", "00-canary-finch")  # the first in their order, so that they are what is left out
AMOUNT = 918273.645
MISDEEDS = (
    "environment",
    "leave out",
    "repeat",
    "too many",
    "nan",
    "null",
    "wrong type",
    "far off",
    "half a line",
    "exit",
)


def run(deployment: Deployment, verb: str, day: date = DAY) -> Ended:
    return deployment.main(verb, "--run-date", str(day), TOKEN=SECRET)


def steps(ended: Ended) -> dict[str, dict[str, Any]]:
    return {line["step"]: line for line in ended.lines if "step" in line}


@pytest.fixture
def aviary(deployment: Deployment) -> Deployment:
    """A deployment whose secret and rows are told from everything else."""
    path = deployment.folder / "model.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"secrets": {"TOKEN": "token:1"}}))
    source = deployment.spec.actions["training"].reads[0]
    rows = ", ".join(f"('{key}', DATE '2024-04-30', {AMOUNT})" for key in KEYS)
    deployment.clients.bigquery.query_and_wait(f"INSERT `{source}` ({deployment.key}, seen, amount) VALUES {rows}")
    return deployment


def test_each_step_is_one_event_with_its_seconds_rows_and_bytes(deployment: Deployment) -> None:
    trained, applied = run(deployment, "train"), run(deployment, "apply")
    assert list(steps(trained)) == ["input", "model", "version", "promotion", "receipt"]
    assert list(steps(applied)) == ["version", "input", "model", "gate", "delivery", "receipt"]
    told = steps(applied)
    assert all(line["seconds"] >= 0 for line in [*steps(trained).values(), *told.values()])
    assert {name: line["rows"] for name, line in told.items() if "rows" in line} == {
        "input": 30,
        "gate": 10,
        "delivery": 10,
    }
    assert all(told[name]["bytes"] > 0 for name in ("version", "input", "model", "gate", "delivery"))
    assert [ended.lines[-1]["message"] for ended in (trained, applied)] == ["Well done."] * 2


def test_every_line_carries_model_action_run_and_the_version_once_it_is_known(deployment: Deployment) -> None:
    for verb, action in (("train", "training"), ("apply", "application")):
        ended = run(deployment, verb)
        (made,) = [r for r in deployment.receipts() if r["action"] == action]
        labels = [line["logging.googleapis.com/labels"] for line in ended.lines]
        known = {"model": deployment.env["MODEL"], "action": action, "run_id": made["run_id"]}
        assert all(known.items() <= each.items() for each in labels)
        at = next(n for n, line in enumerate(ended.lines) if line.get("step") == "version")
        assert {each.get("version") for each in labels[at:]} == {made["model_version"]}


def test_no_secret_and_no_value_of_a_row_is_told_whatever_fails(
    aviary: Deployment, cloud: RunningCloud, tmp_path: Path
) -> None:
    said = [run(aviary, "train"), run(aviary, "apply"), run(aviary, "apply", NEXT)]
    for misdeed in MISDEEDS:
        aviary.misbehave(misdeed)
        said.append(run(aviary, "apply", NEXT))
    aviary.misbehave("")
    for method, status in (("objects.get", 403), ("jobs.insert", 401)):
        with FaultRules(cloud.url).during(Rule(action="status", method=method, status=status)):
            said.append(run(aviary, "apply", NEXT))
    assert {ended.code for ended in said} == {0, 3, 4}, "both good and failing paths were tried"
    everything = [json.dumps(line) for ended in said for line in ended.lines] + left(aviary)
    for secret in [*SECRET.splitlines(), token(aviary)]:
        assert not [text for text in everything if secret in text], "a secret, even if the model prints it"
    ours = [text for text in everything if '"stream": ' not in text]  # the model's own words are the model's
    for value in (*KEYS, str(AMOUNT), "'high'", "stranger"):
        assert not [text for text in ours if value in text], f"the value {value}"
    assert any(mark(KEYS[0]) in text for text in ours), "whoever may read the table finds the row by its mark"


def left(deployment: Deployment) -> list[str]:
    """Receipts, plans, promotions and manifests."""
    buckets = (deployment.clients.runs, deployment.clients.models)
    names = [(bucket, blob.name) for bucket in buckets for blob in bucket.list_blobs() if blob.name.endswith(".json")]
    kept = [(bucket, name) for bucket, name in names if "/deep/" not in name]
    assert {"receipts", "plans", "versions"} <= {name.partition("/")[0] for _, name in kept}
    return [bucket.blob(name).download_as_text() for bucket, name in kept]


def token(deployment: Deployment) -> str:
    """What the calls of this process carry."""
    found = deployment.clients.storage._credentials.token
    assert found
    return str(found)
