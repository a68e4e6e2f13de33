"""The language host: runs programs fresh, passes on what policy packs say, and ends without a word."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # ships no types
import psutil
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import language_pb2 as messages
from pulumi.runtime.proto import language_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "tools" / "language_host.py"


@pytest.fixture
def host() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, HOST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def stub(host: "subprocess.Popen[str]") -> language_pb2_grpc.LanguageRuntimeStub:
    assert host.stdout
    channel = grpc.insecure_channel(f"127.0.0.1:{host.stdout.readline().strip()}")
    return language_pb2_grpc.LanguageRuntimeStub(channel)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_port_first_and_ends_without_a_word(
    host: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    assert host.stdout
    assert host.stdout.readline().strip().isdigit()
    host.send_signal(number)
    assert host.communicate(timeout=20) == ("", ""), "a traceback would land in the output of `up`"
    assert host.returncode == 0


def test_it_tells_which_plugins_the_installed_sdks_need(stub: language_pb2_grpc.LanguageRuntimeStub) -> None:
    packages = stub.GetRequiredPackages(messages.GetRequiredPackagesRequest()).packages
    assert {package.name for package in packages} == {"gcp", "docker-build"}
    assert all(package.version and package.kind == "resource" for package in packages)


def test_what_a_policy_pack_prints_is_passed_on_with_its_exit_code(
    stub: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text(
        "import os, sys\nprint(os.environ['COLOUR'], sys.argv[1])\nraise ValueError\n"
    )
    info = messages.ProgramInfo(program_directory=str(tmp_path))
    request = messages.RunPluginRequest(kind="analyzer", args=["127.0.0.1:1"], env=["COLOUR=blue"], info=info)
    answers = list(stub.RunPlugin(request))
    assert b"".join(answer.stdout for answer in answers).startswith(b"blue 127.0.0.1:1")
    assert answers[-1].exitcode == 1


def test_another_kind_of_plugin_is_refused_by_name(stub: language_pb2_grpc.LanguageRuntimeStub) -> None:
    with pytest.raises(grpc.RpcError, match="'resource'"):
        list(stub.RunPlugin(messages.RunPluginRequest(kind="resource")))


def test_a_cancelled_program_does_not_live_on(
    host: "subprocess.Popen[str]", stub: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    (tmp_path / "__main__.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    info = messages.ProgramInfo(program_directory=str(tmp_path), entry_point=".")
    request = messages.RunPluginRequest(kind="analyzer", args=["127.0.0.1:1"], info=info)
    running = stub.RunPlugin(request)
    process = int(next(running).stdout)
    stub.Cancel(empty_pb2.Empty())
    assert next(running).exitcode != 0
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


class Project:
    """A program run by the real CLI with a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text("name: hosted\nruntime: python\nmain: program/\n")
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self("stack", "init", "test")

    def write(self, text: str, name: str = "__main__.py") -> None:
        (self.folder / "program").mkdir(exist_ok=True)
        (self.folder / "program" / name).write_text(textwrap.dedent(text))

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    subprocess.run([sys.executable, ROOT / "tools" / "pulumi_cli.py"], check=True)
    return Project(tmp_path)


@pytest.mark.engine
def test_preview_and_update_of_one_up_run_the_program_afresh(project: Project) -> None:
    project.write("seen = []\n", "shared.py")
    project.write("""
        import os, pulumi, shared
        shared.seen.append(1)
        pulumi.info(f"process {os.getpid()} saw {len(shared.seen)}, dry run {pulumi.runtime.is_dry_run()}")
        pulumi.export("where", os.getcwd())
        pulumi.export("stack", f"{pulumi.get_project()}/{pulumi.get_stack()}")
        pulumi.export("setting", pulumi.Config().require("setting"))
    """)
    project("config", "set", "setting", "seven")
    shown = project("up", "--yes")
    processes = {line.split("process ")[1].split(" ")[0] for line in shown.splitlines() if "process " in line}
    assert len(processes) == 2, "one for the preview, one for the update"
    assert "saw 1, dry run True" in shown
    assert "saw 1, dry run False" in shown, "a module of the preview must not live on in the update"
    assert f'"{project.folder / "program"}"' in shown, "the program runs in its own folder"
    assert '"hosted/test"' in shown
    assert '"seven"' in shown
    assert "warning" not in shown, "no word about where the host was found"


@pytest.mark.engine
def test_an_error_of_the_program_is_shown_once_from_its_own_first_line_on(project: Project) -> None:
    project.write("def broken():\n    return {}['missing']\n\n\nbroken()\n")
    shown = project("preview", fails=True)
    diagnostics = shown[shown.index("Diagnostics:") :]
    assert diagnostics.count("KeyError: 'missing'") == 1
    assert "program/__main__.py" in diagnostics.split("Traceback")[1].splitlines()[1]
    assert "language_host.py" not in shown


@pytest.mark.engine
def test_a_refusal_of_the_program_is_shown_as_it_is(project: Project) -> None:
    project.write("import pulumi\n\nraise pulumi.RunError('No owner. Set predictions:owner.')\n")
    shown = project("preview", fails=True)
    assert "error: No owner. Set predictions:owner." in shown
    assert "Traceback" not in shown


@pytest.mark.engine
def test_a_program_whose_process_dies_is_no_success(project: Project) -> None:
    project.write("import os\n\nos._exit(7)\n")
    assert "exit code 7" in project("preview", fails=True)


def test_it_ends_when_its_engine_was_killed() -> None:
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, {str(HOST)!r}], stdout=2).pid, flush=True)"
    command = [sys.executable, "-c", f"{code}; import time; time.sleep(600)"]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert engine.stdout
    assert engine.stderr
    host = psutil.Process(int(engine.stdout.readline()))
    assert engine.stderr.readline().strip().isdigit(), "its port: it serves"
    engine.kill()
    engine.wait()
    host.wait(timeout=30)
