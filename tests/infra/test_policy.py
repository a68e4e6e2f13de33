"""The policy pack: no stack breaks a rule, and each rule is broken by a small change of the program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from policy.rules import RULES

from tests.conftest import RunningCloud

from .conftest import ROOT, Clone, Declared

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
    "bounded-tasks": ("components/jobs.py", "max_retries=action.max_retries,", ""),
}


def _broken(declared: Declared) -> set[str]:
    return {
        name
        for resource in declared.resources.values()
        for name, rule in RULES.items()
        if list(rule.faults(resource.type, resource.inputs))
    }


def _change(clone: Path, rule: str) -> None:
    file, old, new = MISTAKES[rule]
    path = clone / "infra" / file
    assert old in path.read_text(), f"{file} has changed; find another way to break {rule!r}"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("stack", ["local", "dev", "protected"])
def test_no_stack_breaks_a_rule(stack: str, request: pytest.FixtureRequest) -> None:
    declared: Declared = request.getfixturevalue(stack)
    assert _broken(declared) == set()


@pytest.mark.parametrize("rule", RULES)
def test_a_change_of_the_program_breaks_the_rule(clone: Clone, rule: str) -> None:
    _change(clone.root, rule)
    assert rule in _broken(clone.run())


@pytest.mark.engine
def test_the_engine_refuses_a_program_that_breaks_a_rule(clone: Clone, cloud: RunningCloud) -> None:
    for name in ("Pulumi.yaml", "Pulumi.local.yaml", ".dockerignore"):
        shutil.copy(ROOT / name, clone.root)
    shutil.copytree(ROOT / "container", clone.root / "container")
    (clone.root / ".venv").symlink_to(sys.prefix)
    subprocess.run([sys.executable, ROOT / "tools" / "pulumi_cli.py"], check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def preview() -> tuple[int, str]:
        command = ["pulumi", "preview", "--stack", "local", "--policy-pack", "infra/policy", "--non-interactive"]
        env = os.environ | cloud.env | {"PATH": path, "NO_COLOR": "1"}
        done = subprocess.run(command, cwd=clone.root, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    good, shown = preview()
    assert good == 0, shown
    _change(clone.root, "closed-buckets")
    bad, shown = preview()
    assert bad != 0
    assert "[mandatory]  closed-buckets" in shown
    assert "Set public_access_prevention='enforced'" in shown
