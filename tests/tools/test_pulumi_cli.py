"""The Pulumi CLI comes by one of three ways, once; and where all are closed, one error says why."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "pulumi_cli.py"
VERSION = metadata.version("pulumi")
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}  # nobody listens there
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment without a CLI."""
    venv.create(tmp_path / "venv", symlinks=True)
    return tmp_path / "venv"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """No program on PATH, no network, an empty cache, but the SDK."""
    (tmp_path / "bin").mkdir()
    python_path = sysconfig.get_path("purelib")
    cache = str(tmp_path / "cache")
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": cache, "PYTHONPATH": python_path, **NO_NETWORK}


@pytest.fixture
def run(environment: Path, env: dict[str, str]) -> Run:
    def run(**more: str) -> "subprocess.CompletedProcess[str]":
        command = [environment / "bin" / "python", TOOL]
        return subprocess.run(command, env=env | more, capture_output=True, text=True, check=False)

    return run


def cached(env: dict[str, str]) -> Path:
    """Where the CLI is kept."""
    return Path(env["XDG_CACHE_HOME"]) / "predictions" / "pulumi" / VERSION


def put_cli(folder: Path, version: str = VERSION, *, host: bool = False) -> None:
    """A program that answers `pulumi version`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pulumi", *(["pulumi-language-python"] if host else [])):
        (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
        (folder / name).chmod(0o755)


def test_with_no_way_open_one_error_names_all_three_and_why(run: Run, environment: Path) -> None:
    done = run()
    assert done.returncode == 4
    assert "pulumi on PATH: there is none" in done.stderr
    assert "the SDK's installer: it could not be fetched" in done.stderr
    assert "go build: there is no `go` on PATH" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (environment / "bin" / "pulumi").exists()


def test_a_failed_build_names_its_log_and_leaves_no_cli(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    done = run(PATH=str(Path(go).parent), GOPROXY="off", GOMODCACHE=str(tmp_path / "modules"), HOME=str(tmp_path))
    assert done.returncode == 4
    assert "GOPROXY=off" in done.stderr, "the compiler's own last words"
    assert str(cached(env).with_name(f"{VERSION}.build.log")) in done.stderr
    assert not cached(env).exists()


def test_a_build_that_was_killed_does_not_count(run: Run, env: dict[str, str]) -> None:
    half = cached(env).with_name(f"{VERSION}.new")
    put_cli(half / "bin")
    assert run().returncode == 4
    assert not half.exists()


def test_with_a_warm_cache_nothing_is_fetched_or_built(run: Run, env: dict[str, str], environment: Path) -> None:
    put_cli(cached(env) / "bin")
    assert run().returncode == 0
    linked = environment / "bin" / "pulumi"
    before = linked.stat()
    again = run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert linked.samefile(cached(env) / "bin" / "pulumi")
    assert linked.stat().st_ctime_ns == before.st_ctime_ns, "nothing was linked again"


def test_a_cli_without_a_language_host_gets_ours_beside_it(run: Run, env: dict[str, str], environment: Path) -> None:
    put_cli(cached(env) / "bin")
    run()
    host = environment / "bin" / "pulumi-language-python"
    assert os.access(host, os.X_OK)
    assert str(ROOT / "tools" / "language_host.py") in host.read_text()
    assert str(environment / "bin" / "python") in host.read_text()


def test_a_cli_on_path_with_its_own_host_is_taken(run: Run, tmp_path: Path, environment: Path) -> None:
    put_cli(tmp_path / "bin", host=True)
    (environment / "bin" / "pulumi-language-python").write_text("of an earlier CLI")
    assert run().returncode == 0
    assert (environment / "bin" / "pulumi").readlink() == tmp_path / "bin" / "pulumi"
    assert not (environment / "bin" / "pulumi-language-python").exists(), "the CLI finds its own"


def test_a_cli_on_path_of_another_version_is_not_taken(run: Run, tmp_path: Path) -> None:
    put_cli(tmp_path / "bin", "2.0.0", host=True)
    done = run()
    assert done.returncode == 4
    assert f"'{tmp_path}/bin/pulumi' is version 2.0.0, the SDK is {VERSION}" in done.stderr


def test_a_cli_on_path_without_a_language_host_is_not_taken(run: Run, tmp_path: Path) -> None:
    put_cli(tmp_path / "bin")
    assert "has no pulumi-language-python beside it" in run().stderr


def test_two_at_once_wait_for_each_other(environment: Path, env: dict[str, str]) -> None:
    lock = cached(env).with_name(f"{VERSION}.lock")
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = subprocess.Popen([environment / "bin" / "python", TOOL], env=env, stderr=subprocess.PIPE, text=True)
        assert second.stderr
        assert "waiting for it" in second.stderr.readline()
        put_cli(cached(env) / "bin")  # what the first one made
    assert second.wait() == 0
    second.stderr.close()


def test_outside_a_virtual_environment_it_says_how_to_run_it(env: dict[str, str]) -> None:
    base = Path(sys.base_prefix) / "bin" / "python3"
    done = subprocess.run([base, TOOL], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ".venv/bin/python tools/pulumi_cli.py" in done.stderr


def test_the_go_module_builds_the_version_of_the_sdk() -> None:
    wanted = re.findall(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (ROOT / "tools" / "go.mod").read_text())
    assert wanted == [VERSION], "raise both together: requirements.txt and tools/go.mod"
