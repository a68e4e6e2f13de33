"""Makes one DAG of each `*.dag.json` beside this file: start, wait, check, and a teardown that gives the verdict.

The JSON is written at deploy (infra/components/orchestration.py). Does not own what the tasks do (prediction_tasks.py).
"""

import importlib.util
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import available_timezones

from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

if TYPE_CHECKING:
    import prediction_tasks
else:
    # Not `import prediction_tasks`: Airflow has only the top DAG folder on its path, and each stack that shares the
    # environment has a folder, and perhaps a release, of its own.
    _spec = importlib.util.spec_from_file_location(f"{__name__}_tasks", Path(__file__).with_name("prediction_tasks.py"))
    prediction_tasks = importlib.util.module_from_spec(_spec)
    sys.modules[_spec.name] = prediction_tasks  # dataclasses look their module up there
    _spec.loader.exec_module(prediction_tasks)

log = logging.getLogger(__name__)

# What a task gets from the one before it: its value when the task runs, an XComArg while the DAG is built.
Upstream = Any

# A retry repeats a task's own calls, never the job's work: that has the job's own max_retries.
RETRIES = 3
RETRY_DELAY = timedelta(seconds=10)
# Of the tasks that only make calls. Not of `wait`: its limit is wait.timeout_seconds. And no dagrun_timeout anywhere:
# it skips the teardown, so that nothing would cancel the job.
CALLS_LIMIT = timedelta(minutes=10)
# What is called False makes a run for a tick that passed less than a tenth of the time between ticks ago.
AT_TICKS_ONLY = timedelta(0)
ZONES = available_timezones()  # once: looking takes 10 ms, and there may be many files


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Schedule(_Checked):
    """When a DAG is due; the time zone also decides which day a run is for."""

    cron: str
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in ZONES:  # Airflow would notice at the first run only
            raise ValueError(f"{name!r} is no time zone of the IANA database")
        return name


class Wait(_Checked):
    """How the sensor asks for the job's state."""

    mode: Literal["poke", "reschedule"]  # docs/decisions/0003-wait-pokes-and-the-teardown-judges.md
    interval_seconds: float = Field(gt=0)
    timeout_seconds: float = Field(gt=0)


class DagFile(_Checked):
    """One `*.dag.json`: a seam, so every key is required and no other is taken."""

    dag_id: str
    model: str
    action: Literal["training", "application"]
    owner: str
    tags: list[str]
    doc_md: str = Field(min_length=1)
    schedule: Schedule
    paused: bool
    job: str = Field(pattern=r"^projects/[^/]+/locations/[^/]+/jobs/[^/]+$")
    image_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    args: list[str] = Field(min_length=1)
    runs_bucket: str
    table: str | None = Field(pattern=r"^[^.]+\.[^.]+\.[^.]+$")  # null for training
    task_timeout_seconds: int = Field(gt=0)
    max_retries: int = Field(ge=0)
    wait: Wait

    @model_validator(mode="after")
    def _waits_long_enough(self) -> "DagFile":
        longest = self.task_timeout_seconds * (self.max_retries + 1)
        if self.wait.timeout_seconds <= longest:
            raise ValueError(
                f"wait.timeout_seconds is {self.wait.timeout_seconds:g}, but the job may take {longest} "
                "(task_timeout_seconds x (max_retries + 1)): healthy runs would be cancelled"
            )
        return self


def read(path: Path) -> DagFile:
    """Read and check one `*.dag.json`.

    Raises:
        ValueError: not JSON, a missing, unknown or wrong key; with the file, the key and what to do.
    """
    try:
        return DagFile.model_validate_json(path.read_text())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"DAG file {path.name!r}: {faults}. It is written by `pulumi up`: run that again.") from error


def build(file: DagFile) -> DAG:
    """The DAG of one file."""
    with DAG(
        dag_id=file.dag_id,
        schedule=CronTriggerTimetable(
            file.schedule.cron, timezone=file.schedule.timezone, run_immediately=AT_TICKS_ONLY
        ),
        start_date=None,  # a past one makes a run for the last due tick when a DAG is unpaused or its cron changes
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=file.paused,
        params={"run_date": Param(None, type=["null", "string"], format="date", description="Day to run for")},
        default_args={"owner": file.owner, "retries": RETRIES, "retry_delay": RETRY_DELAY},
        doc_md=file.doc_md,
        tags=file.tags,
        auto_register=False,  # else Airflow also takes one that fails below, and with it goes every DAG of this factory
    ) as dag:
        _add_tasks(file)
    # Airflow does this later, when a bad cron expression would hide every DAG of this factory.
    dag.validate()  # type: ignore[no-untyped-call] # Airflow gives it no types
    return dag


def _add_tasks(file: DagFile) -> None:
    @task(execution_timeout=CALLS_LIMIT)
    def start() -> str:
        return prediction_tasks.start(file.job, file.image_digest, file.args, _run(file))

    @task.sensor(mode=file.wait.mode, poke_interval=file.wait.interval_seconds, timeout=file.wait.timeout_seconds)
    def wait(execution: Upstream) -> bool:
        return prediction_tasks.has_succeeded(execution, file.runs_bucket, _run(file))

    @task(execution_timeout=CALLS_LIMIT)
    def check(execution: Upstream) -> dict[str, Any]:
        return prediction_tasks.check(execution, file.runs_bucket, file.table, _run(file))

    @task(execution_timeout=CALLS_LIMIT)
    def finish(execution: Upstream, verified: Upstream) -> None:
        prediction_tasks.finish(execution, verified, file.job, _run(file))

    execution = start()
    waited = wait(execution)
    verified = check(execution)
    verdict = finish(execution, verified)
    waited >> [verified, verdict]
    # No setups=: the teardown must run when `start` failed, too, because the job may run all the same.
    verdict.as_teardown(on_failure_fail_dagrun=True)


def _run(file: DagFile) -> prediction_tasks.Run:
    context = get_current_context()
    dag_run, param = context["dag_run"], context["params"]["run_date"]
    date = prediction_tasks.run_date(param, dag_run.logical_date, dag_run.run_after, file.schedule.timezone)
    return prediction_tasks.Run(file.model, file.action, date, dag_run.run_id, file.dag_id, dag_run.start_date)


for _path in sorted(Path(__file__).parent.glob("*.dag.json")):
    try:
        _dag = build(read(_path))
    except Exception:  # whatever is wrong with one file, the DAGs of the other models must stay
        log.exception("Left out %s", _path.name)
    else:
        globals()[_dag.dag_id] = _dag
