"""Images built by Docker, pushed to a registry on loopback, and run from there by digest.

Does not own the client (docker.py), the registry (registry.py), or how an attempt is timed and ended (attempt.py).
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local import pip_settings, processes
from local.docker import Docker, DockerFailed
from local.images import digest_of
from local.registry import Registry
from local.runtime import Program, Task
from local.wire import CloudError

# Labels of a container, by which one that nobody watches any more is found.
CLOUD, VARIABLES = "predictions.cloud", ("CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX")
# What the client needs for itself: its plugins and certificates, and below, the address of the daemon.
CLIENT_VARIABLES = ("PATH", "HOME", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# Where a machine behind a proxy that reads along says which certificates it trusts.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class Containers:
    """Builds with BuildKit and runs with `docker run`.

    Args:
        folder: of the local cloud.
        base: the image that images without a BASE of their own begin with.
    """

    def __init__(self, docker: Docker, registry: Registry, folder: Path, base: str) -> None:
        self._docker, self._registry, self._folder, self._base = docker, registry, folder, base
        if registry.left_behind:
            self._forget(registry.left_behind)
        self.description = f"containers ({docker.server}, base image {base})"

    def build(self, *, context: Path, dockerfile: Path, build_args: Mapping[str, str], tag: str) -> str:
        """Build, push, and ask the registry for the digest."""
        local = self._local(tag)
        arguments = [f"--build-arg={name}={value}" for name, value in ({"BASE": self._base} | dict(build_args)).items()]
        # The host's network, because a build reaches a package mirror on it; linux/amd64 is what Cloud Run runs.
        fixed = ("--platform=linux/amd64", "--network=host", "--progress=plain", f"--file={dockerfile}")
        try:
            with _secrets() as secrets:
                self._docker.build(*fixed, f"--tag={local}", *arguments, *secrets, str(context))
            self._docker.push(local)
        except DockerFailed as error:
            raise CloudError(400, "invalidBuild", f"{str(dockerfile)!r} could not be built. {error}") from error
        name, _, label = local.removeprefix(f"{self._registry.address}/").rpartition(":")
        digest = self._registry.digest(name, label)
        if digest is None:
            raise CloudError(500, "internal", f"The registry at {self._registry.address} lost {local!r}.")
        return digest

    def has(self, reference: str) -> bool:
        """Whether the registry has it."""
        name, _, digest = self._path(reference).rpartition("@")
        return bool(name) and self._registry.digest(name, digest) is not None

    def remove(self, reference: str) -> None:
        """Remove it from the registry, and what the daemon took from there."""
        name, _, digest = self._path(reference).rpartition("@")
        self._registry.remove(name, digest)

    def prepare(self, reference: str) -> None:
        """Let the daemon pull it from the registry, by digest."""
        digest_of(reference)
        local = self._local(reference)
        if not self.has(reference):
            hint = f"Build it with `pulumi up -s local`, or push it to {local.partition('@')[0]!r}."
            raise CloudError(404, "notFound", f"Image {reference!r} is not in this local cloud's registry. {hint}")
        if self._docker.has_image(local):
            return
        try:
            self._docker.pull(local)
        except DockerFailed as error:
            raise CloudError(500, "internal", f"Image {reference!r} cannot be pulled. {error}") from error

    def program(self, task: Task) -> Program:
        """`docker run`, which passes SIGTERM on; and the removal of the container, however it ended."""
        container, labels = task.container, {CLOUD: str(self._folder)}
        labels |= {name: task.environment[name] for name in VARIABLES}
        command = container.get("command") or []
        own = {name: os.environ[name] for name in CLIENT_VARIABLES if name in os.environ}
        own |= self._docker.environment
        options = [
            f"--name={task.name}",
            *(f"--label={name}={value}" for name, value in labels.items()),
            *_limits(container["resources"]["limits"], self._docker.cpus),
            "--network=host",  # the doors of the local cloud are on loopback
            # As little as Cloud Run gives it, or less: what works here works there.
            "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--log-driver=none",
            # Values in the client's environment, since arguments can be read by all; but for names it needs itself.
            *(f"--env={name}={value}" if name in own else f"--env={name}" for name, value in task.environment.items()),
            *(f"--entrypoint={word}" for word in command[:1]),
        ]  # fmt: skip
        argv = [str(self._docker.program), "run", *options, self._local(container["image"])]
        env = processes.marked(self._folder, {**task.environment, **own})
        after = [str(self._docker.program), "rm", "--force", "--volumes", task.name]
        return Program([*argv, *command[1:], *(container.get("args") or [])], env, task.home, after)

    def clear(self) -> None:
        """Empty the registry."""
        self._registry.clear()

    def end_strays(self, wanted: Mapping[str, str]) -> None:
        """Remove containers by their labels."""
        labels = {CLOUD: str(self._folder), **{name: wanted[name] for name in VARIABLES if name in wanted}}
        self._docker.remove_containers(labels)

    def environment(self) -> dict[str, str]:
        """Where a person pushes an image: behind this stands the image's whole name."""
        return {"LOCAL_REGISTRY": self._registry.address}

    def close(self) -> None:
        """End the registry, and let the daemon forget the names that led to it; its cache keeps the layers."""
        self._forget(self._registry.address)
        self._registry.close()
        self._docker.sdk.close()

    def _forget(self, address: str) -> None:
        try:
            self._docker.forget_images(f"{address}/")
        except DockerFailed as error:  # it costs space, no more
            print(f"docker: {error}", file=sys.stderr, flush=True)

    def _local(self, reference: str) -> str:
        return f"{self._registry.address}/{self._path(reference)}"

    def _path(self, reference: str) -> str:
        """The name in our registry: the whole name of the image, so that two registries' images never meet."""
        return reference.removeprefix(f"{self._registry.address}/")


def _limits(limits: Mapping[str, str], cpus: int) -> list[str]:
    cpu = str(limits["cpu"])
    wanted = float(cpu.removesuffix("m")) / 1000 if cpu.endswith("m") else float(cpu)
    memory = str(limits["memory"])
    # No more CPUs than there are: Docker would refuse. No swap, as on Cloud Run.
    return [f"--cpus={min(wanted, cpus)}", f"--memory={memory}", f"--memory-swap={memory}"]


@contextmanager
def _secrets() -> Iterator[list[str]]:
    """Options that let a build use this machine's way to packages; nothing of it stays in a layer."""
    options = pip_settings.options(os.environ)
    bundle = options.pop("cert", None) or next((v for n in CA_VARIABLES if (v := os.environ.get(n))), None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pip.conf")
        file.write_text(pip_settings.conf(options, cert="/run/secrets/ca" if bundle else None))
        file.chmod(0o600)
        yield [f"--secret=id=pip,src={file}", *([f"--secret=id=ca,src={bundle}"] if bundle else [])]
