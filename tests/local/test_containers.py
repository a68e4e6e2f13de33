"""Jobs as containers, for real: the example's image is built, pushed, looked into, and run by digest.

One local cloud for the module: a push into an empty registry takes most of the time.
"""

import json
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from local import docker, environments, jobs_mode
from local.registry import MANIFESTS
from tests import scratch_clone
from tests.models import test_tumours
from tests.waiting import until
from tests.wharf import DATASET, PROJECT, REGION, Wharf

pytestmark = pytest.mark.docker

ADDED_MEGABYTES = 350
RUN_DATE = "1997-10-01"
LOANS = "wharf_library.loans"
MARK = "wharf-mark-" + uuid.uuid4().hex
CALLING = f"""
import os, subprocess, sys, time, urllib.request
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", "{MARK}"])
print("calls", flush=True)
metadata = "http://" + os.environ["GCE_METADATA_HOST"] + "/computeMetadata/v1/instance/service-accounts/default/token"
request = urllib.request.Request(metadata, headers={{"Metadata-Flavor": "Google"}})
token = __import__("json").load(urllib.request.urlopen(request))["access_token"]
url = os.environ["STORAGE_ENDPOINT"] + "/storage/v1/b?project=wharf-project"
urllib.request.urlopen(urllib.request.Request(url, headers={{"Authorization": "Bearer " + token}}))
print("survived", flush=True)
"""
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
        assert "Jobs run as containers" in wharf.up(), "people are told how jobs run"
        yield wharf
    finally:
        wharf.close()


@pytest.fixture(scope="module")
def overdue(wharf: Wharf) -> str:
    """An execution that ignores its time limit; its ten seconds of grace pass while others run."""
    return wharf.job(STUBBORN, seconds=2)


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


@pytest.mark.usefixtures("overdue")
def test_training_and_application_run_as_containers_and_predictions_land(wharf: Wharf) -> None:
    wharf.run(sys.executable, "tools/example_data.py", "--stack", "local")
    for action, verb in (("training", "train"), ("application", "apply")):
        name = wharf.execute("customer_value", action, verb, "--run-date", RUN_DATE)
        assert wharf.ended(name).succeeded_count == 1, wharf.text(name)
    table = f"{DATASET}.customer_value"
    sql = f"SELECT COUNT(*) AS n, COUNT(DISTINCT customer_id) AS d FROM {table} WHERE run_date = '{RUN_DATE}'"
    rows = next(iter(wharf.warehouse.query_and_wait(sql)))
    assert rows.n == rows.d == 2357


def test_a_container_that_ignores_its_time_limit_is_killed_and_removed(wharf: Wharf, overdue: str) -> None:
    execution = wharf.ended(overdue)
    assert execution.failed_count == 1
    assert "timeout" in execution.conditions[0].message
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


def test_an_image_that_is_not_there_is_named_with_the_way_to_get_it(wharf: Wharf) -> None:
    name = wharf.job("print(1)", image="registry.example/builds/none@sha256:" + "0" * 64)
    message = wharf.ended(name).conditions[0].message
    assert "registry.example/builds/none" in message
    assert "pulumi up" in message


def test_a_fault_kills_a_container_at_its_call_and_nothing_of_it_is_left(wharf: Wharf) -> None:
    rules = (sys.executable, "-m", "local", "fault", "--folder", str(wharf.folder))
    rule = wharf.run(*rules, "add", "--kill", "--method=buckets.list").strip()
    name = wharf.job(CALLING)
    assert "SIGKILL" in wharf.ended(name).conditions[0].message
    assert wharf.text(name)[0] == "calls"
    assert "survived" not in wharf.text(name)
    assert wharf.containers() == []
    assert not [p for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or [])], "nor its child"
    wharf.run(*rules, "clear", "--id", rule)


def test_a_second_model_is_only_creates_and_runs_as_containers_of_its_own_image(wharf: Wharf) -> None:
    first = wharf.image
    sql = f"SELECT reader, loans, weather FROM `{LOANS}`"
    scratch_clone.add_model(
        wharf.clone, "reader_loans", package="loans", key="reader", value="loans_expected", sql=sql, config={}
    )
    wharf.make_table(LOANS, [{"reader": name, "loans": n, "weather": "sun"} for n, name in enumerate(("ann", "ben"))])
    changes = wharf.changes()
    assert changes.pop("Table runs") == "update", "the view of all models' runs has one more"
    assert {"Image reader_loans", "Job reader_loans-application", "Account reader_loans-training"} <= changes.keys()
    assert set(changes.values()) == {"create"}
    wharf.up()
    assert wharf.image == first
    for action, verb in (("training", "train"), ("application", "apply")):
        name = wharf.execute("reader_loans", action, verb, "--run-date", RUN_DATE)
        assert wharf.ended(name).succeeded_count == 1, wharf.text(name)
    found = wharf.warehouse.query_and_wait(f"SELECT reader FROM {DATASET}.reader_loans WHERE run_date = '{RUN_DATE}'")
    assert sorted(row.reader for row in found) == ["ann", "ben"]


@pytest.mark.soak  # its layers of scikit-learn take a minute and more
def test_a_class_of_scikit_learn_is_trained_and_applied_in_an_image_of_its_own(wharf: Wharf) -> None:
    folder = shutil.copytree(test_tumours.MODEL, wharf.clone / "service" / "models" / "tumours")
    (folder / "samples").mkdir()
    python = str(environments.ensure(folder / "requirements.txt"))
    wharf.run(python, "-c", test_tumours.SAMPLES, str(folder / "samples"))
    wharf.up()
    for action, verb in (("training", "train"), ("application", "apply")):
        name = wharf.execute("tumours", action, verb, "--run-date", RUN_DATE)
        assert wharf.ended(name).succeeded_count == 1, wharf.text(name)
    sql = f"SELECT sample_id, benign_probability FROM {DATASET}.tumours WHERE run_date = '{RUN_DATE}'"
    found = {row.sample_id: row.benign_probability for row in wharf.warehouse.query_and_wait(sql)}
    truth = test_tumours.rows(folder / "samples" / "truth.csv")
    assert found.keys() == truth.keys()
    assert sum((found[key] > 0.5) == bool(truth[key]) for key in truth) >= 90
    shutil.rmtree(folder)


def test_both_images_are_built_again_for_a_line_of_the_service_and_none_for_other_words(wharf: Wharf) -> None:
    """After the second model is there."""
    (wharf.clone / "README.md").write_text("other words")
    (wharf.clone / "service" / "models" / "notes").mkdir()
    (wharf.clone / "service" / "models" / "notes" / "idea.txt").write_text("of another model, which is none yet")
    assert wharf.changes() == {}
    cli = wharf.clone / "service" / "cli.py"
    before = cli.read_text()
    cli.write_text(before + "\n# a line more\n")
    changed = wharf.changes()
    cli.write_text(before)
    for model in ("customer_value", "reader_loans"):
        assert {f"Image {model}", f"Job {model}-training", f"Job {model}-application"} <= changed.keys()
    assert not {name for name in changed if name.startswith(("Bucket ", "Table ", "Account "))}


def test_an_image_built_elsewhere_is_deployed_and_run_by_its_digest(wharf: Wharf, tmp_path: Path) -> None:
    """After the second model is there."""
    image = f"{wharf.env['LOCAL_REGISTRY']}/{wharf.outputs['images']['reader_loans']}"
    (tmp_path / "Dockerfile").write_text(f'FROM {image}\nENTRYPOINT ["echo", "made by hand:"]\n')
    name = "registry.example/builds/loans"
    digest = wharf.pushed(f"{name}:v2", tmp_path)
    key = ("--path", "predictions:prebuiltImages.reader_loans")
    wharf.pulumi("config", "set", *key, f"{name}:v2")
    said = wharf.refused("preview")
    assert f"Pulumi.local.yaml: 'predictions:prebuiltImages' is '{{\"reader_loans\":\"{name}:v2\"}}'" in said
    assert "pulumi config set --stack local --path predictions:prebuiltImages.MODEL IMAGE" in said
    wharf.pulumi("config", "set", *key, f"{name}@{digest}")
    wharf.up()
    assert wharf.outputs["images"]["reader_loans"] == f"{name}@{digest}"
    job = wharf.jobs.get_job(name=wharf.outputs["jobs"]["reader_loans"]["training"])
    assert job.template.template.containers[0].image == f"{name}@{digest}"
    execution = wharf.execute("reader_loans", "training")
    assert wharf.ended(execution).succeeded_count == 1, wharf.text(execution)
    assert wharf.text(execution) == ["made by hand: train"]


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
