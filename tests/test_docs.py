"""Documents name what exists: keys, verbs, targets, files, commands."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from service.verbs import VERBS
from tests.conftest import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Every command a document shows, and the test that runs it.
RUN_BY = {
    "make demo": "tests/test_end_to_end.py runs local.demo, which is all the target does after setup",
    "make test": ".ci/run",
    "make bootstrap": "tests/tools/test_bootstrap.py",
    "make model": "tests/tools/test_check_model.py makes models by tools.new_model",
    "make check-model": "tests/tools/test_check_model.py",
    "make verify-cloud": "tests/tools/test_verify_cloud.py",
    "make preview": "tests/local/test_preview.py",
    "make recover": "tests/tools/test_recover.py",
    "make down": "tests/tools/test_down.py",
    ". .venv/bin/activate": "tests/local/provider/test_engine.py runs with its PATH",
    "pulumi stack select": "tests/local/provider/test_stacks.py",
    "pulumi up": "tests/local/provider/test_engine.py",
    'eval "$(make env)"': "tests/test_end_to_end.py runs tools.job_environment, which is all the target does",
    "eval": "tests/local/test_command_line.py",
    "python -m local fault": "tests/local/test_faults.py",
    "export CLOUDSDK_": "tests/local/test_command_line_tools.py",
    "gcloud storage": "tests/local/test_command_line_tools.py",
    "gcloud logging": "tests/local/test_command_line_tools.py",
    "bq --api": "tests/local/test_command_line_tools.py",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_every_stack_key_is_documented() -> None:
    keys = yaml.safe_load(text_of("Pulumi.yaml"))["config"]
    documented = set(re.findall(r"`predictions:(\w+)`", text_of("docs/configuration.md")))
    assert documented == set(keys)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_of_the_service_shows_an_example(verb: str) -> None:
    assert f"python -m service {verb} --" in VERBS[verb].example, f"{verb}: add an example"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / link).exists(), f"{document.name} links to {link}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_shown_command_is_run_by_a_test(document: Path) -> None:
    for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
        for line in block.strip().splitlines():
            known = any(line.startswith(command) for command in RUN_BY)
            assert known, f"{document.name} shows `{line}`: name the test that runs it"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))
    for command in re.findall(r"`(make [^`]+)`", document.read_text()):
        assert shlex.split(command)[1] in targets, f"{document.name} names `{command}`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_backticks_exists(document: Path) -> None:
    named = re.findall(
        r"`((?:infra|service|local|dags|tools|tests|container|docs)/[\w./-]+\.\w+)`", document.read_text()
    )
    for path in named:
        assert (ROOT / path).exists(), f"{document.name} names {path}"
