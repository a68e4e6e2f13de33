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

from local import docker, jobs_mode

BASE = "predictions-base:bookworm"
PACKAGES = {  # program -> Debian's package
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
}
INCLUDED = "python3,python3-venv,python3-pip,ca-certificates"
START_SECONDS, STOP_SECONDS = 60, 30
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
    with subprocess.Popen(command, env=os.environ | added) as process:
        try:
            return process.wait()
        except Terminated:
            process.terminate()
        except KeyboardInterrupt:
            say("waits for the command to end")
        return process.wait()


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
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(docker.DockerFailed):
            return docker.find()
        time.sleep(0.2)
    daemon.terminate()
    daemon.wait()
    words = "\n  ".join(log.read_text().splitlines()[-3:])
    raise NoDocker(f"dockerd does not start; {str(log)!r} ends with\n  {words}")


def _stop_if_unused(folder: Path, users: IO[str]) -> None:
    """Stop the daemon, by its pid, unless another command still uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    file = folder / "docker.pid"
    if not file.exists():  # it never started
        return
    pid = int(file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _runs(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += STOP_SECONDS
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # where it is a child of ours, so that it does not stay as a zombie
    return Path(f"/proc/{pid}").exists()


def _install() -> None:
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise NoDocker(f"install {', '.join(missing)} first: this machine has no apt-get")
    say(f"installs {', '.join(missing)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (("update", "-q"), ("install", "-qy", "--no-install-recommends", *missing)):
        done = subprocess.run(["apt-get", *step], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoDocker(f"apt-get {step[0]} failed: {done.stderr.strip()[-500:]}")


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
