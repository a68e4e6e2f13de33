"""A clone deployed on a local cloud that runs containers, with Google's clients and the Docker daemon at hand."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, run_v2, storage

from local import docker
from local.containers import CLOUD
from tests.conftest import serve
from tests.waiting import until

PROJECT, REGION, DATASET = "wharf-project", "europe-north1", "harvest"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PUSHED = CACHE / "predictions" / "docker-tests" / "registry"


@contextmanager
def _alone() -> Iterator[None]:
    """Sessions of several clones share what was pushed."""
    PUSHED.parent.mkdir(parents=True, exist_ok=True)
    with (PUSHED.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Wharf:
    """A local cloud that runs containers, a clone whose stack is deployed on it, and Google's clients."""

    outputs: dict[str, Any]  # of the stack

    def __init__(self, folder: Path, clone: Path, client: docker.Docker) -> None:
        self.folder, self.clone, self.docker = folder, clone, client
        self._take_what_was_pushed_before()
        self.serve()

    def serve(self) -> None:
        """Start the local cloud, or start it again on what it kept."""
        self.process = serve(self.folder, "--project", PROJECT, "--jobs", "containers")
        assert self.process.stdout
        ready = json.loads(self.process.stdout.readline())
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env: dict[str, str] = {**os.environ, **ready["env"], "PATH": path}
        self.jobs_run_as: str = ready["jobs"]
        options: Any = {"api_endpoint": self.env["RUN_ENDPOINT"]}
        nobody = AnonymousCredentials()
        self.jobs = run_v2.JobsClient(transport="rest", client_options=options, credentials=nobody)
        self.executions = run_v2.ExecutionsClient(transport="rest", client_options=options, credentials=nobody)
        options = {"api_endpoint": self.env["STORAGE_ENDPOINT"]}
        self.storage = storage.Client(PROJECT, credentials=nobody, client_options=options)
        self.warehouse = bigquery.Client(PROJECT, credentials=nobody, client_options=options)

    def run(self, *command: str) -> str:
        """A program in the clone."""
        done = subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pulumi(self, *command: str) -> str:
        return self.run("pulumi", *command, "--stack", "local", "--non-interactive")

    def refused(self, *command: str) -> str:
        """What `pulumi` says when it fails."""
        line = ["pulumi", *command, "--stack", "local", "--non-interactive"]
        done = subprocess.run(line, cwd=self.clone, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def changes(self) -> dict[str, str]:
        """What a preview would change: the operation of each resource by name."""
        steps = json.loads(self.pulumi("preview", "--json"))["steps"]
        named = {f"{s['urn'].split('::')[2].rpartition(':')[2]} {s['urn'].rpartition('::')[2]}": s["op"] for s in steps}
        return {name: op for name, op in named.items() if op != "same"}

    def up(self) -> str:
        """Deploy the clone as it is now."""
        printed = self.pulumi("up", "--yes", "--skip-preview")
        self.outputs = json.loads(self.pulumi("stack", "output", "--json"))
        return printed

    @property
    def image(self) -> str:
        """The image by digest, as jobs name it."""
        return str(self.outputs["images"]["customer_value"])

    def execute(self, model: str, action: str, *arguments: str) -> str:
        """Run a deployed job as a DAG does; returns the execution's name."""
        override = {"container_overrides": [{"args": list(arguments)}]} if arguments else {}
        job = self.outputs["jobs"][model][action]
        return str(self.jobs.run_job(request={"name": job, "overrides": override}).metadata.name)

    @property
    def account(self) -> str:
        """Of the application's job."""
        job = self.jobs.get_job(name=self.outputs["jobs"]["customer_value"]["application"])
        return str(job.template.template.service_account)

    def alone(self, *options: str, arguments: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """`docker run` of the image, without the local cloud."""
        image = f"{self.env['LOCAL_REGISTRY']}/{self.image}"
        command = [
            str(self.docker.program),
            "run",
            "--rm",
            "--read-only",
            "--network=none",
            *options,
            image,
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def sh(self, script: str) -> str:
        """What a shell in the image prints."""
        done = self.alone("--entrypoint=sh", arguments=("-c", script))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, code: str, *, image: str = "", seconds: int = 60, **limits: str) -> str:
        """A job that runs Python code in the image, started; returns its execution's name."""
        container = {
            "image": image or self.image,
            "command": ["/opt/service/bin/python", "-c", code],
            "env": [{"name": "CARGO", "value": "plums and pears"}, {"name": "HOME", "value": "/elsewhere"}],
            **({"resources": {"limits": limits}} if limits else {}),
        }
        task = {
            "containers": [container],
            "max_retries": 0,
            "timeout": {"seconds": seconds},
            "service_account": self.account,
        }
        parent, id = f"projects/{PROJECT}/locations/{REGION}", f"crate-{uuid.uuid4().hex[:8]}"
        job = self.jobs.create_job(parent=parent, job=run_v2.Job(template={"template": task}), job_id=id).result()
        assert isinstance(job, run_v2.Job)
        return str(self.jobs.run_job(name=job.name).metadata.name)

    def ended(self, name: str) -> run_v2.Execution:
        execution = until(lambda: (e := self.executions.get_execution(name=name)).completion_time and e)
        assert isinstance(execution, run_v2.Execution)
        return execution

    def pushed(self, name: str, context: Path) -> str:
        """Build an image and push it, as a person does; returns its digest."""
        local = f"{self.env['LOCAL_REGISTRY']}/{name}"
        self.docker.build(f"--tag={local}", str(context))
        self.docker.push(local)
        repository = local.rpartition(":")[0]
        digests = self.docker.sdk.images.get(local).attrs["RepoDigests"]
        return next(str(digest).rpartition("@")[2] for digest in digests if digest.startswith(f"{repository}@"))

    def make_table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """A table that others own, in a dataset of its own."""
        dataset = bigquery.Dataset(f"{PROJECT}.{name.partition('.')[0]}")
        dataset.location = REGION
        self.warehouse.create_dataset(dataset)
        config = bigquery.LoadJobConfig(autodetect=True)
        self.warehouse.load_table_from_json(rows, f"{PROJECT}.{name}", job_config=config).result()

    def text(self, execution: str) -> list[str]:
        """The lines of its log."""
        label = f'labels."run.googleapis.com/execution_name"="{execution.rpartition("/")[2]}"'
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": label}
        entries = httpx.post(f"{self.env['LOGGING_ENDPOINT']}/v2/entries:list", json=body).json().get("entries", [])
        return [entry.get("textPayload", "") for entry in entries]

    def containers(self) -> list[str]:
        return [container.id for container in self.docker.containers({CLOUD: str(self.folder)})]

    def close(self) -> None:
        """End the local cloud, which must leave nothing, and keep what was pushed to it."""
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0
        assert self.containers() == []
        named = [tag for image in self.docker.sdk.images.list() for tag in image.tags]
        assert self.env["LOCAL_REGISTRY"] not in " ".join(named), "no name leads to a registry that is gone"
        with _alone():
            shutil.rmtree(PUSHED, ignore_errors=True)
            shutil.copytree(self._pushed, PUSHED)

    def _take_what_was_pushed_before(self) -> None:
        """Layers of an earlier session: to compress them anew takes longer than all tests. Images are pushed anew."""
        with _alone():
            if PUSHED.exists():
                shutil.copytree(PUSHED, self._pushed)
        for manifests in self._pushed.rglob("_manifests"):
            shutil.rmtree(manifests)

    @property
    def _pushed(self) -> Path:
        return self.folder / "registry" / "data"
