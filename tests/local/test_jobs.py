"""Cloud Run jobs of the local cloud, through Google's own clients, with processes that really run."""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2, storage

from local import images
from local.declared import Declared, Resource
from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from local.metadata import ACCOUNT
from tests.conftest import RunningCloud, serve
from tests.waiting import until

PROJECT, LOCATION = "harbour-42", "europe-north1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
ACCOUNT_EMAIL = f"stocks-apply@{PROJECT}.iam.gserviceaccount.com"
READER = "gcp:secretmanager/secretIamMember:SecretIamMember"
# A service whose work is its first argument, so that each test says what its job does.
MAIN = "import sys\nexec(sys.argv[1])\n"
CHATTY = """
import json, sys
print("plain words")
event = {"severity": "warning", "message": "late", "rows": 3, "time": "2024-05-01T07:00:00Z"}
print(json.dumps(event | {"logging.googleapis.com/labels": {"gate": "rows"}}))
print("trouble", file=sys.stderr)
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("up", flush=True)
time.sleep(99)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["setsid", "sleep", "300"])
print("ready", flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def run_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud of this module's own: its jobs touch the egress guard."""
    folder = tmp_path_factory.mktemp("run-cloud")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SECRET_OF_THE_PERSON", "hunter2")
        process = serve(folder, "--project", PROJECT)
        assert process.stdout
        env = json.loads(process.stdout.readline())["env"]
        declared = Declared(folder / "declared")
        declared.put(Resource(ACCOUNT, ACCOUNT_EMAIL, {"email": ACCOUNT_EMAIL}))
        sees_jobs = {"project": PROJECT, "role": "roles/run.viewer", "member": f"serviceAccount:{ACCOUNT_EMAIL}"}
        declared.put(Resource("gcp:projects/iAMMember:IAMMember", "sees-jobs", sees_jobs))
        declared.close()
        yield RunningCloud(folder, env)
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def image(run_cloud: RunningCloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_image(run_cloud.folder, tmp_path_factory.mktemp("clone"))


def build_image(folder: Path, context: Path) -> str:
    for name in ("container/requirements.txt", "service/models/stocks/requirements.txt", "service/__init__.py"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).touch()
    (context / "service/__main__.py").write_text(MAIN)
    digest = images.build(folder / "images", context=context, dockerfile=None, build_args={"MODEL": "stocks"})
    return f"registry.example/{PROJECT}/stocks@{digest}"


class Platform:
    """Google's clients for one local cloud, and the jobs made with them."""

    def __init__(self, cloud: RunningCloud, image: str) -> None:
        options: Any = {"api_endpoint": cloud.env["RUN_ENDPOINT"]}
        credentials = AnonymousCredentials()
        self.cloud, self.image = cloud, image
        self.jobs = run_v2.JobsClient(transport="rest", client_options=options, credentials=credentials)
        self.executions = run_v2.ExecutionsClient(transport="rest", client_options=options, credentials=credentials)

    def job(self, **changes: Any) -> run_v2.Job:
        task: dict[str, Any] = {
            "service_account": ACCOUNT_EMAIL,
            "max_retries": changes.pop("max_retries", 0),
            "timeout": {"seconds": changes.pop("timeout_seconds", 60)},
            "containers": [{"image": self.image, "args": ["print(1)"], **changes.pop("container", {})}],
        }
        job = run_v2.Job(template={"template": task, **changes})
        created = self.jobs.create_job(parent=PARENT, job=job, job_id=f"stocks-{uuid.uuid4().hex[:8]}").result()
        assert isinstance(created, run_v2.Job)
        return created

    def start(self, job: run_v2.Job, code: str, **overrides: Any) -> str:
        """Run a job with its argument replaced; returns the execution's name, as Airflow does, without waiting."""
        container = {"args": [code], "env": overrides.pop("env", [])}
        request = {"name": job.name, "overrides": {"container_overrides": [container], **overrides}}
        return str(self.jobs.run_job(request=request).metadata.name)

    def ended(self, name: str) -> run_v2.Execution:
        execution = until(lambda: (e := self.executions.get_execution(name=name)).completion_time and e)
        assert isinstance(execution, run_v2.Execution)
        return execution

    def run(self, code: str, **changes: Any) -> run_v2.Execution:
        return self.ended(self.start(self.job(**changes), code))

    def log(self, execution: str) -> list[dict[str, Any]]:
        label = f'labels."run.googleapis.com/execution_name"="{execution.rpartition("/")[2]}"'
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": label}
        answer = httpx.post(f"{self.cloud.env['LOGGING_ENDPOINT']}/v2/entries:list", json=body)
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    def text(self, execution: str) -> list[str]:
        return [entry.get("textPayload", "") for entry in self.log(execution)]


@pytest.fixture(scope="module")
def platform(run_cloud: RunningCloud, image: str) -> Platform:
    return Platform(run_cloud, image)


def completed(execution: run_v2.Execution) -> run_v2.Condition:
    return next(condition for condition in execution.conditions if condition.type_ == "Completed")


def processes_of(execution: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CLOUD_RUN_EXECUTION") == execution.rpartition("/")[2]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_job_is_kept_as_declared_with_the_services_defaults(platform: Platform) -> None:
    job = run_v2.Job(labels={"team": "harbour"}, template={"template": {"containers": [{"image": platform.image}]}})
    name = f"stocks-{uuid.uuid4().hex[:8]}"
    platform.jobs.create_job(parent=PARENT, job=job, job_id=name).result()
    kept = platform.jobs.get_job(name=f"{PARENT}/jobs/{name}")
    assert kept.labels == {"team": "harbour"}
    assert (kept.template.task_count, kept.template.template.max_retries) == (1, 3)
    assert kept.template.template.timeout.total_seconds() == 600
    assert kept.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    assert (kept.generation, kept.creator, kept.execution_count) == (1, "owner", 0)


def test_jobs_are_listed_changed_and_deleted(platform: Platform) -> None:
    job = platform.job()
    assert job.name in [found.name for found in platform.jobs.list_jobs(parent=PARENT)]
    job.template.template.containers[0].args = ["print(2)"]
    job.template.template.timeout = {"seconds": 120}
    changed = platform.jobs.update_job(job=job).result()
    assert (changed.generation, changed.uid) == (2, job.uid)
    assert platform.jobs.get_job(name=job.name).template.template.timeout.total_seconds() == 120
    platform.ended(platform.start(changed, "pass"))
    platform.jobs.delete_job(name=job.name).result()
    for call in (platform.jobs.get_job, platform.jobs.run_job, platform.jobs.delete_job):
        with pytest.raises(exceptions.NotFound):
            call(name=job.name)
    assert not list(platform.executions.list_executions(parent=job.name))


def test_a_job_changed_by_someone_else_is_not_overwritten(platform: Platform) -> None:
    job = platform.job()
    platform.jobs.update_job(job=job).result()
    with pytest.raises(exceptions.Conflict, match="etag"):
        platform.jobs.update_job(job=job)
    with pytest.raises(exceptions.Conflict):
        platform.jobs.create_job(parent=PARENT, job=run_v2.Job(template=job.template), job_id=job.name.split("/")[-1])


@pytest.mark.parametrize(
    ("changes", "status", "place"),
    [
        ({"template": {"template": {}}}, 400, "template.template.containers"),
        ({"template": {"template": {"containers": [{"args": ["x"]}]}}}, 400, "containers[0].image"),
        ({"template": {"template": {"containers": [{"image": "i", "arguments": []}]}}}, 400, "containers[0].arguments"),
        ({"template": {"template": {"containers": [{"image": "i"}], "timeout": "1h"}}}, 400, "'1h'"),
        ({"template": {"template": {"containers": [{"image": "i"}], "maxRetries": 11}}}, 400, "template.maxRetries"),
        ({"template": {"taskCount": 0, "template": {"containers": [{"image": "i"}]}}}, 400, "template.taskCount"),
        ({"template": {"template": {"containers": [{"image": "i"}, {"image": "j"}]}}}, 501, "more than one container"),
        ({"template": {"template": {"containers": [{"image": "i"}], "volumes": [{"name": "v"}]}}}, 501, "volumes"),
        (
            {
                "template": {
                    "template": {"containers": [{"image": "i", "env": [{"name": "A", "valueSource": {"x": 1}}]}]}
                }
            },
            400,
            "env[0].valueSource",
        ),
        (
            {"template": {"template": {"containers": [{"image": "i"}], "vpcAccess": {"network": "n"}}}},
            400,
            "vpcAccess.network",
        ),
        ({"labels": {"Team": "dams"}}, 400, "labels: 'Team'"),
        ({"schedule": "daily"}, 400, "schedule"),
    ],
)
def test_an_impossible_job_is_refused_by_field(
    run_cloud: RunningCloud, changes: dict[str, Any], status: int, place: str
) -> None:
    answer = httpx.post(f"{run_cloud.env['RUN_ENDPOINT']}/v2/{PARENT}/jobs?jobId=stocks-bad", json=changes)
    assert answer.status_code == status
    assert place in answer.json()["error"]["message"]


def test_a_job_id_follows_the_rules(run_cloud: RunningCloud, platform: Platform) -> None:
    for job_id in ("Stocks", "1st", "a-", "a" * 50, ""):
        with pytest.raises(exceptions.BadRequest, match="Job id"):
            platform.jobs.create_job(parent=PARENT, job=run_v2.Job(), job_id=job_id)


def test_a_good_run_succeeds_and_its_operation_too(platform: Platform) -> None:
    job = platform.job()
    operation = platform.jobs.run_job(name=job.name)
    short = operation.metadata.name.rpartition("/")[2]
    assert short.startswith(f"{job.name.rpartition('/')[2]}-")
    assert len(short.rpartition("-")[2]) == 5
    execution = platform.ended(operation.metadata.name)
    assert (execution.succeeded_count, execution.failed_count, execution.running_count) == (1, 0, 0)
    assert completed(execution).state.name == "CONDITION_SUCCEEDED"
    assert execution.start_time <= execution.completion_time
    assert operation.result().name == execution.name
    latest = platform.jobs.get_job(name=job.name).latest_created_execution
    assert (latest.name, latest.completion_status.name) == (execution.name, "EXECUTION_SUCCEEDED")


def test_a_failing_run_fails_with_its_exit_code_and_its_last_words(platform: Platform) -> None:
    job = platform.job()
    operation = platform.jobs.run_job(
        request={"name": job.name, "overrides": {"container_overrides": [{"args": ["sys.exit('no customers')"]}]}}
    )
    execution = platform.ended(operation.metadata.name)
    assert (execution.succeeded_count, execution.failed_count) == (0, 1)
    assert completed(execution).state.name == "CONDITION_FAILED"
    assert completed(execution).execution_reason.name == "NON_ZERO_EXIT_CODE"
    assert "exit code 1" in completed(execution).message
    assert platform.text(execution.name)[0] == "no customers"
    with pytest.raises(exceptions.Aborted, match="exit code 1"):
        operation.result()


def test_the_environment_is_what_is_declared_and_nothing_of_the_persons(platform: Platform) -> None:
    container = {"env": [{"name": "MODEL", "value": "stocks"}, {"name": "TIER", "value": "low"}]}
    job = platform.job(container=container, task_count=1)
    name = platform.start(
        job, "import os, json; print(json.dumps({'env': dict(os.environ)}))", env=[{"name": "TIER", "value": "high"}]
    )
    platform.ended(name)
    env = platform.log(name)[0]["jsonPayload"]["env"]
    assert (env["MODEL"], env["TIER"]) == ("stocks", "high")
    assert env["CLOUD_RUN_JOB"] == job.name.rpartition("/")[2]
    assert env["CLOUD_RUN_EXECUTION"] == name.rpartition("/")[2]
    assert [env[f"CLOUD_RUN_TASK_{key}"] for key in ("INDEX", "COUNT", "ATTEMPT")] == ["0", "1", "0"]
    assert f"/sa/stocks-apply@{PROJECT}.iam.local+" in env["GCE_METADATA_HOST"], "the task is named after the account"
    assert env["STORAGE_ENDPOINT"] != platform.cloud.env["STORAGE_ENDPOINT"], "jobs use the jobs' door"
    assert "SECRET_OF_THE_PERSON" not in env
    assert env["HOME"] != os.environ.get("HOME")
    assert not Path(env["HOME"]).exists(), "a task's home ends with it"
    execution = platform.executions.get_execution(name=name)
    assert {v.name: v.value for v in execution.template.containers[0].env} == {"MODEL": "stocks", "TIER": "high"}


def test_arguments_can_be_cleared_and_the_command_replaced(platform: Platform) -> None:
    job = platform.job(container={"command": ["python", "-c", "import sys; print(sys.argv[1:])"], "args": ["a", "b"]})
    names = []
    for change in ({}, {"clear_args": True}, {"args": ["c"]}):
        request = {"name": job.name, "overrides": {"container_overrides": [change]}}
        names.append(platform.jobs.run_job(request=request).metadata.name)
    assert [platform.text(platform.ended(name).name) for name in names] == [["['a', 'b']"], ["[]"], ["['c']"]]


def test_output_becomes_log_entries_as_on_cloud_run(platform: Platform) -> None:
    job = platform.job()
    name = platform.ended(platform.start(job, CHATTY)).name
    late, plain, trouble = platform.log(name)  # in order of time; the JSON line brought its own
    assert late["jsonPayload"] == {"message": "late", "rows": 3}
    assert (late["severity"], late["timestamp"]) == ("WARNING", "2024-05-01T07:00:00Z")
    assert late["labels"]["gate"] == "rows"
    assert plain["textPayload"] == "plain words"
    assert plain["logName"] == f"projects/{PROJECT}/logs/run.googleapis.com%2Fstdout"
    assert trouble["logName"] == f"projects/{PROJECT}/logs/run.googleapis.com%2Fstderr"
    labels = {"job_name": job.name.rpartition("/")[2], "location": LOCATION, "project_id": PROJECT}
    assert trouble["resource"] == {"type": "cloud_run_job", "labels": labels}
    assert trouble["labels"] == {
        "run.googleapis.com/execution_name": name.rpartition("/")[2],
        "run.googleapis.com/task_index": "0",
        "run.googleapis.com/task_attempt": "0",
    }
    page = httpx.get(platform.executions.get_execution(name=name).log_uri).text
    assert "WARNING  late" in page
    assert "plain words" in page


def test_a_line_too_long_for_one_entry_becomes_several(platform: Platform) -> None:
    execution = platform.run("print('x' * 300_000); print('end', end='')")
    texts = platform.text(execution.name)
    assert "".join(texts) == "x" * 300_000 + "end"
    assert len(texts) > 2


def test_a_failing_task_is_retried_as_often_as_declared(platform: Platform) -> None:
    flaky = "import os, sys; attempt = os.environ['CLOUD_RUN_TASK_ATTEMPT']; print(attempt); sys.exit(attempt != '2')"
    execution = platform.run(flaky, max_retries=2)
    assert (execution.succeeded_count, execution.retried_count, execution.failed_count) == (1, 2, 0)
    assert [e["textPayload"] for e in platform.log(execution.name) if "stdout" in e["logName"]] == ["0", "1", "2"]
    gave_up = platform.run(flaky, max_retries=1)
    assert (gave_up.succeeded_count, gave_up.retried_count, gave_up.failed_count) == (0, 1, 1)


def test_every_task_runs_once_and_no_more_at_a_time_than_declared(platform: Platform, tmp_path: Path) -> None:
    code = f"""
import os, pathlib, time
mine = pathlib.Path({str(tmp_path)!r}, os.environ["CLOUD_RUN_TASK_INDEX"])
mine.touch()
print(len(list(mine.parent.iterdir())), os.environ["CLOUD_RUN_TASK_COUNT"])
time.sleep(0.05)
mine.unlink()
"""
    execution = platform.run(code, task_count=5, parallelism=2)
    assert execution.succeeded_count == 5
    at_once, counts = zip(*(text.split() for text in platform.text(execution.name)), strict=True)
    assert set(counts) == {"5"}
    assert set(at_once) <= {"1", "2"}
    labels = [entry["labels"]["run.googleapis.com/task_index"] for entry in platform.log(execution.name)]
    assert sorted(labels) == ["0", "1", "2", "3", "4"]


def test_the_first_task_that_fails_for_good_ends_the_others(platform: Platform) -> None:
    code = "import os, sys, time; sys.exit(1) if os.environ['CLOUD_RUN_TASK_INDEX'] == '1' else time.sleep(99)"
    execution = platform.run(code, task_count=3)
    assert (execution.failed_count, execution.cancelled_count, execution.succeeded_count) == (1, 2, 0)
    assert "task1 failed" in completed(execution).message


def test_the_declared_time_limit_ends_a_task_and_an_override_changes_it(platform: Platform) -> None:
    job = platform.job()
    name = platform.start(job, "import time; time.sleep(99)", timeout={"seconds": 1})
    execution = platform.ended(name)
    assert "The configured timeout of 1s was reached" in completed(execution).message
    assert any("timeout" in text for text in platform.text(name))


def test_a_cancelled_execution_ends_with_all_its_processes(platform: Platform) -> None:
    polite = platform.start(platform.job(max_retries=3), "import time; print('up', flush=True); time.sleep(99)")
    until(lambda: "up" in platform.text(polite))
    operation = platform.executions.cancel_execution(name=polite)
    execution = platform.ended(polite)
    assert (execution.cancelled_count, execution.retried_count) == (1, 0)
    assert completed(execution).execution_reason.name == "CANCELLED"
    assert operation.result().name == polite
    assert not processes_of(polite)
    with pytest.raises(exceptions.BadRequest, match="has ended"):
        platform.executions.cancel_execution(name=polite)


def test_a_cancelled_task_that_ends_well_is_cancelled(platform: Platform) -> None:
    job = platform.job()
    name = platform.start(job, POLITE)
    until(lambda: "up" in platform.text(name))
    assert platform.jobs.get_job(name=job.name).latest_created_execution.completion_status.name == "EXECUTION_RUNNING"
    platform.executions.cancel_execution(name=name).result()
    execution = platform.ended(name)
    assert (execution.cancelled_count, execution.succeeded_count) == (1, 0)
    assert completed(execution).execution_reason.name == "CANCELLED"
    latest = platform.jobs.get_job(name=job.name).latest_created_execution
    assert latest.completion_status.name == "EXECUTION_CANCELLED"


def test_an_operation_is_waited_for_listed_and_forgotten(platform: Platform) -> None:
    job = platform.job()
    begun = platform.jobs.run_job(name=job.name).operation.name
    url = f"{platform.cloud.env['RUN_ENDPOINT']}/v2/{begun}"
    ended = httpx.post(f"{url}:wait", json={"timeout": "30s"}).json()
    assert ended["done"], ended
    assert ended["response"]["succeededCount"] == 1
    operations = httpx.get(url.rpartition("/")[0]).json()["operations"]
    assert [o["done"] for o in operations if o["name"] == begun] == [True]
    assert httpx.delete(url).status_code == 200
    assert httpx.post(f"{url}:wait", json={}).status_code == 404


def test_a_wait_ends_with_its_time(platform: Platform) -> None:
    operation = platform.jobs.run_job(name=platform.job(container={"args": ["import time; time.sleep(99)"]}).name)
    url = f"{platform.cloud.env['RUN_ENDPOINT']}/v2/{operation.operation.name}:wait"
    assert "done" not in httpx.post(url, json={"timeout": "0.1s"}).json()
    assert httpx.post(url, json={"timeout": "soon"}).status_code == 400
    platform.executions.cancel_execution(name=operation.metadata.name)


def test_a_run_that_is_only_validated_leaves_no_execution(platform: Platform) -> None:
    job = platform.job()
    operation = platform.jobs.run_job(request={"name": job.name, "validate_only": True})
    assert operation.done()
    assert isinstance(operation.metadata, run_v2.Execution)
    assert list(platform.executions.list_executions(parent=job.name)) == []


def test_a_method_that_is_not_there_is_not_taken_for_a_job_that_is_not_there(platform: Platform) -> None:
    url = f"{platform.cloud.env['RUN_ENDPOINT']}/v2/{platform.job().name}:getIamPolicy"
    assert httpx.get(url).status_code == 501


def test_a_task_whose_launcher_is_killed_fails_and_leaves_nothing(platform: Platform) -> None:
    name = platform.start(platform.job(), STUBBORN)
    until(lambda: "ready" in platform.text(name))
    mine = processes_of(name)
    launcher = next(process for process in mine if not {p.pid for p in process.parents()} & {p.pid for p in mine})
    launcher.kill()
    assert "killed from outside" in completed(platform.ended(name)).message
    assert not processes_of(name)


def test_a_run_needs_an_image_named_by_its_digest(platform: Platform) -> None:
    job = platform.job(container={"image": "registry.example/stocks:latest"})
    with pytest.raises(exceptions.BadRequest, match="digest"):
        platform.jobs.run_job(name=job.name)


def test_a_run_of_an_unknown_image_fails_with_the_reason(platform: Platform) -> None:
    execution = platform.run("pass", container={"image": f"registry.example/stocks@sha256:{'1' * 64}"})
    assert (execution.failed_count, execution.succeeded_count) == (1, 0)
    assert "is not in this local cloud" in completed(execution).message
    assert "is not in this local cloud" in platform.text(execution.name)[0]


def test_a_program_that_cannot_start_fails_with_its_name(platform: Platform) -> None:
    execution = platform.run("pass", container={"command": ["no-such-program"]})
    assert "exit code 127" in completed(execution).message
    assert "Cannot start 'no-such-program'" in platform.text(execution.name)[0]


@pytest.mark.parametrize(
    "overrides",
    [
        {"containerOverrides": [{"image": "other"}]},
        {"containerOverrides": [{"name": "other"}]},
        {"timeout": "soon"},
        {"taskCount": 20000},
        {"memory": "8Gi"},
    ],
)
def test_an_impossible_override_is_refused(platform: Platform, overrides: dict[str, Any]) -> None:
    url = f"{platform.cloud.env['RUN_ENDPOINT']}/v2/{platform.job().name}:run"
    assert httpx.post(url, json={"overrides": overrides}).status_code == 400


def test_executions_are_listed_newest_first_in_pages_and_deleted(platform: Platform) -> None:
    job = platform.job()
    names = [platform.ended(platform.start(job, "pass")).name for _ in range(3)]
    listed = platform.executions.list_executions(request={"parent": job.name, "page_size": 2})
    assert [execution.name for execution in listed] == names[::-1]
    everywhere = platform.executions.list_executions(parent=f"{PARENT}/jobs/-")
    assert {execution.name for execution in everywhere} >= set(names)
    platform.executions.delete_execution(name=names[0]).result()
    with pytest.raises(exceptions.NotFound):
        platform.executions.get_execution(name=names[0])


def test_a_running_execution_can_be_deleted(platform: Platform) -> None:
    name = platform.start(platform.job(), "import time; print('up', flush=True); time.sleep(99)")
    until(lambda: "up" in platform.text(name))
    platform.executions.delete_execution(name=name).result()
    assert not processes_of(name)


def test_a_job_gets_a_token_of_its_own_account(platform: Platform) -> None:
    code = """
import json, os, urllib.request
base = "http://" + os.environ["GCE_METADATA_HOST"] + "/computeMetadata/v1/instance/service-accounts/default/"
token = json.load(urllib.request.urlopen(base + "token"))["access_token"]
headers = {"authorization": "Bearer " + token}
request = urllib.request.Request(os.environ["RUN_ENDPOINT"] + "/v2/%s/jobs" % os.environ["PARENT"], headers=headers)
print(urllib.request.urlopen(request).status, urllib.request.urlopen(base + "email").read().decode())
try:
    urllib.request.urlopen(request.full_url)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    execution = platform.run(code, container={"env": [{"name": "PARENT", "value": PARENT}]})
    assert platform.text(execution.name) == [f"200 stocks-apply@{PROJECT}.iam.local", "401"]


def test_a_job_cannot_leave_the_machine_unseen(platform: Platform) -> None:
    code = "import urllib.request; urllib.request.urlopen('https://storage.example.com/b')"
    execution = platform.run(code)
    assert execution.failed_count == 1
    assert any("403" in text for text in platform.text(execution.name))
    assert "CONNECT storage.example.com:443" in (platform.cloud.folder / "egress.log").read_text()


def from_secret(name: str, secret: str, version: str) -> dict[str, Any]:
    return {"name": name, "value_source": {"secret_key_ref": {"secret": secret, "version": version}}}


@contextmanager
def may_read(cloud: RunningCloud, secret: str) -> Iterator[None]:
    """The jobs' account has the role on a secret, for a while."""
    role = {"role": "roles/secretmanager.secretAccessor", "member": f"serviceAccount:{ACCOUNT_EMAIL}"}
    grant = Resource(READER, secret, {"project": PROJECT, "secretId": secret, **role})
    with closing(Declared(cloud.folder / "declared")) as declared:
        declared.put(grant)
        yield
        declared.remove(grant.token, grant.id)


def test_a_secret_is_read_when_an_execution_starts_and_never_shown(platform: Platform) -> None:
    folder = platform.cloud.folder / "secrets" / "crm-key"
    folder.mkdir(parents=True)
    (folder / "2").write_text("old-value\n")
    env = [from_secret("CRM_KEY", "crm-key", "2"), from_secret("NEWEST", "crm-key", "latest")]
    code = "import os; print(len(os.environ['CRM_KEY']), os.environ['NEWEST'] == os.environ['CRM_KEY'])"
    with may_read(platform.cloud, "crm-key"):
        job = platform.job(container={"env": env})
        first = platform.ended(platform.start(job, code))
        (folder / "10").write_text("a-newer-value")
        second = platform.ended(platform.start(job, code))
    assert platform.text(first.name) == ["9 True"]
    assert platform.text(second.name) == ["9 False"]
    shown = str(platform.jobs.get_job(name=job.name)) + str(second) + str(platform.log(second.name))
    assert "old-value" not in shown
    assert "a-newer-value" not in shown


def test_a_secret_without_a_value_fails_the_execution_with_the_file_to_write(platform: Platform) -> None:
    with may_read(platform.cloud, "weather-key"):
        execution = platform.run("print(1)", container={"env": [from_secret("API_KEY", "weather-key", "3")]})
    assert execution.failed_count == 1
    assert str(platform.cloud.folder / "secrets" / "weather-key" / "3") in completed(execution).message


def test_a_job_whose_account_may_not_read_its_secret_is_refused_and_so_is_its_run_later(platform: Platform) -> None:
    container = {"env": [{"name": "X", "value": "1"}, from_secret("MAP_KEY", "map-key", "7")]}
    denied = rf"env\[1\].*Permission denied on secret: projects/{PROJECT}/secrets/map-key/versions/7 .*{ACCOUNT_EMAIL}"
    with pytest.raises(exceptions.Forbidden, match=denied):
        platform.job(container=container)
    with may_read(platform.cloud, "map-key"):
        job = platform.job(container=container)
    execution = platform.ended(platform.start(job, "print(1)"))
    assert execution.failed_count == 1
    assert re.search(denied, completed(execution).message)
    assert "roles/secretmanager.secretAccessor" in completed(execution).message
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": 'log_id("local-iam")'}
    told = httpx.post(f"{platform.cloud.env['LOGGING_ENDPOINT']}/v2/entries:list", json=body).json()["entries"]
    assert told[-1]["jsonPayload"]["permission"] == "secretmanager.versions.access"
    assert told[-1]["jsonPayload"]["roles"] == ["roles/secretmanager.secretAccessor"]


def test_a_killed_server_leaves_no_process_and_the_next_one_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cloud"
    first = serve(folder, "--project", PROJECT)
    assert first.stdout
    cloud = RunningCloud(folder, json.loads(first.stdout.readline())["env"])
    platform = Platform(cloud, build_image(folder, tmp_path / "clone"))
    done = platform.run("print('kept')")
    name = platform.start(platform.job(), STUBBORN)
    until(lambda: "ready" in platform.text(name))
    assert len(processes_of(name)) == 3, "the launcher, the service, and what it started in a session of its own"
    first.kill()
    first.wait()
    until(lambda: not processes_of(name))
    second = serve(folder, "--project", PROJECT)
    assert second.stdout
    cloud = RunningCloud(folder, json.loads(second.stdout.readline())["env"])
    platform = Platform(cloud, platform.image)
    try:
        assert "local cloud ended" in completed(platform.ended(name)).message
        assert platform.text(name)[0] == "ready"
        assert platform.executions.get_execution(name=done.name).succeeded_count == 1
        assert platform.text(done.name) == ["kept"]
        again = platform.start(platform.job(), "import time; print('up', flush=True); time.sleep(99)")
        until(lambda: "up" in platform.text(again))
    finally:
        second.terminate()
        assert second.wait(timeout=60) == 0
    assert not processes_of(again), "a server that stops ends what it started"


# With the official client, from this environment: the image has none.
UPLOADS = """
import os, sys
sys.path += PACKAGES
from google.cloud import storage
client = storage.Client(client_options={"api_endpoint": os.environ["STORAGE_ENDPOINT"]})
bucket = client.bucket(BUCKET)
for number in range(3):
    bucket.blob(f"{os.environ['CLOUD_RUN_TASK_ATTEMPT']}-{number}").upload_from_string("x")
    print("wrote", number, flush=True)
"""


@pytest.mark.parametrize(("when", "written"), [("before", ["0-0"]), ("after", ["0-0", "0-1"])])
def test_a_fault_kills_a_job_at_its_second_upload(
    platform: Platform, run_cloud: RunningCloud, when: str, written: list[str]
) -> None:
    credentials = AnonymousCredentials()
    client = storage.Client(PROJECT, credentials, client_options={"api_endpoint": run_cloud.url})
    bucket = client.create_bucket(f"killed-{when}-{uuid.uuid4().hex[:6]}")
    policy = bucket.get_iam_policy()
    policy.bindings.append({"role": "roles/storage.objectUser", "members": {f"serviceAccount:{ACCOUNT_EMAIL}"}})
    bucket.set_iam_policy(policy)
    code = UPLOADS.replace("PACKAGES", repr(sys.path)).replace("BUCKET", repr(bucket.name))
    job = platform.job(max_retries=1, timeout_seconds=120)
    rule = Rule(action="kill", when=when, nth=2, method="objects.insert", job=job.name.rpartition("/")[2])
    with FaultRules(run_cloud.url).during(rule):
        bucket.blob("by hand").upload_from_string("the owner is no job")
        execution = platform.ended(platform.start(job, code))
    again = ["1-0", "1-1", "1-2"]
    assert [blob.name for blob in bucket.list_blobs()] == [*written, *again, "by hand"]
    assert (execution.succeeded_count, execution.retried_count) == (1, 1)
    text = platform.text(execution.name)
    assert any("was ended by SIGKILL" in line for line in text)
    assert text.count("wrote 1") == 1, "the killed attempt must not go on after the request that killed it"
    assert not [p for p in psutil.process_iter(["environ"]) if execution.name.rpartition("/")[2] in str(p.info)]


def test_jobs_cannot_set_faults(platform: Platform) -> None:
    code = """
import json, os, urllib.error, urllib.request
address = f"http://{os.environ['GCE_METADATA_HOST']}/computeMetadata/v1/instance/service-accounts/default/token"
token = json.load(urllib.request.urlopen(address))["access_token"]
faults = os.environ["STORAGE_ENDPOINT"] + "/local/v1/faults"
request = urllib.request.Request(faults, method="DELETE", headers={"Authorization": "Bearer " + token})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print("answer", error.code)
"""
    execution = platform.run(code)
    assert "answer 403" in platform.text(execution.name)
