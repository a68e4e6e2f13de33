"""`pulumi-language-python`: runs Pulumi programs and policy packs written in Python, for a CLI that brings no host.

Each run of the program is a process of its own, because one host serves both the preview and the update of an `up`.
Does not install dependencies or choose interpreters: programs run in the environment this host runs in.
"""

# ruff: noqa: N802 (the protocol names its methods)

import asyncio
import json
import logging
import os
import runpy
import select
import signal
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
import pulumi
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.automation._server import LanguageServer
from pulumi.runtime import stack
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

RUN = "run-program"  # first argument of the child process that runs a program
REPORTED = 32  # exit code of a program whose error the user has seen, as in Pulumi's own host
ORPHAN_SECONDS = 2
# The engine's own limit, so that a large stack's configuration fits in one message.
MESSAGE_BYTES = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]


class Host(LanguageServer):
    """The language runtime service that the engine calls."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self._children: set[subprocess.Popen[bytes]] = set()

    def GetRequiredPackages(self, request: Any, context: Any) -> language_pb2.GetRequiredPackagesResponse:
        """The resource plugins of the installed SDKs, so that the engine can fetch them before it starts."""
        folder = Path(sysconfig.get_path("purelib"))
        plugins = [json.loads(file.read_text()) for file in sorted(folder.glob("pulumi_*/pulumi-plugin.json"))]
        wanted = [{key: p.get(key, "") for key in ("name", "version", "server")} for p in plugins if p.get("resource")]
        packages = [plugin_pb2.PackageDependency(kind="resource", **plugin) for plugin in wanted]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def Run(self, request: Any, context: Any) -> language_pb2.RunResponse:
        """Run the program once, in a fresh process whose output is this host's output."""
        child = self._start([sys.executable, "-u", __file__, RUN], context, stdin=subprocess.PIPE)
        child.communicate(request.SerializeToString())
        self._children.discard(child)
        if child.returncode == REPORTED:
            return language_pb2.RunResponse(bail=True)
        if child.returncode:
            return language_pb2.RunResponse(error=f"The program's process ended with exit code {child.returncode}.")
        return language_pb2.RunResponse()

    def RunPlugin(self, request: Any, context: Any) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a policy pack and pass its output on; the first line is the port on which it listens."""
        if request.kind != "analyzer":
            text = f"This language host runs policy packs, no plugins of kind {request.kind!r}."
            context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
        command = [sys.executable, "-u", "-m", "pulumi.policy", *request.args[:1], request.info.program_directory]
        env = os.environ | dict(pair.split("=", 1) for pair in request.env)
        child = self._start(command, context, cwd=request.pwd or None, env=env, stdout=subprocess.PIPE)
        assert child.stdout  # noqa: S101 (a pipe was asked for)
        for line in child.stdout:
            yield language_pb2.RunPluginResponse(stdout=line)
        yield language_pb2.RunPluginResponse(exitcode=child.wait())
        self._children.discard(child)

    def Cancel(self, request: Any, context: Any) -> Any:
        """End what still runs."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End every process this host started and wait for it."""
        for child in tuple(self._children):
            child.terminate()
        for child in tuple(self._children):
            child.wait()

    def _start(self, command: list[str], context: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, **options)
        self._children.add(child)
        context.add_callback(child.terminate)  # the engine has gone, or the call is over
        return child


def serve() -> None:
    """Listen on a free loopback port, print it, and serve until the engine sends SIGINT or SIGTERM, or is gone."""
    # An engine that was killed sends nothing; without a look who our parent is we would stay for good. Asked for first:
    # an engine that is killed as soon as it has read the port would already be somebody else.
    engine = os.getppid()
    # Before the port is printed: from then on the engine may end us at any time, and a traceback would land in the
    # output of `up`. A pipe, because a signal that reaches one of gRPC's threads does not wake this one; and no signal
    # mask, because the programs we start would inherit it.
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    host = Host()
    server = grpc.server(ThreadPoolExecutor(8), options=MESSAGE_BYTES)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not select.select([ended], [], [], ORPHAN_SECONDS)[0] and os.getppid() == engine:
        pass
    host.stop()
    server.stop(grace=None)


def run_program(request: language_pb2.RunRequest) -> int:
    """Run a program against the engine that asked for it; 0, or `REPORTED` after its error has been shown."""
    directory = request.info.program_directory or request.pwd
    entry = os.path.normpath(Path(directory) / (request.info.entry_point or "."))
    os.chdir(request.pwd or directory)
    sys.argv = [entry, *request.args[1:]]
    _configure(request)
    stack.asyncio = _Patient()  # type: ignore[assignment, attr-defined]  # for the module
    # Pulumi leaves futures unobserved when a resource fails; asyncio's complaints would bury the reason.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max(request.parallel, 1) * 4)  # as Pulumi's own host does
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_entry(entry)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return REPORTED
    except Exception as error:
        pulumi.log.error("The program ended with an error:\n" + _program_traceback(error, directory))
        return REPORTED
    finally:
        executor.shutdown()
        loop.close()
    return 0


class _Patient:
    """asyncio for the SDK's wait at the end of a program, which begins anew whenever one output is done.

    Each beginning adds a callback to every output that is left: with the 2,000 resources of 50 models that was most of
    a preview's time (2026-11-22). Waiting for all, or the first exception, ends in the same state.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def wait(self, tasks: list[Any], **_: Any) -> tuple[set[Any], set[Any]]:
        return await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


def _run_entry(entry: str) -> None:
    sys.path.insert(0, entry if Path(entry).is_dir() else str(Path(entry).parent))
    runpy.run_path(entry, run_name="__main__")


def _configure(request: language_pb2.RunRequest) -> None:
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    settings = pulumi.runtime.Settings(
        monitor=request.monitor_address,
        engine=request.args[0] if request.args else "",
        project=request.project,
        stack=request.stack,
        parallel=request.parallel,
        dry_run=request.dryRun,
        organization=request.organization or "organization",
        root_directory=request.info.root_directory,
    )
    pulumi.runtime.configure(settings)


def _program_traceback(error: Exception, directory: str) -> str:
    """The traceback from the program's first frame on; what called the program is not its reader's concern."""
    steps = error.__traceback__
    while steps and not steps.tb_frame.f_code.co_filename.startswith(directory):
        steps = steps.tb_next
    return "".join(traceback.format_exception(error.with_traceback(steps or error.__traceback__)))


if __name__ == "__main__":
    if sys.argv[1:2] == [RUN]:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the engine ends us with it; no traceback for that
        sys.exit(run_program(language_pb2.RunRequest.FromString(sys.stdin.buffer.read())))
    serve()
