"""Files of predictions on their way into the runs bucket."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from duckdb.sqltypes import BIGINT
from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket

from service import data_files, objects, predictions, staging
from service.data_files import DataFiles
from service.predictions import Content
from service.run import Run
from tests.service.deployments import Deployment

DAY = date(2024, 5, 1)


def prepared(deployment: Deployment, folder: Path, rows: int) -> tuple[Run, Content]:
    """A run with predictions in the table's form."""
    run = deployment.run(folder / "run", "application", DAY)
    run.facts.model_version = "v1"
    path = run.folder / "made.parquet"
    sql = f"SELECT 'a' || range AS \"{deployment.key}\", range / 7 AS level FROM range({rows})"
    duckdb.sql(sql).write_parquet(str(path))
    with data_files.connect(run.folder) as connection:
        return run, predictions.write(run, connection, DataFiles((path,), "parquet"), datetime.now(UTC))


def test_a_staged_file_is_in_the_bucket_with_what_it_holds(deployment: Deployment, tmp_path: Path) -> None:
    run, content = prepared(deployment, tmp_path, 3)
    staged = staging.stage(run, content, "output/file.parquet")
    blob = run.clients.runs.get_blob("output/file.parquet", generation=staged.generation)
    assert blob is not None
    assert blob.download_as_bytes() == content.path.read_bytes()
    with data_files.connect(run.folder) as connection:
        assert (staged.rows, staged.fingerprint) == predictions.fingerprinted(run, connection, content)
    assert (staged.uri, staged.rows) == (f"gs://{run.clients.runs.name}/output/file.parquet", 3)


def test_an_upload_that_fails_gives_the_fingerprint_up(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that is told to stop would first finish work that nobody wants. Here the work has no end."""
    run, content = prepared(deployment, tmp_path, 3)
    run.clients.runs.blob("output/file.parquet").upload_from_string("another's")
    begun, given_up = threading.Event(), list[duckdb.Error]()
    create_file = objects.create_file

    def sign(number: int) -> int:
        begun.set()
        return number

    def endless(_: Run, connection: duckdb.DuckDBPyConnection, __: Content) -> tuple[int, str]:
        connection.create_function("sign_of_life", sign, [BIGINT], BIGINT)
        try:
            connection.execute(f"SELECT max(sign_of_life(range)) FROM range({10**15})")
        except duckdb.InterruptException as error:
            given_up.append(error)
            raise
        return 0, ""

    def refused(bucket: Bucket, name: str, path: Path) -> int:
        assert begun.wait(60)
        return create_file(bucket, name, path)

    monkeypatch.setattr(predictions, "fingerprinted", endless)
    monkeypatch.setattr(objects, "create_file", refused)
    with pytest.raises(PreconditionFailed):
        staging.stage(run, content, "output/file.parquet")
    assert len(given_up) == 1
