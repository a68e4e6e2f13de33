"""A mistake that real users made: what the platform gives back another way, each preview shows as a change."""

from pathlib import Path

import pytest

from tests import scratch_clone
from tests.conftest import RunningCloud
from tests.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.soak]


def test_an_age_in_days_is_a_change_in_every_preview(cloud: RunningCloud, tmp_path: Path) -> None:
    clone = scratch_clone.copy(tmp_path)
    config = {"gcp:project": "vineyard-3", "gcp:region": "us-west2", "predictions:dataset": "vines"}
    config |= {"predictions:owner": "growers", "predictions:exampleSource": "true", "predictions:orchestrator": "none"}
    engine = Engine(clone, cloud, "vines", config)
    registry = clone / "infra" / "components" / "registry.py"
    registry.write_text(registry.read_text().replace('f"{UNTAGGED_DAYS * 24 * 3600}s"', 'f"{UNTAGGED_DAYS}d"'))
    for _ in range(2):
        engine.up()
        assert "cleanupPolicies[1].condition.olderThan" in engine("preview", "--diff", "--json", fails=False)
        engine("preview", "--expect-no-changes", fails=True)
