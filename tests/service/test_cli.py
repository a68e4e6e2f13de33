"""The command line: its verbs, its exit codes and what goes where."""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from service import cli
from service.verbs import VERBS
from tests.service.deployments import Deployment

NAMES = dict.fromkeys(
    ("GOOGLE_CLOUD_PROJECT", "LOCATION", "DATASET", "MODEL", "MODELS_BUCKET", "RUNS_BUCKET", "MODEL_PYTHON"), "x"
)


def main(*arguments: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a verb."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments, environment)
        except SystemExit as end:
            code = int(str(end.code))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_shows_an_example(verb: str) -> None:
    assert f"python -m service {verb} --" in VERBS[verb].example, f"{verb}: add an example"
    code, out, _ = main(verb, "--help", environment={})
    assert code == 0
    assert VERBS[verb].help in out
    assert VERBS[verb].example in " ".join(out.split())


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_example_of_a_verb_is_understood(verb: str) -> None:
    arguments = shlex.split(VERBS[verb].example)[3:]
    code, _, err = main(*arguments, environment={})
    assert code == 2
    assert "Missing: GOOGLE_CLOUD_PROJECT (the project" in json.loads(err)["message"], "it failed at the environment"


@pytest.mark.parametrize("day", ["yesterday", "20240501", "2024-02-30", "2024-W18-3"])
def test_a_run_date_is_a_day(day: str) -> None:
    code, _, err = main("train", "--run-date", day, environment={})
    assert (code, f"'{day}' is not a day such as 2024-05-01" in err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [("rollback", "--to", ""), ("explain", "--run-date", "2024-05-01", "--key", ""), ("promote", "--version", " ")],
)
def test_an_option_without_a_value_is_not_taken_for_none(arguments: tuple[str, ...]) -> None:
    code, _, err = main(*arguments, environment={})
    assert (code, "it is empty; give a value, or leave the option out" in err) == (2, True)


QUESTIONS = {
    "--run-id and --run-date may name different runs": ("--run-id", "x", "--run-date", "2024-05-01"),
    "A training makes no rows": ("--run-date", "2024-05-01", "--key", "1", "--action", "training"),
    "It is not said what to explain": ("--key", "1"),
}


@pytest.mark.parametrize("words", QUESTIONS)
def test_a_question_that_may_mean_two_things_is_not_answered(words: str) -> None:
    code, out, err = main("explain", *QUESTIONS[words], environment=NAMES)
    assert (code, out, words in json.loads(err)["message"]) == (2, "", True), err


def test_a_model_that_is_not_there_is_a_matter_of_usage(tmp_path: Path) -> None:
    names = ("GOOGLE_CLOUD_PROJECT", "LOCATION", "DATASET", "MODELS_BUCKET", "RUNS_BUCKET", "MODEL_PYTHON")
    env = dict.fromkeys(names, "x") | {"MODELS_FOLDER": str(tmp_path)}
    code, out, err = main("train", "--run-date", "2024-05-01", "--model", "absent", environment=env)
    line = json.loads(err)
    assert (code, out, line["severity"], line["exit_code"]) == (2, "", "ERROR", 2)
    text = f"There is no model 'absent' in '{tmp_path}', but []: '{tmp_path}/absent/model.yaml' is missing. Correct"
    assert text in line["message"]


def test_a_run_by_hand_logs_json_to_stderr_and_ends_with_well_done(deployment: Deployment) -> None:
    assert deployment.main("train", "--run-date", "2024-05-01").code == 0
    command = [sys.executable, "-m", "service", "apply", "--run-date", "2024-05-01"]
    ended = subprocess.run(command, env=os.environ | deployment.env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    last = json.loads(ended.stderr.splitlines()[-1])
    labels = last["logging.googleapis.com/labels"]
    assert (last["message"], last["run_id"]) == ("Well done.", labels["run_id"])
    assert labels["run_id"].startswith(f"{deployment.env['MODEL']}-application-2024-05-01-")
    assert (labels["model"], labels["action"]) == (deployment.env["MODEL"], "application")
    checked = deployment.main("check", "--run-date", "2024-05-01")
    assert (checked.code, checked.lines, json.loads(checked.out)["rows"]) == (0, [], 10)


def test_a_bucket_that_is_not_there_is_no_bucket_without_versions(deployment: Deployment) -> None:
    ended = deployment.main("versions", MODELS_BUCKET="nobody-made-this-bucket")
    assert (ended.code, ended.out) == (4, "")
    assert "There is no bucket 'nobody-made-this-bucket': 404 GET http" in ended.said


def test_a_run_that_is_stopped_ends_its_model_and_leaves_a_receipt(deployment: Deployment) -> None:
    deployment.misbehave("hang", "training")
    command = [sys.executable, "-m", "service", "train", "--run-date", "2024-05-01"]
    with subprocess.Popen(command, env=os.environ | deployment.env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        pid = next(json.loads(line)["message"][4:] for line in process.stderr if '"pid ' in line)
        process.terminate()
        last = json.loads(process.stderr.readlines()[-1])
    assert process.returncode == 4
    assert "The run was stopped by SIGTERM: it was cancelled, or over its time limit." in last["message"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    (receipt,) = deployment.receipts()
    assert (receipt["status"], receipt["message"]) == ("failed", last["message"])
