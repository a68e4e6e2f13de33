"""Runs a command with a Docker daemon: `python -m tools.docker_daemon COMMAND ...`.

Takes the daemon that answers, if it has or can pull the base image. Otherwise, as root on Linux, it starts one of its
own, with a base image made from Debian's packages, and stops it when the last command that uses it has ended. Where
neither is possible, the command runs without; with REQUIRE_DOCKER=1 that is an error.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

import psutil

from local import docker, jobs_mode

BASE = "predictions-base:bookworm"
PACKAGES = {  # program -> Debian's package
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
}
CLIENTS = ("docker-cli", "docker-buildx")  # packages of their own from Debian 13 on; on Ubuntu the second one is
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")  # Ubuntu does not bring it
SYSTEM_PROGRAMS = "/usr/sbin:/sbin"  # where dockerd and iptables are; not everybody's PATH has it
INCLUDED = "python3,python3-venv,python3-pip,ca-certificates"
START_SECONDS, STOP_SECONDS = 60, 30
NOT_FOUND = 127  # as a shell says it
REQUIRED = "REQUIRE_DOCKER"


class NoDocker(Exception):
    """There is no daemon, and none can be started; the message says why."""


class Terminated(BaseException):
    """Somebody sent SIGTERM."""


def main() -> int:
    """Run the command; its exit code, or 2 when there is no Docker and there must be one."""
    command = sys.argv[1:]
    if not command:
        print("usage: python -m tools.docker_daemon COMMAND ...", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminate)  # so that what was started is stopped
    try:
        return _with_docker(command)
    except Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _with_docker(command: list[str]) -> int:
    with contextlib.ExitStack() as stack:
        try:
            added = _given() or stack.enter_context(_own(_folder()))
        except NoDocker as error:
            if os.environ.get(REQUIRED) == "1":
                say(f"error: {error}")
                return 2
            say(f"{error}; what needs Docker is skipped")
            added = {}
        code = _run(command, added)
    return code


def _run(command: list[str], added: Mapping[str, str]) -> int:
    """The command in the foreground. It decides how it ends, on Ctrl-C, which reaches it, too, as well."""
    if not shutil.which(command[0]):
        say(f"error: there is no program {command[0]!r}")
        return NOT_FOUND
    with subprocess.Popen(command, env=os.environ | added) as process:
        # No exception may cut `wait` short: the code of a child that has just ended would be lost, and read as 0.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: say("waits for the command to end")),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
        }
        code = process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def _given() -> dict[str, str] | None:
    """The environment for the daemon that this machine has, if it is of use."""
    try:
        client = docker.find()
    except docker.DockerFailed:
        return None
    base = os.environ.get(jobs_mode.BASE) or jobs_mode.default_base()
    if not shutil.which("docker-registry"):
        return None
    if not client.has_image(base):
        try:
            client.pull(base)
        except docker.DockerFailed as error:
            say(f"{client.server} cannot pull {base!r}: {str(error).splitlines()[-1].strip()}")
            return None
    return {jobs_mode.BASE: base}


@contextlib.contextmanager
def _own(folder: Path) -> Iterator[dict[str, str]]:
    """A daemon in `folder`, shared by all who want it at once: the last one stops it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoDocker("no Docker daemon with a base image answers, and only root on Linux can start one")
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PROGRAMS}"
    _install()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users.lock").open("w") as users:
        try:
            with _alone(folder):
                fcntl.flock(users, fcntl.LOCK_SH)
                env = _started(folder)
            yield env
        finally:  # also when it ends while the daemon starts
            with _alone(folder):
                _stop_if_unused(folder, users)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _started(folder: Path) -> dict[str, str]:
    os.environ["DOCKER_HOST"] = f"unix://{folder / 'docker.sock'}"
    try:
        client = docker.find()
    except docker.DockerFailed:
        client = _start(folder)
    if not client.has_image(BASE):
        _make_base(client)
    return {"DOCKER_HOST": os.environ["DOCKER_HOST"], jobs_mode.BASE: BASE}


def _start(folder: Path) -> docker.Docker:
    (folder / "docker.pid").unlink(missing_ok=True)  # of a daemon that was killed: we hold the lock, and none answers
    command = [
        "dockerd", f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'docker.pid'}", f"--host={os.environ['DOCKER_HOST']}", "--storage-driver=overlay2",
        # Builds and jobs use the host's network, so nothing of this machine's is changed for them.
        "--iptables=false", "--bridge=none",
    ]  # fmt: skip
    log = folder / "dockerd.log"
    with log.open("w") as output:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        if client := _answering(daemon):
            return client
    except BaseException:  # such as Ctrl-C: it has no pid file yet, by which it would be found
        _end(daemon)
        raise
    _end(daemon)
    words = "\n  ".join(log.read_text().splitlines()[-3:])
    raise NoDocker(f"dockerd does not start; {str(log)!r} ends with\n  {words}")


def _answering(daemon: "subprocess.Popen[bytes]") -> docker.Docker | None:
    """The client, once the daemon answers; None if it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(docker.DockerFailed):
            return docker.find()
        time.sleep(0.2)
    return None


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _stop_if_unused(folder: Path, users: IO[str]) -> None:
    """Stop the daemon, by its pid, unless another command still uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    file = folder / "docker.pid"
    if file.exists():  # else it never started
        _stop(int(file.read_text()))
    _unmount(folder)


def _stop(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _runs(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += STOP_SECONDS
        time.sleep(0.1)


def _unmount(folder: Path) -> None:
    """What dockerd leaves mounted: always the namespace of the host's network, and more after a SIGKILL."""
    mounted = [part.mountpoint for part in psutil.disk_partitions(all=True)]
    for place in sorted((place for place in mounted if Path(place).is_relative_to(folder)), reverse=True):
        done = subprocess.run(["umount", place], capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"stays mounted: {done.stderr.strip()}")


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # where it is a child of ours, so that it does not stay as a zombie
    return Path(f"/proc/{pid}").exists()


def _install() -> None:
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    missing |= set() if KEYRING.exists() else {"debian-archive-keyring"}
    if missing:
        _install_packages(sorted(missing))
    try:
        docker.builder()
    except docker.DockerFailed as error:
        known = [name for name in CLIENTS if shutil.which("apt-cache") and not _apt("apt-cache", "show", name)]
        if not known:
            raise NoDocker(str(error)) from error
        _install_packages(known)


def _install_packages(packages: list[str]) -> None:
    if not shutil.which("apt-get"):
        raise NoDocker(f"install {', '.join(packages)} first: this machine has no apt-get")
    say(f"installs {', '.join(packages)}")
    # One source that cannot be reached fails the update, though all that is needed may come from the others.
    stale = _apt("apt-get", "update", "-q")
    wait = "DPkg::Lock::Timeout=300"  # another apt may be at work, as on a machine that has just started
    if fault := _apt("apt-get", "install", "-qy", "--no-install-recommends", "-o", wait, *packages):
        before = f" (after `apt-get update` failed: {stale})" if stale else ""
        raise NoDocker(f"apt-get cannot install {', '.join(packages)}: {fault}{before}")


def _apt(*command: str) -> str:
    """Run it; returns what it said last if it failed."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return (done.stderr.strip()[-500:] or f"exit code {done.returncode}") if done.returncode else ""


def _make_base(client: docker.Docker) -> None:
    say(f"makes the base image {BASE} from Debian's packages (a minute, once)")
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder, "base.tar")
        command = ["mmdebstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(tar)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoDocker(f"mmdebstrap failed: {done.stderr.strip()[-500:]}")
        repository, _, tag = BASE.partition(":")
        client.sdk.api.import_image_from_file(str(tar), repository=repository, tag=tag)


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "predictions" / "docker"


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def say(text: str) -> None:
    """One line on stderr: stdout belongs to the command."""
    print(f"docker: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
