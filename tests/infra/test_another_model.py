"""Another model on the real engine: what the preview shows, and that the stack's own `up` changes nothing twice."""

import json
from pathlib import Path

import pytest

from tests import scratch_clone
from tests.conftest import RunningCloud
from tests.engine import Engine

pytestmark = pytest.mark.engine


def _steps(engine: Engine) -> dict[str, str]:
    steps = json.loads(engine("preview", "--json"))["steps"]
    return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}


def test_another_model_is_created_beside_the_first(cloud: RunningCloud, tmp_path: Path) -> None:
    config = {
        "gcp:project": "orchard-9",
        "gcp:region": "asia-south1",
        "predictions:dataset": "orchard",
        "predictions:owner": "growers",
        "predictions:exampleSource": "true",
        "predictions:orchestrator": "composer",
    }
    clone = scratch_clone.copy(tmp_path)
    engine = Engine(clone, cloud, "orchard", config)
    engine.up()
    engine("preview", "--expect-no-changes")
    table = "SELECT * FROM `example_shop.transactions` WHERE purchased_on < @run_date"
    scratch_clone.add_model(clone, "apples", package="loans", key="tree", value="weight", sql=table, config={})
    steps = _steps(engine)
    changed = {name: op for name, op in steps.items() if op != "create"}
    assert changed == {"runs": "update"}, "docs/decisions/0013-what-another-model-changes.md"
    assert {name for name, op in steps.items() if op == "create" and "customer_value" in name} == set()
    assert {"apples-training", "apples-predictions", "orchard_apples_training.dag.json"} <= steps.keys()
