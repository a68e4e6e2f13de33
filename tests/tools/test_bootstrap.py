"""`make bootstrap`: commands that gcloud understands, run in order, once each, and again without harm."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import bootstrap

# Stands where gcloud stands: writes down what it is asked, remembers what was created, fails where it is told to.
RECORDER = """#!{python}
import pathlib, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "log").open("a") as log:
    print(*words, sep="\\t", file=log)
fails = here / "fails"
if fails.exists() and fails.read_text() in " ".join(words):
    sys.exit("ERROR: (gcloud) PERMISSION_DENIED: not yours")
if "get-value" in words: print("ada@acme.example")
if words[:2] == ["projects", "describe"]: print("123456789")
verbs = [word.replace("create-oidc", "create") for word in words]
for verb in ("create", "describe"):
    if verb in verbs and words[0] != "projects":
        made = here / ("made-" + "-".join(verbs[: verbs.index(verb)]))
        if verb == "create": made.touch()
        elif not made.exists(): sys.exit("ERROR: NOT_FOUND")
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    (tmp_path / "gcloud").write_text(RECORDER.format(python=sys.executable))
    (tmp_path / "gcloud").chmod(0o755)
    return tmp_path


def bootstrapped(recorder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"PATH": f"{recorder}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "tools.bootstrap", *options]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def asked(recorder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (recorder / "log").read_text().splitlines()]


def test_commands_are_printed_and_none_is_run(recorder: Path) -> None:
    done = bootstrapped(recorder, "--project", "acme-forecasts", "--region", "us-east4", "--github", "acme/forecasts")
    assert done.returncode == 0
    assert not (recorder / "log").exists()
    assert "gcloud storage buckets create gs://acme-forecasts-pulumi-state --location=us-east4" in done.stdout
    assert '"--member=user:$(gcloud config get-value account)"' in done.stdout
    assert "pulumi login gs://acme-forecasts-pulumi-state" in done.stdout
    key = "gcpkms://projects/acme-forecasts/locations/us-east4/keyRings/pulumi/cryptoKeys/state"
    assert f"pulumi stack init dev --secrets-provider={key}" in done.stdout


def test_what_is_printed_does_in_a_shell_what_is_applied(recorder: Path) -> None:
    options = ("--project", "acme-forecasts", "--github", "acme/forecasts")
    printed = bootstrapped(recorder, *options).stdout.partition("# Next:")[0]
    env = os.environ | {"PATH": f"{recorder}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-eu"], input=printed, env=env, text=True, check=True)
    typed = asked(recorder)
    for file in recorder.iterdir():
        if file.name == "log" or file.name.startswith("made-"):
            file.unlink()
    assert bootstrapped(recorder, *options, "--apply").returncode == 0
    applied = [words[:-1] for words in asked(recorder) if "describe" not in words or words[0] == "projects"]
    assert applied == typed


def test_applied_twice_it_makes_everything_once(recorder: Path) -> None:
    options = ("--project", "acme-forecasts", "--github", "acme/forecasts", "--apply")
    first = bootstrapped(recorder, *options)
    assert first.returncode == 0, first.stderr
    made = [words for words in asked(recorder) if {"create", "create-oidc"} & set(words)]
    assert [words[:3] for words in made] == [
        ["storage", "buckets", "create"],
        ["kms", "keyrings", "create"],
        ["kms", "keys", "create"],
        ["iam", "service-accounts", "create"],
        ["iam", "workload-identity-pools", "create"],
        ["iam", "workload-identity-pools", "providers"],
    ]
    granted = [word for words in asked(recorder) for word in words if word.startswith("--member=")]
    assert "--member=user:ada@acme.example" in granted
    assert "/projects/123456789/locations/global/workloadIdentityPools/github/" in granted[-1]
    (recorder / "log").unlink()
    second = bootstrapped(recorder, *options)
    assert second.returncode == 0
    assert second.stdout.count("already there") == len(made)
    assert not [words for words in asked(recorder) if {"create", "create-oidc"} & set(words)]


def test_the_first_failure_ends_it_with_its_words_and_the_next_call_goes_on(recorder: Path) -> None:
    (recorder / "fails").write_text("keyrings create")
    done = bootstrapped(recorder, "--project", "acme-forecasts", "--apply")
    assert done.returncode == 4
    assert "PERMISSION_DENIED: not yours" in done.stderr
    assert "`gcloud kms keyrings create pulumi" in done.stderr
    assert asked(recorder)[-1][:3] == ["kms", "keyrings", "create"], "nothing after it was tried"
    (recorder / "fails").unlink()
    assert bootstrapped(recorder, "--project", "acme-forecasts", "--apply").returncode == 0


@pytest.mark.parametrize("project", ["Acme", "acme", "acme_forecasts", "your-project-id", "acme-", "--apply", ""])
def test_what_is_no_project_id_is_refused_before_anything_is_made(recorder: Path, project: str) -> None:
    done = bootstrapped(recorder, f"--project={project}", "--apply")
    assert done.returncode == 2
    assert f"'{project}' is no project id" in done.stderr
    assert not (recorder / "log").exists()


def test_wrong_regions_and_repositories_are_refused() -> None:
    with pytest.raises(bootstrap.Refused, match="'EU' is no region"):
        bootstrap.check("acme-forecasts", "EU", "")
    with pytest.raises(bootstrap.Refused, match="'forecasts' is no repository"):
        bootstrap.check("acme-forecasts", "us-east4", "forecasts")


@pytest.mark.soak
@pytest.mark.skipif(not shutil.which("gcloud"), reason="needs the Google Cloud CLI to parse its own flags")
def test_the_real_gcloud_understands_every_command(tmp_path: Path) -> None:
    env = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    work = list(bootstrap.steps("acme-forecasts", "us-east4", "acme/forecasts"))
    commands = {step.command[:3]: step.command for step in work} | {s.exists[:3]: s.exists for s in work if s.exists}
    for command in commands.values():
        words = [re.sub(r"\$\([^/]*\)", "1", word) for word in command]
        done = subprocess.run(["gcloud", *words], env=env, capture_output=True, text=True, check=False)
        # It gets as far as asking who you are; a word that it does not know ends it earlier, with code 2.
        assert done.returncode == 1, shlex.join(command) + done.stderr
        assert "active account" in done.stderr, shlex.join(command) + done.stderr
