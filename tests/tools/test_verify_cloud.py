"""`make verify-cloud`: what nobody has seen on Google Cloud is listed; its checks run here with the same clients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.local.provider.conftest import cli as cli  # a fixture
from tests.tools.test_down import own_cloud as own_cloud  # a fixture
from tools import verify_cloud
from tools.assumption_checks import CHECKS

from . import cut_up
from .test_recover import Cloud

BUCKET = "local-project-local-customer-value-models"


def test_each_assumption_names_files_that_exist_and_a_check_that_does() -> None:
    listed = verify_cloud.load()
    assert len({assumption.id for assumption in listed}) == len(listed) > 15
    for assumption in listed:
        assert assumption.claim.endswith("."), assumption.id
        assert assumption.why, assumption.id
        assert assumption.how, assumption.id
        assert [file for file in assumption.used if not (ROOT / file).exists()] == [], assumption.id
    assert {assumption.check for assumption in listed} - {""} == set(CHECKS)


def test_without_a_deployed_stack_everything_is_listed_and_nothing_is_claimed(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
    env |= {"PULUMI_BACKEND_URL": f"file://{tmp_path}", "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tools.verify_cloud", "--stack", "dev"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "bucket-as-declared: not checked: the stack cannot be read" in done.stdout
    assert "run-without-act-as: by hand" in done.stdout
    assert "holds" not in done.stdout.splitlines()[-1]
    assert sum(line.startswith("  claim ") for line in done.stdout.splitlines()) == len(verify_cloud.load())


def test_a_stack_without_a_file_is_refused() -> None:
    assert verify_cloud.main(["--stack", "nowhere"]) == 2


@pytest.mark.engine
def test_checks_hold_on_a_deployed_stack_and_fail_when_the_platform_does_otherwise(own_cloud: Cloud) -> None:
    cut_up.up(ROOT, own_cloud.env, "local")
    command = (sys.executable, "-m", "tools.verify_cloud", "--stack", "local")
    told = cut_up.typed(ROOT, own_cloud.env, *command)
    assert "bucket-as-declared: holds: 2 buckets are as declared" in told
    assert "table-as-declared: holds: 1 tables are as declared" in told
    assert "required-columns-load: not checked: no predictions yet" in told
    assert "executions-tell-counts: not checked: no execution has ended yet" in told
    assert "stdout-becomes-entries: not checked: no good run's entry yet" in told
    door = own_cloud.env["STORAGE_ENDPOINT"]
    httpx.patch(f"{door}/storage/v1/b/{BUCKET}", json={"versioning": {"enabled": False}}).raise_for_status()
    told = cut_up.typed(ROOT, own_cloud.env, *command, code=1)
    assert f"bucket-as-declared: FAILS: versioning of {json.dumps(BUCKET)[1:-1]!r} is false, not true" in told
