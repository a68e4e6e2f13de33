"""Delivers predictions: replaces one partition of the table in one load job, whole or not at all.

Does not own the rows or their checks. Readers see the old partition or the new one, never a mix or a gap.

How it stays right when attempts die, hang or overlap: a delivery is planned before it is done, in one object for each
run date that is changed only by compare-and-swap. Plan n names its files and its load job; an id of a job runs at most
once. Whoever wants to plan n+1 first drives job n to its end, so job n cannot run after job n+1. An attempt that finds
a plan of an attempt that began after itself is late: it delivers nothing and is superseded. (Clocks decide only which
of two overlapping runs wins.)
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from service import fingerprint, objects, predictions, staging, warehouse_jobs
from service.errors import UpstreamFailed
from service.logs import bytes_of, event, step
from service.predictions import Content
from service.receipt import Status, plan_name
from service.run import Run
from service.table import prediction_schema
from service.warehouse_jobs import JobFault

PLANNED, DELIVERED = "planned", "delivered"
TRIES = 24  # with three at once nobody has needed more than four


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One delivery of a run date; `state` becomes "delivered" once the partition was seen to hold it."""

    sequence: int
    files: dict[str, int]  # the generation of each, by its address
    rows: int
    fingerprint: str
    load_job: str
    model_version: str
    run_id: str
    execution: str
    started_at: str
    state: str = PLANNED


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What is ready to be loaded: files in the bucket under names that nobody writes again, and what they hold."""

    files: dict[str, int]
    rows: int
    bytes: int
    fingerprint: str
    predicted_at: datetime
    started_at: str  # of the attempt, or of the execution whose tasks made it together


def deliver(run: Run, content: Content) -> Status:
    """Stage a file of predictions, then see `carry_out`."""
    return carry_out(run, stage(run, content))


def stage(run: Run, content: Content) -> Staged:
    """Bring the file to where it can be loaded from."""
    folder = run.settings.execution if run.settings.attempt == 0 else run.attempt
    file = staging.stage(run, content, f"output/{run.id}/{folder}/predictions.parquet")
    return Staged(
        files={file.uri: file.generation},
        rows=file.rows,
        bytes=bytes_of(content.path),
        fingerprint=file.fingerprint,
        predicted_at=content.predicted_at,
        started_at=f"{run.started_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    )


def carry_out(run: Run, staged: Staged) -> Status:
    """Put the predictions into the run date's partition, and see that they are there.

    Safe to repeat: the partition then holds the last delivery. After a failure it holds an earlier one, complete. Tasks
    of one execution that do this at once plan the same: the second takes the plan of the first for its own.

    Returns:
        succeeded, or superseded when a run that began later has delivered, or has planned to.

    Raises:
        UpstreamFailed: the load job failed, or the partition does not hold what was loaded.
        BadUsage: BigQuery refuses the load for a reason that stays.
    """
    for _ in range(TRIES):
        earlier, at = read_plan(run)
        if earlier is not None:
            fault = _drive(run, earlier) if earlier.state == PLANNED else None
            if fault is None and earlier.files == staged.files:
                plan = earlier
                break
            if fault is None and earlier.started_at > staged.started_at:
                return _superseded(run, earlier, staged)
        sequence = earlier.sequence + 1 if earlier else 1
        plan = _plan(run, staged, sequence)
        if objects.swap_json(run.clients.runs, plan_name(run.run_date), asdict(plan), generation=at):
            break
    else:
        text = f"'gs://{run.clients.runs.name}/{plan_name(run.run_date)}' was changed by others {TRIES} times in a row."
        raise UpstreamFailed(text, "See who else delivers this run date, then run the same command again.")
    run.facts.load_job = plan.load_job
    fault = _drive(run, plan)
    if fault is not None:
        raise fault.as_error(
            f"The load into '{_partition(run)}' failed", "Deploy the stack with `pulumi up`.", run.names
        )
    return _conclude(run, plan, staged)


def read_plan(run: Run) -> tuple[Plan | None, int]:
    """The last plan for the run date, and the generation of its object."""
    document, generation = objects.read_json(run.clients.runs, plan_name(run.run_date))
    try:
        return (Plan(**document) if document else None), generation
    except TypeError as error:
        raise objects.unfit(run.clients.runs, plan_name(run.run_date), f"is not a plan: {error}") from error


def _plan(run: Run, staged: Staged, sequence: int) -> Plan:
    readable = f"{run.spec.name}-delivery-{run.run_date}-{sequence}"
    return Plan(
        sequence=sequence,
        files=staged.files,
        rows=staged.rows,
        fingerprint=staged.fingerprint,
        load_job=warehouse_jobs.unique_id(readable, run.settings.table, *staged.files, *staged.files.values()),
        model_version=str(run.facts.model_version),
        run_id=run.id,
        execution=run.settings.execution,
        started_at=staged.started_at,
    )


def _drive(run: Run, plan: Plan) -> JobFault | None:
    """Bring a plan's load job to its end, whoever started it."""
    client = run.clients.bigquery
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[SchemaField.from_api_repr(field) for field in prediction_schema(run.spec)],
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,  # the table is the stack's
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,  # of the partition, because of its decorator
        labels=run.labels,
    )

    def insert() -> bigquery.LoadJob:
        return client.load_table_from_uri(
            list(plan.files), _partition(run), job_id=plan.load_job, location=client.location, job_config=config
        )

    return warehouse_jobs.run_to_end(client, plan.load_job, insert)


def _conclude(run: Run, plan: Plan, staged: Staged) -> Status:
    """See that the partition holds the plan's rows, and mark the plan as delivered."""
    found, own_rows = _found(run, staged)
    latest, at = read_plan(run)
    if latest is not None and latest.sequence != plan.sequence:
        return _superseded(run, latest, staged)
    if found != plan.fingerprint or own_rows != plan.rows:
        text = f"Partition '{_partition(run)}' does not hold what job '{plan.load_job}' loaded: its fingerprint is "
        text += f"'{found}', not '{plan.fingerprint}', and {own_rows} rows are of this run, not {plan.rows}."
        raise UpstreamFailed(text, "See who else writes to the table, then run the same command again.")
    delivered = replace(plan, state=DELIVERED)
    if not objects.swap_json(run.clients.runs, plan_name(run.run_date), asdict(delivered), generation=at):
        return _superseded(run, read_plan(run)[0] or plan, staged)
    run.facts.rows, run.facts.output_fingerprint = plan.rows, plan.fingerprint
    text = f"{plan.rows} predictions are in {_partition(run)}."
    step("delivery", text, rows=plan.rows, bytes=staged.bytes, load_job=plan.load_job)
    return "succeeded"


def _found(run: Run, staged: Staged) -> tuple[str, int]:
    """The fingerprint of the partition, and how many of its rows carry this run's id, version and time."""
    own = "COUNTIF(run_id = @run_id AND model_version = @model_version AND predicted_at = @predicted_at)"
    query = fingerprint.bigquery_sql(
        predictions.hashed(run), f"`{run.settings.table}`", where="run_date = @run_date", also=own
    )
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("run_date", "DATE", run.run_date),
            bigquery.ScalarQueryParameter("run_id", "STRING", run.id),
            bigquery.ScalarQueryParameter("model_version", "STRING", run.facts.model_version),
            bigquery.ScalarQueryParameter("predicted_at", "TIMESTAMP", staged.predicted_at),
        ],
        labels=run.labels,
        use_query_cache=False,
    )
    rows, first, second, own_rows = next(iter(run.clients.bigquery.query_and_wait(query, job_config=config)))
    return fingerprint.text(rows, first, second), own_rows


def _superseded(run: Run, by: Plan, staged: Staged) -> Status:
    text = f"Superseded by delivery {by.sequence} of run '{by.run_id}', execution '{by.execution}'."
    if by.started_at > f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}":
        text += f" By its clock it began at {by.started_at}, which is still to come. Set the clock right, delete"
        text += f" 'gs://{run.clients.runs.name}/{plan_name(run.run_date)}', then start a new run."
    elif by.started_at > staged.started_at:
        text += " It began later, and its predictions stand. If they are not to, start a new run."
    run.facts.message = text
    event(run.facts.message)
    return "superseded"


def _partition(run: Run) -> str:
    return f"{run.settings.table}${run.run_date:%Y%m%d}"
