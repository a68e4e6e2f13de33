"""Failures of a run as Airflow meets them: each a DAG of its own, whose job or cloud fails in one way.

Does not own Airflow or the judgement (tests/local/test_airflow.py).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from local.airflow_client import AirflowClient
from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from tests.orchestrated import MODEL, PARENT, PROJECT, Lab
from tests.waiting import until

TABLE = f"{PROJECT}.shore.{MODEL}"


@dataclass(frozen=True, kw_only=True)
class AirflowFailure:
    """One way to fail.

    Attributes:
        red_at: the task that fails first.
        cause, remedy: words in its log.
        verb: of the job's service (tests/orchestrated.py); `receipt` replaces fields of what it writes.
        rule: a fault of the local cloud, for calls of this job; "{job}" in its path stands for the job's name.
        deed: somebody else's, to the execution that runs.
    """

    name: str
    red_at: str
    cause: str
    remedy: str
    verb: str = "train"
    receipt: dict[str, Any] = field(default_factory=dict)
    rule: Rule | None = None
    deed: Callable[[Lab, str], object] | None = None
    timeout_seconds: int = 600
    dag: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Fate:
    """A DAG run that was started."""

    dag_id: str
    run_id: str
    job: str


DENIED = f"Permission 'run.jobs.runWithOverrides' denied on resource '{PARENT}/jobs/tide' (or resource may not exist)."
APPLICATION = {"action": "application", "table": TABLE, "args": ["apply"]}
AIRFLOW_FAILURES = [
    AirflowFailure(
        name="start_refused", red_at="start", cause="may not start job 'tide' with a run date of its own",
        remedy="Run `pulumi up --refresh`, then clear this task",
        rule=Rule(action="status", method="run.jobs.run", path="*{job}*", status=403, message=DENIED),
    ),
    AirflowFailure(
        name="vanished", red_at="wait", cause="is gone", remedy="Clear `start`", verb="sleep",
        rule=Rule(action="status", method="run.executions.get", path="*{job}*", status=404, message="not here"),
    ),
    AirflowFailure(
        name="cancelled", red_at="wait", cause="CANCELLED", remedy="Log: http", verb="sleep",
        deed=lambda lab, execution: lab.executions.cancel_execution(name=execution),
    ),
    AirflowFailure(
        name="timed_out", red_at="wait", cause="timeout of 1s was reached", remedy="Log: http", verb="sleep",
        timeout_seconds=1, dag={"task_timeout_seconds": 1},
    ),
    AirflowFailure(
        name="container_killed", red_at="wait", cause="SIGKILL", remedy="Log: http",
        rule=Rule(action="kill", method="objects.insert", job="{job}"),
    ),
    AirflowFailure(
        name="receipt_refused", red_at="wait", cause="left no receipt", remedy="Log: http",
        rule=Rule(action="status", method="objects.insert", job="{job}", status=403),
    ),
    AirflowFailure(
        name="data_refused", red_at="wait", cause="the input is stale", remedy="bring it up to date", verb="fail",
        receipt={"message": "the input is stale; bring it up to date"},
    ),
    AirflowFailure(
        name="late_attempt", red_at="check", cause="status is 'superseded'", remedy="start a new run",
        receipt={"status": "superseded", "message": "Superseded by delivery 2; start a new run"},
    ),
    AirflowFailure(
        name="receipt_of_another_run", red_at="check", cause="run_id is 'another'", remedy="start a new run",
        receipt={"run_id": "another"},
    ),
    AirflowFailure(
        name="receipt_of_another_execution", red_at="check", cause="execution is 'another'", remedy="start a new run",
        receipt={"execution": "another"},
    ),
    AirflowFailure(
        name="partition_changed", red_at="check", cause="has 2 rows, receipt", remedy="start a new run",
        receipt={"rows": 3}, dag=APPLICATION,
    ),
]  # fmt: skip


def begun(lab: Lab, client: AirflowClient, date: str) -> Iterator[dict[str, Fate]]:
    """Inject every failure and start its DAG; the faults end when the caller is done."""
    lab.table(date, date, dataset="shore")
    jobs = {f.name: lab.job(f.dag.get("action", "training"), timeout_seconds=f.timeout_seconds, **f.receipt)
            for f in AIRFLOW_FAILURES}  # fmt: skip
    dags = {f.name: lab.dag(f"bad_{f.name}", f.verb, jobs[f.name], **f.dag) for f in AIRFLOW_FAILURES}
    rules = FaultRules(lab.cloud.url)
    with ExitStack() as injected:
        for failure in AIRFLOW_FAILURES:
            if failure.rule:
                injected.enter_context(rules.during(_of_job(failure.rule, jobs[failure.name])))
        lab.upload_dags(*dags.values())
        ids = {dag["dag_id"] for dag in dags.values()}
        until(lambda: ids <= set(client.dag_ids()))
        for dag_id in ids:
            client.unpause(dag_id)
        fates = {
            name: Fate(dag["dag_id"], client.trigger(dag["dag_id"], date), jobs[name]) for name, dag in dags.items()
        }
        for failure in AIRFLOW_FAILURES:
            if failure.deed:
                failure.deed(lab, _execution_of(lab, jobs[failure.name]))
        yield fates


def _execution_of(lab: Lab, job: str) -> str:
    """The execution of a job, once it was started."""
    (execution,) = until(lambda: lab.executions_of(job))
    return str(execution.name)


def _of_job(rule: Rule, job: str) -> Rule:
    short = job.rpartition("/")[2]
    values = {**rule.__dict__, "path": rule.path.replace("{job}", short), "job": rule.job.replace("{job}", short)}
    return Rule(**values)
