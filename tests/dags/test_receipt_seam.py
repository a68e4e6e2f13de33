"""The receipt: the service writes it last, Airflow reads it to tell whether the run is done."""

from datetime import UTC, date, datetime

from prediction_tasks import Run

from service import receipt
from service.delivery import Plan
from service.settings import RUN_ID
from service.table import RUNS_SCHEMA

RUN = Run(model="tide_level", action="application", date="2011-03-01", airflow_run_id="manual__2011")
NOON = datetime(2011, 3, 1, 12, tzinfo=UTC)
WRITTEN = receipt.Receipt(
    run_id=RUN.id,
    execution="tide-level-x7k2p",
    model=RUN.model,
    action=RUN.action,
    run_date=RUN.date,
    status="succeeded",
    started_at=NOON,
    ended_at=NOON,
    code_commit="c",
    image_digest="sha256:d",
    airflow_run_id=RUN.airflow_run_id,
    message=None,
    exit_code=0,
    facts=receipt.Facts(rows=3, model_version="v"),
)


def test_airflow_looks_for_the_receipt_where_the_service_writes_it() -> None:
    execution = "projects/p/locations/l/jobs/j/executions/tide-level-x7k2p"
    assert RUN.receipt(execution) == WRITTEN.name


def test_the_run_id_that_airflow_makes_is_one_that_the_service_accepts() -> None:
    assert RUN_ID.fullmatch(RUN.id)


def test_every_field_that_airflow_reads_is_in_the_receipt() -> None:
    read = {"status", "run_id", "execution", "action", "model", "run_date", "model_version", "rows", "message"}
    assert read | {"load_job"} <= WRITTEN.document().keys()


def test_airflow_looks_for_the_plan_where_the_service_writes_it() -> None:
    assert RUN.plan == receipt.plan_name(date.fromisoformat(RUN.date))
    assert {"load_job", "run_id"} <= Plan.__dataclass_fields__.keys()


def test_the_runs_table_has_no_column_that_no_receipt_has() -> None:
    assert {column["name"] for column in RUNS_SCHEMA} <= WRITTEN.document().keys()
