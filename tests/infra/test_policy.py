"""The policy pack: no stack breaks a rule, and each rule is broken by a small change of the program."""

import re
from pathlib import Path

import pytest
from policy.rules import RULES, STACK_RULES, Resource

from tests import scratch_clone
from tests.conftest import RunningCloud
from tests.engine import Engine

from .conftest import Clone, Declared

# Each rule, with the file and the change that breaks it.
MISTAKES = {
    "no-public-grant": ("components/storage.py", "member=member,", 'member="allUsers",'),
    "no-basic-role": ("components/jobs.py", '"run.viewer"', '"viewer"'),
    "no-wide-grant": ("components/identity.py", "roles/bigquery.jobUser", "roles/bigquery.dataEditor"),
    "no-evicting-grant": (
        "components/jobs.py",
        "        self.names = {",
        '        gcp.cloudrunv2.JobIamBinding(name, role="roles/run.viewer", members=["user:a@example.com"],\n'
        "            opts=pulumi.ResourceOptions(parent=self))\n"
        "        self.names = {",
    ),
    "no-account-key": (
        "components/identity.py",
        "        self.register_outputs",
        '        gcp.serviceaccount.Key(name, service_account_id="x", opts=pulumi.ResourceOptions(parent=self))\n'
        "        self.register_outputs",
    ),
    "image-by-digest": ("components/jobs.py", "image=args.image,", 'image="registry.example/customer_value:latest",'),
    "closed-buckets": ("components/storage.py", 'public_access_prevention="enforced"', "public_access_prevention=None"),
    "bucket-lifecycle": ("components/storage.py", "lifecycle_rules=", "lifecycle_rules=[] and "),
    "lasting-versions": (
        "components/storage.py",
        '(args, "models", _expire_noncurrent())',
        '(args, "models", _expire_current(NONCURRENT_DAYS))',
    ),
    "partitioned-predictions": (
        "components/warehouse.py",
        "require_partition_filter=True",
        "require_partition_filter=False",
    ),
    "owned-resources": ("components/warehouse.py", "labels=args.stack.labels()", "labels={}"),
    "pinned-airflow": (
        "components/orchestration.py",
        "image_version=args.image_version",
        'image_version="composer-3-airflow-3"',
    ),
    "airflow-major": (
        "components/orchestration.py",
        "image_version=args.image_version",
        'image_version="composer-3-airflow-4.0.1-build.3"',
    ),
    "patient-airflow": ("components/orchestration.py", 'update="90m"', 'update="20m"'),
    "airflow-bucket-region": ("components/storage.py", "location=stack.region.upper()", 'location="EU"'),
    "bounded-tasks": ("components/jobs.py", "max_retries=action.max_retries,", ""),
}


# These change the same line as another one, so the engine is asked about them in a second run.
SECOND = {"lasting-versions", "airflow-major"}


def _broken(declared: Declared) -> set[str]:
    resources = [
        Resource(
            type=found.type,
            inputs=found.inputs,
            create_seconds=_seconds(found.timeouts.get("create", "")),
            update_seconds=_seconds(found.timeouts.get("update", "")),
        )
        for found in declared.resources.values()
    ]
    broken = {name for name, rule in RULES.items() for resource in resources if list(rule.faults(resource))}
    return broken | {name for name, rule in STACK_RULES.items() if list(rule.faults(resources))}


def _seconds(limit: str) -> float:
    return 60 * float(limit.removesuffix("m") or 0)


def _change(clone: Path, rule: str) -> None:
    file, old, new = MISTAKES[rule]
    path = clone / "infra" / file
    assert old in path.read_text(), f"{file} has changed; find another way to break {rule!r}"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("stack", ["local", "dev", "protected"])
def test_no_stack_breaks_a_rule(stack: str, request: pytest.FixtureRequest) -> None:
    declared: Declared = request.getfixturevalue(stack)
    assert _broken(declared) == set()


@pytest.mark.parametrize("rule", [*RULES, *STACK_RULES])
def test_a_change_of_the_program_breaks_the_rule(clone: Clone, rule: str) -> None:
    _change(clone.root, rule)
    assert rule in _broken(clone.run())


def _preview(engine: Engine, *, fails: bool) -> str:
    return engine("preview", "--policy-pack", "infra/policy", fails=fails)


@pytest.fixture(scope="module")
def good(cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the engine says of the program as it is."""
    return _preview(Engine(scratch_clone.copy(tmp_path_factory.mktemp("good")), cloud), fails=False)


@pytest.mark.engine
@pytest.mark.parametrize("rules", [MISTAKES.keys() - SECOND, SECOND], ids=["most", "second"])
def test_the_engine_refuses_a_program_for_each_rule_that_it_breaks(
    rules: set[str], good: str, cloud: RunningCloud, tmp_path: Path
) -> None:
    assert "[mandatory]" not in good
    clone = scratch_clone.copy(tmp_path)
    for rule in sorted(rules):
        _change(clone, rule)
    shown = _preview(Engine(clone, cloud), fails=True)
    assert set(re.findall(r"\[mandatory\] +([\w-]+)", shown)) == rules, shown
