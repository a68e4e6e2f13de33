"""`make preview OFFLINE=1`: updates, replacements and guards of any stack, without its state, its key or a trace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import scratch_clone
from tests.local.provider.conftest import cli as cli  # a fixture

SECURE = {"secure": "v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
KEY = "gcpkms://projects/acme/locations/europe-west1/keyRings/pulumi/cryptoKeys/state"


def git(clone: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of its own, with one commit on `main` and a stack `acme` that is encrypted with an absent key."""
    made = scratch_clone.copy(tmp_path / "clone")
    stack = yaml.safe_load((made / "Pulumi.prod.yaml").read_text())
    stack["config"] |= {"gcp:region": "us-east4", "gcp:accessToken": SECURE, "predictions:alertEmails": [SECURE]}
    stack |= {"secretsprovider": KEY, "encryptedkey": "Q2lz"}
    (made / "Pulumi.acme.yaml").write_text(yaml.safe_dump(stack))
    git(made, "init", "--quiet", "--initial-branch", "main")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "-m", "Base")
    return made


def preview(clone: Path, *arguments: str, tmp: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """What `make preview OFFLINE=1` runs, in a clone."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
    env |= {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # Python's byte code is no trace of a preview
    if tmp:
        env["TMPDIR"] = str(tmp)
    command = [sys.executable, "-m", "local.preview", *arguments]
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)


@pytest.mark.engine
def test_a_change_of_protected_data_fails_the_preview_with_the_safe_way_and_leaves_no_trace(
    cli: None, clone: Path, tmp_path: Path
) -> None:
    schema = clone / "service" / "models" / "customer_value" / "schema.json"
    schema.write_text(schema.read_text().replace('"probability_alive"', '"chance_alive"'))
    warehouse = clone / "infra" / "components" / "warehouse.py"
    warehouse.write_text(warehouse.read_text().replace("Predictions of all models,", "All predictions,"))
    before = git(clone, "status", "--porcelain", "--ignored")
    (tmp_path / "tmp").mkdir()
    done = preview(clone, "--stack", "acme", "--base", "main", tmp=tmp_path / "tmp")
    shown = done.stdout + done.stderr
    assert done.returncode not in (0, 2), shown
    assert "with table example_shop.transactions" in shown, "the table of others that the model reads"
    assert '"Predictions of all models, and the runs' in shown, "an update, with the old text"
    assert "unable to replace resource" in shown
    assert "The safe way" in shown
    assert git(clone, "status", "--porcelain", "--ignored") == before
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.engine
def test_a_broken_rule_fails_the_preview_of_a_stack_with_a_placeholder_for_a_project(cli: None, clone: Path) -> None:
    storage = clone / "infra" / "components" / "storage.py"
    storage.write_text(
        storage.read_text().replace('public_access_prevention="enforced"', "public_access_prevention=None")
    )
    done = preview(clone, "--stack", "dev", "--base", "none")
    shown = done.stdout + done.stderr
    assert done.returncode not in (0, 2), shown
    assert "no base: everything is new" in shown
    assert "your-project-id" in shown
    assert "[mandatory]  closed-buckets" in shown


@pytest.mark.engine
@pytest.mark.soak
def test_every_stack_of_a_clean_clone_previews_without_a_change_and_a_removed_model_is_refused(
    cli: None, clone: Path
) -> None:
    for stack in ("local", "dev", "prod", "acme"):
        done = preview(clone, "--stack", stack, "--base", "main")
        assert done.returncode == 0, done.stdout + done.stderr
        assert " unchanged\n" in done.stdout
        assert " to " not in done.stdout.rpartition("Resources:")[2].partition("Policy")[0]
    models = clone / "service" / "models"
    shutil.copytree(models / "customer_value", models / "second_value")
    description = models / "second_value" / "model.yaml"
    description.write_text(description.read_text().replace("name: customer_value", "name: second_value"))
    git(clone, "add", "service")
    git(clone, "commit", "--quiet", "-m", "Add a model")
    shutil.rmtree(models / "second_value")
    done = preview(clone, "--stack", "prod", "--base", "main")
    assert done.returncode not in (0, 2)
    assert "The safe way" in done.stderr, done.stdout + done.stderr


def test_a_base_that_does_not_exist_is_refused_with_the_way_out(clone: Path) -> None:
    done = preview(clone, "--stack", "prod")
    assert done.returncode == 2
    assert "There is no revision 'origin/main' in this clone. Try `git fetch origin main`" in done.stderr


def test_a_stack_that_does_not_exist_is_refused_with_those_that_do(clone: Path) -> None:
    done = preview(clone, "--stack", "staging", "--base", "main")
    assert done.returncode == 2
    assert "There is no file 'Pulumi.staging.yaml'. Stacks of this clone: acme, dev, local, prod." in done.stderr


def test_a_base_from_before_the_program_is_refused(clone: Path) -> None:
    git(clone, "checkout", "--quiet", "--orphan", "empty")
    git(clone, "commit", "--quiet", "--allow-empty", "-m", "Nothing yet", "--only")
    git(clone, "checkout", "--quiet", "--force", "main")
    done = preview(clone, "--stack", "prod", "--base", "empty")
    assert done.returncode == 2
    assert "Revision 'empty' has no Pulumi program" in done.stderr


@pytest.mark.engine
def test_a_base_that_does_not_come_up_is_told_with_its_words(cli: None, clone: Path) -> None:
    program = clone / "infra" / "__main__.py"
    good = program.read_text()
    program.write_text("raise SystemExit('no deployment today')\n")
    git(clone, "commit", "--quiet", "-am", "Break it")
    program.write_text(good)
    done = preview(clone, "--stack", "prod", "--base", "main")
    assert done.returncode == 4
    assert "Base 'main' does not come up" in done.stderr
