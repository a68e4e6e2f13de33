"""`python tools/pulumi_cli.py`: puts a Pulumi CLI into this virtual environment, as `pulumi`.

The version is that of the installed SDK. Ways, in this order: a `pulumi` on PATH, the SDK's own installer, `go build`
of the module in this folder. What is fetched or built is kept in a cache outside the clone, so that it happens once.
Does not own the language host for a CLI that brings none (language_host.py), only its place beside the CLI.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
HOST = "pulumi-language-python"
FETCH_SECONDS = 20  # without it a network that swallows packets holds the installer for good
BUILD_FLAGS = ["-trimpath", "-tags", "osusergo,grpcnotrace"]  # the tags of Pulumi's own static builds
EXIT_UPSTREAM = 4


class Unavailable(Exception):
    """One of the ways is closed, or all are; the text says why."""


def main() -> int:
    """Make the CLI available; 0 when it is there, 4 when no way was open."""
    version = metadata.version("pulumi")
    if sys.prefix == sys.base_prefix:
        say("error: This is no virtual environment. Use the project's own: .venv/bin/python tools/pulumi_cli.py")
        return 2
    bin_folder = Path(sys.prefix) / "bin"
    try:
        link(find(version, bin_folder), bin_folder)
    except (Unavailable, OSError) as error:
        say(f"error: {error}")
        return EXIT_UPSTREAM
    return 0


def cache_folder(version: str) -> Path:
    """Where the CLI of a version is kept; its `bin` holds `pulumi` and what it brings."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "predictions" / "pulumi" / version


def find(version: str, bin_folder: Path) -> Path:
    """The CLI to link: from PATH, else from the cache, else fetched or built into the cache.

    Safe to repeat and to run twice at once; what fails or is killed leaves nothing that counts as a CLI.

    Raises:
        Unavailable: none of the three ways is open; the text names each, and why.
    """
    reasons = {}
    try:
        return from_path(version, bin_folder)
    except Unavailable as error:
        reasons["pulumi on PATH"] = error
    folder = cache_folder(version)
    with locked(folder):
        if (folder / "bin" / "pulumi").exists():
            return folder / "bin" / "pulumi"
        ways: dict[str, Callable[[Path, str], None]] = {"the SDK's installer": install, "go build": build}
        for name, way in ways.items():
            new = folder.with_name(f"{version}.new")
            shutil.rmtree(new, ignore_errors=True)
            try:
                way(new, version)
                check_version(new / "bin" / "pulumi", version)
                new.rename(folder)  # whole or not at all
            except Unavailable as error:
                shutil.rmtree(new, ignore_errors=True)
                reasons[name] = error
            else:
                return folder / "bin" / "pulumi"
    tried = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
    hint = "Open one: put that version on PATH, let this machine reach the installer, or install Go."
    raise Unavailable(f"There is no way to a Pulumi CLI {version}. Tried, in this order:{tried}\n{hint}")


def from_path(version: str, bin_folder: Path) -> Path:
    """The first `pulumi` on PATH, our own link aside, that fits the SDK and brings its own language host."""
    ours = {bin_folder.resolve(), (cache_folder(version) / "bin").resolve()}
    faults = []
    for folder in map(Path, os.get_exec_path()):
        cli = folder / "pulumi"
        if folder.resolve() in ours or not os.access(cli, os.X_OK):
            continue
        try:
            check_version(cli, version)
        except Unavailable as error:
            faults.append(str(error))
            continue
        if (cli.resolve().parent / HOST).exists():
            return cli
        faults.append(f"{str(cli)!r} has no {HOST} beside it")
    raise Unavailable("; ".join(faults) or "there is none")


def check_version(cli: Path, version: str) -> None:
    """Refuse a CLI whose major or minor version is not the SDK's."""
    try:
        found = _output([str(cli), "version"], {"PULUMI_SKIP_UPDATE_CHECK": "1"}).removeprefix("v")
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{str(cli)!r} does not run: {error}") from error
    if found.split(".")[:2] != version.split(".")[:2]:
        raise Unavailable(f"{str(cli)!r} is version {found}, the SDK is {version}")


def install(folder: Path, version: str) -> None:
    """Let the SDK fetch the released CLI into a folder."""
    from pulumi.automation import PulumiCommand  # a second of import that the other ways need not pay
    from semver import VersionInfo

    say(f"Pulumi CLI {version}: asking the SDK's installer (about a minute) ...")
    socket.setdefaulttimeout(FETCH_SECONDS)
    try:
        PulumiCommand.install(root=str(folder), version=VersionInfo.parse(version))
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"it failed: {_last_lines(error.output.decode(errors='replace'))}") from error
    except OSError as error:  # urllib's errors are OSErrors
        raise Unavailable(f"it could not be fetched: {error}") from error


def build(folder: Path, version: str) -> None:
    """Compile the CLI from the Go module in this folder, whose sums are in go.sum."""
    go = shutil.which("go")
    if not go:
        raise Unavailable("there is no `go` on PATH")
    stamp = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}"  # else version checks fail
    target = ["-o", str(folder / "bin" / "pulumi"), "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"]
    # GOTOOLCHAIN=local: fetching another Go would be a fourth way that nobody asked for.
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    say(f"Pulumi CLI {version}: compiling it with Go (5 to 9 minutes on two cores, once; 4 GB of disk) ...")
    log = folder.with_name(f"{version}.build.log")
    started = time.monotonic()
    with log.open("w") as output:
        command = [go, "build", *BUILD_FLAGS, "-ldflags", stamp, *target]
        process = subprocess.Popen(command, cwd=TOOLS, env=env, stdout=output, stderr=output)
        try:
            while _still_running(process):
                say(f"  still compiling after {(time.monotonic() - started) / 60:.0f} min")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise Unavailable(f"it failed, see {str(log)!r}: {_last_lines(log.read_text(errors='replace'))}")


def link(cli: Path, bin_folder: Path) -> None:
    """Put the CLI into the environment, and a language host beside it where the CLI brings none.

    A CLI without a host is linked hard (or copied): the engine looks for hosts beside its real file, and warns at each
    command about one that it finds elsewhere.
    """
    ours, host = bin_folder / "pulumi", bin_folder / HOST
    new = bin_folder / f".pulumi.{os.getpid()}"
    if (cli.resolve().parent / HOST).exists():
        new.symlink_to(cli.resolve())
        host.unlink(missing_ok=True)
    else:
        text = f'#!/bin/sh\nexec "{sys.executable}" "{TOOLS / "language_host.py"}" "$@"\n'
        if not host.exists() or host.read_text() != text:
            host.unlink(missing_ok=True)
            host.write_text(text)
            host.chmod(0o755)
        if ours.exists() and not ours.is_symlink() and _same(ours, cli):
            return
        try:
            os.link(cli, new)
        except OSError:  # another file system
            shutil.copy2(cli, new)
    new.rename(ours)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a cache folder, so that two clones do not build the same thing at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process prepares {str(folder)!r}; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def _still_running(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        return True
    return False


def _same(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    a, b = one.stat(), other.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)  # copy2 keeps both


def _output(command: list[str], env: dict[str, str]) -> str:
    return subprocess.run(command, env=os.environ | env, check=True, capture_output=True, text=True).stdout.strip()


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-3:])


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # so that --help does nothing
    sys.exit(main())
