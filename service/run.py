"""One run: a training or an application for one run date, from its start to its receipt.

Does not own the work (`training.py`, `application.py`) or what a receipt looks like (`receipt.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from service import receipt, upstream
from service.clients import Clients, account
from service.errors import BadData, BadUsage, ServiceError, UpstreamFailed
from service.logs import event, log, step
from service.receipt import Facts, Status
from service.settings import Settings
from service.spec import ActionSpec, ModelSpec

LAST_WORDS = "Well done."
STATUS_WORDS = {"succeeded": "has succeeded", "superseded": "was superseded"}
ERRORS: dict[int, type[ServiceError]] = {kind.exit_code: kind for kind in (BadUsage, BadData)}  # the final ones


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is being done, with what, and what is known of it so far (`facts`)."""

    settings: Settings
    spec: ModelSpec
    action: ActionSpec
    run_date: date
    clients: Clients
    folder: Path  # scratch space that ends with the run
    force_reason: str | None = None  # why the gate's judgement is overruled, if it is
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    facts: Facts = field(default_factory=Facts)

    @property
    def id(self) -> str:
        """The run's id, the same for all its executions."""
        return self.settings.run_id(self.action.name, self.run_date)

    @property
    def attempt(self) -> str:
        """A name for this attempt that no other has: what an attempt makes, it makes under this name."""
        settings = self.settings
        task = f"-task{settings.task_index}" if settings.task_count > 1 else ""
        return f"{settings.execution}{task}-{settings.attempt}" if settings.attempt else f"{settings.execution}{task}"

    @property
    def names(self) -> dict[str, str]:
        """What the texts about Google's errors may name (`upstream.py`)."""
        again = f"python -m service {'train' if self.action.name == 'training' else 'apply'} --run-date {self.run_date}"
        return self.settings.names | {"account": account(self.clients.bigquery), "again": again}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of log lines and of BigQuery jobs."""
        return self.settings.labels(self.action.name, self.run_date)


def perform(run: Run, work: Callable[[Run], Status | None]) -> None:
    """Do the work once, write the receipt last, and say "Well done." only after it.

    A repeated attempt of an execution that left a receipt does nothing and ends as that receipt says. Of the tasks that
    share an execution one writes the receipt and says so; the others say that their part is done.

    Args:
        work: answers None when it is done and the receipt is another task's.

    Raises:
        ServiceError: the run failed; a receipt says so, unless the platform will try again.
    """
    status = _earlier_status(run)
    if status is None:
        event(f"The {run.action.name} of {run.spec.name} for {run.run_date} begins.", execution=run.settings.execution)
        status = _attempt(run, work)
        if status is not None:
            receipt.derive_table(run.clients.bigquery, run.settings, run.labels)
            text = f"The receipt says that the run {STATUS_WORDS[status]}. {run.facts.message or ''}"
            step("receipt", text.strip(), status=status)
    if status == "succeeded":
        event(LAST_WORDS, run_id=run.id)


def _attempt(run: Run, work: Callable[[Run], Status | None]) -> Status | None:
    try:
        status = work(run)
        if status is not None and not _recorded(run, status):
            return None
    except Exception as error:
        fault = upstream.translated(error, run.names)
        _record_failure(run, error, fault)
        if fault is None or fault is error:
            raise
        raise fault from error
    return status


def _recorded(run: Run, status: Status) -> bool:
    """Write the receipt, unless another task, or an attempt beside this one, has told of the same delivery.

    Raises:
        UpstreamFailed: there is one that tells of something else.
    """
    try:
        receipt.write(run.clients.runs, _receipt(run, status, message=None))
    except UpstreamFailed:
        other = receipt.read(run.clients.runs, run.action.name, run.id, run.settings.execution)
        told = other and (other["status"], other["load_job"])
        if run.settings.task_count == 1 or told != (status, run.facts.load_job):
            raise
        event(f"Task {other and other['task']} has delivered the same parts.", load_job=run.facts.load_job)
        return False
    return True


def _earlier_status(run: Run) -> Status | None:
    """How an earlier attempt of this execution ended for good, or None.

    Of several tasks, the status of one that delivered is that task's alone; the others do what is left of their own.

    Raises:
        BadUsage, BadData: it failed in a way that repeating does not change.
    """
    if run.settings.attempt == 0:
        return None
    earlier = receipt.read(run.clients.runs, run.action.name, run.id, run.settings.execution)
    if earlier is None:
        return None
    kind = ERRORS.get(earlier.get("exit_code", 0))
    if kind is not None:
        what = f"An earlier attempt of execution '{run.settings.execution}' failed for good: {earlier['message']}"
        raise kind(what, "Start a new execution once that is corrected.")
    status: Status = earlier["status"]
    mine = run.settings.task_count == 1 or earlier["task"] == run.settings.task_index
    return None if status == "failed" or not mine else status


def _record_failure(run: Run, error: Exception, fault: ServiceError | None) -> None:
    code = fault.exit_code if fault else 1
    final = code in ERRORS
    if not (final or run.settings.by_hand or run.settings.attempt >= run.action.max_retries):
        return  # the platform tries again under the same execution, whose one receipt is still to come
    message = str(fault) if fault else f"{type(error).__name__}: {error}"
    try:
        receipt.write(run.clients.runs, _receipt(run, "failed", message=message, exit_code=code))
        if final:  # otherwise an upstream is in trouble, and the next run mends the table
            receipt.derive_table(run.clients.bigquery, run.settings, run.labels)
    except (UpstreamFailed, *upstream.FAILURES) as second:
        # The first failure is what people need to read; it is raised by the caller.
        log.warning("The receipt of the failure could not be written: %s", second)


def _receipt(run: Run, status: Status, *, message: str | None, exit_code: int = 0) -> receipt.Receipt:
    settings = run.settings
    return receipt.Receipt(
        run_id=run.id,
        execution=settings.execution,
        model=run.spec.name,
        action=run.action.name,
        run_date=run.run_date.isoformat(),
        status=status,
        started_at=run.started_at,
        ended_at=datetime.now(UTC),
        code_commit=settings.code_commit,
        image_digest=settings.image_digest,
        airflow_run_id=settings.airflow_run_id,
        airflow_dag_id=settings.airflow_dag_id,
        message=message or run.facts.message,
        exit_code=exit_code,
        facts=run.facts,
    )
