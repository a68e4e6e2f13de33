"""Jobs as containers, for real: the example's image is built, pushed, looked into, and run by digest.

One local cloud for the module: a push into an empty registry takes most of the time.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, run_v2, storage

from local import docker, jobs_mode
from local.containers import CLOUD
from local.registry import MANIFESTS
from tests import scratch_clone
from tests.conftest import serve

pytestmark = pytest.mark.docker

PROJECT, REGION, DATASET = "wharf-project", "europe-north1", "harvest"
ADDED_MEGABYTES = 350
WAIT_SECONDS = 120
RUN_DATE = "1997-10-01"
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print("ready", flush=True)
time.sleep(300)
"""
POLITE = """
import signal, sys, time
def tidy(number, frame):
    print("tidied", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, tidy)
print("ready", flush=True)
time.sleep(300)
"""


def until(ready: Callable[[], Any]) -> Any:
    """Wait for something that another process does; fails after a time that only a broken machine needs."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := ready()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


class Wharf:
    """A local cloud that runs containers, a clone whose stack is deployed on it, and Google's clients."""

    def __init__(self, folder: Path, clone: Path, client: docker.Docker) -> None:
        self.folder, self.clone, self.docker = folder, clone, client
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

    def changes(self) -> dict[str, str]:
        """What a preview would change: the operation of each resource by name."""
        steps = json.loads(self.pulumi("preview", "--json"))["steps"]
        named = {f"{s['urn'].split('::')[2].rpartition(':')[2]} {s['urn'].rpartition('::')[2]}": s["op"] for s in steps}
        return {name: op for name, op in named.items() if op != "same"}

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """Of the stack."""
        outputs: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json"))
        return outputs

    @property
    def image(self) -> str:
        """The image by digest, as jobs name it."""
        return str(self.outputs["images"]["customer_value"])

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

    def text(self, execution: str) -> list[str]:
        """The lines of its log."""
        label = f'labels."run.googleapis.com/execution_name"="{execution.rpartition("/")[2]}"'
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": label}
        entries = httpx.post(f"{self.env['LOGGING_ENDPOINT']}/v2/entries:list", json=body).json().get("entries", [])
        return [entry.get("textPayload", "") for entry in entries]

    def containers(self) -> list[str]:
        return [container.id for container in self.docker.containers({CLOUD: str(self.folder)})]


@pytest.fixture(scope="module")
def client() -> docker.Docker:
    """Docker with a base image; without one these tests are skipped, but fail in CI."""
    try:
        found = docker.find()
        base = os.environ.get(jobs_mode.BASE) or jobs_mode.default_base()
        if not found.has_image(base) or not shutil.which("docker-registry"):
            raise docker.DockerFailed(f"the base image {base!r} or `docker-registry` is missing")
    except docker.DockerFailed as error:
        reason = f"no containers here: {error}; `python -m tools.docker_daemon pytest -m docker` brings them"
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def wharf(client: docker.Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wharf]:
    config = {"gcp:project": PROJECT, "gcp:region": REGION, "predictions:dataset": DATASET}
    clone = scratch_clone.copy(tmp_path_factory.mktemp("wharf") / "clone", **config)
    wharf = Wharf(tmp_path_factory.mktemp("wharf-cloud"), clone, client)
    try:
        printed = wharf.pulumi("up", "--yes", "--skip-preview")
        assert "Jobs run as containers" in printed, "people are told how jobs run"
        yield wharf
    finally:
        wharf.process.terminate()
        assert wharf.process.wait(timeout=60) == 0
    assert wharf.containers() == []
    named = [tag for image in client.sdk.images.list() for tag in image.tags]
    assert wharf.env["LOCAL_REGISTRY"] not in " ".join(named), "no name leads to a registry that is gone"


def test_registry_jobs_and_dags_name_the_same_digest(wharf: Wharf) -> None:
    name, _, digest = wharf.image.partition("@")
    url = f"http://{wharf.env['LOCAL_REGISTRY']}/v2/{name}/manifests/local"
    assert httpx.head(url, headers={"Accept": MANIFESTS}).headers["Docker-Content-Digest"] == digest
    for job in wharf.outputs["jobs"]["customer_value"].values():
        container = wharf.jobs.get_job(name=job).template.template.containers[0]
        assert container.image == wharf.image
        assert {env.name: env.value for env in container.env}["IMAGE_DIGEST"] == digest
    dags = [
        b for b in wharf.storage.list_blobs(wharf.outputs["airflow"]["dags_bucket"]) if b.name.endswith(".dag.json")
    ]
    assert [json.loads(dag.download_as_text())["image_digest"] for dag in dags] == [digest, digest]


def test_training_and_application_run_as_containers_and_predictions_land(wharf: Wharf) -> None:
    wharf.run(sys.executable, "tools/example_data.py", "--stack", "local")
    for action, verb in (("training", "train"), ("application", "apply")):
        override = {"container_overrides": [{"args": [verb, "--run-date", RUN_DATE]}]}
        job = wharf.outputs["jobs"]["customer_value"][action]
        name = wharf.jobs.run_job(request={"name": job, "overrides": override}).metadata.name
        assert wharf.ended(name).succeeded_count == 1, wharf.text(name)
    table = f"{DATASET}.customer_value"
    sql = f"SELECT COUNT(*) AS n, COUNT(DISTINCT customer_id) AS d FROM {table} WHERE run_date = '{RUN_DATE}'"
    rows = next(iter(wharf.warehouse.query_and_wait(sql)))
    assert rows.n == rows.d == 2357
    assert wharf.containers() == []


def test_the_image_adds_little_to_its_base_and_holds_no_tool(wharf: Wharf) -> None:
    base = os.environ.get(jobs_mode.BASE) or jobs_mode.default_base()
    image = f"{wharf.env['LOCAL_REGISTRY']}/{wharf.image}"
    sizes = [wharf.docker.sdk.images.get(name).attrs["Size"] for name in (image, base)]
    assert sizes[0] - sizes[1] <= ADDED_MEGABYTES * 10**6
    assert wharf.sh("for tool in gcc cc g++ make ld gcloud gsutil bq; do command -v $tool; done; true") == ""
    assert wharf.sh("ls /opt/service/bin /opt/model/bin | grep pip; true") == "", "pip is the base's, not ours"
    caches = "find /root /tmp /run/secrets -type f; find /opt /app -name '*.whl'"
    left = wharf.alone("--user=0", "--entrypoint=sh", arguments=("-c", f"({caches}) 2>/dev/null; true")).stdout
    assert [path for path in left.split() if not path.startswith("/root/.")] == [], "no cache, no secret, no wheel"
    assert ".cache" not in left


def test_the_image_holds_one_model_and_no_test(wharf: Wharf) -> None:
    files = wharf.sh("find /app -type f").splitlines()
    assert "/app/service/models/customer_value/model.yaml" in files
    assert not [file for file in files if "/tests/" in file or file.endswith((".pyc", ".ipynb"))]
    assert wharf.sh("ls /app/service/models") == "customer_value"


def test_no_layer_tells_how_this_machine_gets_its_packages(wharf: Wharf) -> None:
    image = wharf.docker.sdk.images.get(f"{wharf.env['LOCAL_REGISTRY']}/{wharf.image}")
    told = json.dumps([image.history(), image.attrs])
    for name, value in os.environ.items():
        if name.startswith("PIP_") and "://" in value:
            assert value not in told
    assert "BEGIN CERTIFICATE" not in told
    assert wharf.sh("env | grep -i -E 'pip|proxy|cert'; true") == ""


def test_the_image_runs_as_nobody_in_particular_and_writes_nothing(wharf: Wharf) -> None:
    assert wharf.sh("id -u; id -g").split() == ["10001", "10001"]
    assert wharf.sh("find /app /opt -writable -not -type l | head -3") == ""


def test_the_image_run_alone_says_what_it_needs(wharf: Wharf) -> None:
    helped = wharf.alone(arguments=("--help",))
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "--run-date" in helped.stdout
    bare = wharf.alone(arguments=("apply", "--run-date", RUN_DATE))
    assert bare.returncode == 2
    message = json.loads(bare.stderr)["message"]
    assert all(name in message for name in ("GOOGLE_CLOUD_PROJECT", "DATASET", "MODELS_BUCKET", "RUNS_BUCKET"))


def test_an_image_is_built_again_only_when_its_content_changes(wharf: Wharf) -> None:
    (wharf.clone / "README.md").write_text("other words")
    (wharf.clone / "service" / "models" / "notes").mkdir()
    (wharf.clone / "service" / "models" / "notes" / "idea.txt").write_text("of another model, which is none yet")
    assert wharf.changes() == {}
    cli = wharf.clone / "service" / "cli.py"
    before = cli.read_text()
    cli.write_text(before + "\n# a line more\n")
    changed = wharf.changes()
    cli.write_text(before)
    assert {"Image customer_value", "Job customer_value-training", "Job customer_value-application"} <= changed.keys()
    assert not {name for name in changed if name.startswith(("Bucket ", "Table ", "Account "))}


def test_a_container_gets_what_the_job_declares_and_the_limits_of_its_size(wharf: Wharf) -> None:
    code = """
import json, os, pathlib, urllib.request
print(os.environ["CARGO"], os.environ["CLOUD_RUN_TASK_ATTEMPT"], os.environ["HOME"], os.getuid())
folder = pathlib.Path("/sys/fs/cgroup")
files = [folder / "memory.max", folder / "memory" / "memory.limit_in_bytes"]
print(next(file.read_text().strip() for file in files if file.exists()))
url = "http://" + os.environ["GCE_METADATA_HOST"]
url += "/computeMetadata/v1/instance/service-accounts/default/?recursive=true"
print(json.load(urllib.request.urlopen(urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})))["email"])
"""
    name = wharf.job(code, memory="256Mi", cpu="1000m")
    assert wharf.ended(name).succeeded_count == 1, wharf.text(name)
    said = wharf.text(name)
    assert said[0] == "plums and pears 0 /elsewhere 10001"
    assert said[1] == str(256 << 20)
    assert said[2].partition("@")[0] == wharf.account.partition("@")[0]


def test_more_memory_than_declared_ends_a_container(wharf: Wharf) -> None:
    execution = wharf.ended(wharf.job("x = b'1' * (400 << 20)", memory="128Mi", cpu="1000m"))
    assert execution.failed_count == 1
    assert "exit code 137" in execution.conditions[0].message


def test_a_cancelled_container_may_tidy_up_and_is_removed(wharf: Wharf) -> None:
    name = wharf.job(POLITE)
    until(lambda: "ready" in wharf.text(name))
    assert len(wharf.containers()) == 1
    wharf.executions.cancel_execution(name=name)
    assert wharf.ended(name).cancelled_count == 1
    assert wharf.text(name)[:2] == ["ready", "tidied"]
    assert wharf.containers() == []


def test_a_container_that_ignores_its_time_limit_is_killed_and_removed(wharf: Wharf) -> None:
    execution = wharf.ended(wharf.job(STUBBORN, seconds=2))
    assert execution.failed_count == 1
    assert "timeout" in execution.conditions[0].message
    assert wharf.containers() == []


def test_an_image_pushed_by_hand_runs_by_its_digest(wharf: Wharf, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {wharf.env['LOCAL_REGISTRY']}/{wharf.image}\nENV MADE_BY=hand\n")
    name = f"{wharf.env['LOCAL_REGISTRY']}/registry.example/builds/hand:v1"
    wharf.docker.build(f"--tag={name}", str(tmp_path))
    wharf.docker.push(name)
    [digest] = [found.rpartition("@")[2] for found in wharf.docker.sdk.images.get(name).attrs["RepoDigests"]]
    execution = wharf.job("import os; print(os.environ['MADE_BY'])", image=f"registry.example/builds/hand@{digest}")
    assert wharf.ended(execution).succeeded_count == 1, wharf.text(execution)
    assert wharf.text(execution) == ["hand"]


def test_an_image_that_is_not_there_is_named_with_the_way_to_get_it(wharf: Wharf) -> None:
    name = wharf.job("print(1)", image="registry.example/builds/none@sha256:" + "0" * 64)
    message = wharf.ended(name).conditions[0].message
    assert "registry.example/builds/none" in message
    assert "pulumi up" in message


def test_a_killed_local_cloud_leaves_no_container_and_keeps_its_images(wharf: Wharf) -> None:
    name = wharf.job(STUBBORN)
    until(lambda: "ready" in wharf.text(name))
    wharf.process.send_signal(signal.SIGKILL)
    wharf.process.wait()
    until(lambda: not wharf.containers())
    wharf.serve()
    assert "local cloud ended" in wharf.ended(name).conditions[0].message
    execution = wharf.job("print('again')")
    assert wharf.ended(execution).succeeded_count == 1, wharf.text(execution)
