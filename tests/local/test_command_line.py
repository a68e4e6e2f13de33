"""`python -m local`: what a person types, and what they read when it cannot be done."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.__main__ import main
from tests.conftest import ROOT, RunningCloud, serve

VERBS = ("serve", "airflow", "env", "logs", "executions", "query", "fault")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


Local = Callable[..., Done]


@pytest.fixture
def local(capsys: pytest.CaptureFixture[str]) -> Local:
    """Run a command in this process, which saves the second that importing takes."""

    def local(verb: str, *arguments: str, folder: Path) -> Done:
        code = main([verb, "--folder", str(folder), *arguments])
        return Done(code, *capsys.readouterr())

    return local


def announced(process: "subprocess.Popen[str]", folder: Path) -> RunningCloud:
    assert process.stdout
    return RunningCloud(folder, json.loads(process.stdout.readline())["env"])


def write(cloud: RunningCloud, project: str, *entries: dict[str, object]) -> None:
    body = {"logName": f"projects/{project}/logs/till", "resource": {"type": "global"}, "entries": entries}
    httpx.post(f"{cloud.env['LOGGING_ENDPOINT']}/v2/entries:write", json=body).raise_for_status()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"python -m local {verb}" in " ".join(capsys.readouterr().out.partition("example: ")[2].split())


def test_serving_announces_what_clients_need(cloud: RunningCloud) -> None:
    names = {"STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT", "LOCAL_CLOUD_FOLDER"}
    names |= {"PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_DEBUG_PROVIDERS"}
    names |= {f"{service}_ENDPOINT" for service in ("STORAGE", "BIGQUERY", "LOGGING", "RUN")}
    assert names <= cloud.env.keys()
    assert all(value.startswith("http://127.0.0.1:") for name, value in cloud.env.items() if name.endswith("_ENDPOINT"))


def test_env_prints_lines_a_shell_can_read(cloud: RunningCloud, local: Local) -> None:
    script = local("env", folder=cloud.folder).out + 'printf %s "$STORAGE_ENDPOINT,$LOCAL_CLOUD_FOLDER"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{cloud.url},{cloud.folder}"


def test_two_clouds_run_side_by_side_and_sigterm_ends_one(cloud: RunningCloud, tmp_path: Path, local: Local) -> None:
    process = serve(tmp_path / "other", "--project", "other-project")
    other = announced(process, tmp_path / "other")
    assert other.env["GOOGLE_CLOUD_PROJECT"] == "other-project"
    write(cloud, "shared-name", {"textPayload": "in the first"})
    write(other, "shared-name", {"textPayload": "in the second"})
    printed = local("logs", "--project", "shared-name", folder=other.folder).out
    assert "in the second" in printed
    assert "in the first" not in printed
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert "No local cloud runs" in local("env", folder=other.folder).err
    assert "in the first" in local("logs", "--project", "shared-name", folder=cloud.folder).out


def test_a_folder_has_one_cloud(cloud: RunningCloud, local: Local) -> None:
    done = local("serve", folder=cloud.folder)
    assert (done.code, done.out) == (2, "")
    assert "already runs" in done.err


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "local", "serve", "--folder", str(tmp_path), "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: Port {port}" in done.stderr


def test_a_number_that_is_no_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--port", "65536"])
    assert "'65536' is not a port" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, local: Local) -> None:
    (tmp_path / "file").touch()
    done = local("serve", folder=tmp_path / "file" / "cloud")
    assert done.code == 2
    assert done.err.startswith("error: Cannot write to folder")
    assert str(tmp_path / "file" / "cloud") in done.err


def test_after_kill_9_the_next_one_has_everything_and_ctrl_c_ends_it(tmp_path: Path, local: Local) -> None:
    first = serve(tmp_path, "--project", "quarry")
    write(announced(first, tmp_path), "quarry", {"textPayload": "written before"})
    first.kill()
    first.wait()
    assert "No local cloud runs" in local("logs", folder=tmp_path).err
    second = serve(tmp_path, "--project", "quarry")
    announced(second, tmp_path)
    assert "written before" in local("logs", folder=tmp_path).out
    second.send_signal(signal.SIGINT)
    assert second.wait(timeout=60) == 0


@pytest.mark.parametrize("arguments", [("env",), ("logs",), ("executions",), ("query", "SELECT 1")])
def test_without_a_cloud_the_verbs_say_how_to_start_one(
    tmp_path: Path, arguments: tuple[str, ...], local: Local
) -> None:
    done = local(*arguments, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    way_out = f"Start one with `python -m local serve --folder {tmp_path}`."
    assert done.err == f"error: No local cloud runs in {str(tmp_path)!r}. {way_out}\n"


def test_logs_are_printed_oldest_first_and_filtered(cloud: RunningCloud, local: Local) -> None:
    labels = {"run.googleapis.com/execution_name": "stocks-apply-a1b2c"}
    write(
        cloud,
        "till-9",
        {"textPayload": "opened", "timestamp": "2023-01-02T08:00:00Z", "labels": labels},
        {"jsonPayload": {"message": "short", "by": 3}, "severity": "ERROR", "timestamp": "2023-01-02T09:00:00Z"},
        {"textPayload": "closed", "timestamp": "2023-01-02T10:00:00Z"},
    )
    lines = local("logs", "--project", "till-9", folder=cloud.folder).out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["2023-01-02T08:00:00Z", "DEFAULT", "stocks-apply-a1b2c", "opened"],
        ["2023-01-02T09:00:00Z", "ERROR", "till", "short"],
        ["2023-01-02T10:00:00Z", "DEFAULT", "till", "closed"],
    ]
    assert lines[1].endswith('short {"by": 3}')
    errors = local("logs", "--project", "till-9", "--filter", "severity>=ERROR", folder=cloud.folder)
    assert errors.out.splitlines() == [lines[1]]
    newest = local("logs", "--project", "till-9", "--limit", "2", folder=cloud.folder)
    assert newest.out.splitlines() == lines[1:]
    nothing = local("logs", "--project", "till-9", "--filter", "insertId=none", folder=cloud.folder)
    assert (nothing.code, nothing.out) == (0, "")
    assert "no log entries in project 'till-9' match 'insertId=none'" in nothing.err


def test_a_bad_filter_is_explained(cloud: RunningCloud, local: Local) -> None:
    done = local("logs", "--filter", "severity>=", folder=cloud.folder)
    assert done.code == 2
    assert done.err.startswith("error: Unparseable filter: syntax error at line 1, column 11")


def test_executions_are_a_table(cloud: RunningCloud, local: Local) -> None:
    parent = f"{cloud.env['RUN_ENDPOINT']}/v2/projects/till-9/locations/asia-east1/jobs"
    image = f"registry.example/x@sha256:{'2' * 64}"
    job = {"template": {"template": {"containers": [{"image": image}]}}}
    httpx.post(f"{parent}?jobId=count-up", json=job).raise_for_status()
    httpx.post(f"{parent}/count-up:run", json={}).raise_for_status()
    row = next(
        line
        for line in iter(lambda: local("executions", "--project", "till-9", folder=cloud.folder).out, None)
        if "failed" in line
    )
    assert "count-up-" in row
    assert "is not in this local cloud" in row


def test_rows_come_as_table_csv_or_json(cloud: RunningCloud, local: Local) -> None:
    sql = "SELECT 7 AS units, 'a,b' AS name, NULL AS nothing"
    table = local("query", sql, folder=cloud.folder).out
    assert all(text in table for text in ("units", "7", "a,b", "NULL"))
    rows = list(csv.DictReader(io.StringIO(local("query", sql, "--format", "csv", folder=cloud.folder).out)))
    assert rows == [{"units": "7", "name": "a,b", "nothing": ""}]
    text = local("query", sql, "--format", "json", folder=cloud.folder).out
    assert json.loads(text) == [{"units": 7, "name": "a,b", "nothing": None}]


def test_rows_left_out_are_counted(cloud: RunningCloud, local: Local) -> None:
    sql = "SELECT n FROM UNNEST([1, 2, 3]) AS n ORDER BY n"
    done = local("query", sql, "--limit", "2", "--format", "csv", folder=cloud.folder)
    assert done.out == "n\n1\n2\n"
    assert "2 of 3 rows" in done.err


def test_a_bad_query_is_explained_in_one_line(cloud: RunningCloud, local: Local) -> None:
    done = local("query", "SELECT missing FROM nowhere.at_all", folder=cloud.folder)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert os.linesep not in done.err.strip()
