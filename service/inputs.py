"""The input of a run: fetched for the run date, checked, and written as the one file that the model reads.

Does not own what the model makes of it. No row passes through Python objects; what was read is fingerprinted.
"""

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.storage import Blob

from service import data_files, fingerprint, warehouse_jobs
from service.data_files import DataFiles
from service.errors import BadData, BadUsage
from service.logs import bytes_of, step
from service.placeholders import expanded
from service.run import Run


@dataclass(frozen=True, kw_only=True)
class PreparedInput:
    """What the model reads (`path`), and the files that it was made from."""

    path: Path
    files: DataFiles


def prepare(run: Run) -> PreparedInput:
    """Fetch, check and write the input, and record its rows and fingerprint in the run's facts.

    Raises:
        BadData: it is empty, stale, unreadable or absent.
        BadUsage: the SQL is refused.
    """
    wanted = run.action.input
    folder = run.folder / "input"
    folder.mkdir()
    if wanted.sql:
        files = _exported(run, wanted.sql, folder)
    elif wanted.uri:
        files = _downloaded(run, expanded(wanted.uri, {"run_date": str(run.run_date)}), folder)
    else:
        files = _of_path(run.spec.folder / str(wanted.file))
    with data_files.connect(run.folder) as connection:
        try:
            _inspect(run, connection, files)
            path = _written(connection, files, run.folder / f"data.{wanted.format}")
        except data_files.UNREADABLE as error:
            raise data_files.unreadable(files, error) from error
    rows, read = run.facts.input_rows, sum(bytes_of(path) for path in files.paths)
    step("input", f"The input has {rows} rows.", rows=rows, bytes=read, fingerprint=run.facts.input_fingerprint)
    return PreparedInput(path=path, files=files)


def _exported(run: Run, sql: str, folder: Path) -> DataFiles:
    """Run the model's SQL as an export to Parquet in the runs bucket, and fetch the files."""
    client = run.clients.bigquery
    query = (run.spec.folder / sql).read_text().strip().rstrip(";")
    config = bigquery.QueryJobConfig(
        query_parameters=[bigquery.ScalarQueryParameter("run_date", "DATE", run.run_date)],
        labels=run.labels,
        maximum_bytes_billed=run.spec.maximum_bytes_billed,
    )
    # Each attempt has its own job and files, so that one which was killed cannot mix its files into these.
    stem = f"input/{run.id}/{run.settings.execution}/{run.settings.attempt}-"
    uri = f"gs://{run.clients.runs.name}/{stem}*.parquet"
    # On one line, so that BigQuery's messages name the lines of the model's own file.
    text = f"EXPORT DATA OPTIONS (uri = '{uri}', format = 'PARQUET', overwrite = true) AS {query}\n"
    job_id = warehouse_jobs.unique_id(f"{run.id}-{run.attempt}-input", uri)

    def insert() -> bigquery.QueryJob:
        return client.query(text, job_config=config, job_id=job_id, location=client.location, job_retry=None)

    fault = warehouse_jobs.run_to_end(client, job_id, insert)
    if fault:
        raise fault.as_error(f"The SQL of '{sql}' failed", "Correct the SQL, model.yaml or the grants.", run.names)
    return _fetched(run, stem, folder)


def _fetched(run: Run, prefix: str, folder: Path) -> DataFiles:
    paths = []
    for blob in sorted(run.clients.runs.list_blobs(prefix=prefix), key=lambda blob: str(blob.name)):
        paths.append(folder / Path(blob.name).name)
        blob.download_to_filename(str(paths[-1]))
    if not paths:
        raise _empty(run)
    return DataFiles(tuple(paths), "parquet")


def _downloaded(run: Run, uri: str, folder: Path) -> DataFiles:
    path = folder / Path(uri).name
    try:
        Blob.from_uri(uri, client=run.clients.storage).download_to_filename(str(path))
    except NotFound as error:
        text = f"The input '{uri}' of '{run.spec.name}' for {run.run_date} does not exist."
        raise BadData(text, "Upload it, or correct `uri` in model.yaml.") from error
    return _of_path(path)


def _of_path(path: Path) -> DataFiles:
    if path.suffix not in (".csv", ".parquet"):
        raise BadUsage(f"The input '{path.name}' is neither .csv nor .parquet.", "Name it by what it holds.")
    return DataFiles((path,), path.suffix.lstrip("."))


def _inspect(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles) -> None:
    """Count, fingerprint and date the rows in one pass."""
    kinds = data_files.columns(connection, files)
    hashed = [(name, fingerprint.kind_of_duckdb(kind)) for name, kind in kinds.items()]
    fresh = run.action.input.fresh_within
    if fresh and fresh.column not in kinds:
        text = f"The input of '{run.spec.name}' has no column '{fresh.column}', by which its age is told."
        raise BadData(
            f"{text} It has {data_files.listed(list(kinds))}.", "Correct fresh_within in model.yaml or the SQL."
        )
    newest = f"max(TRY_CAST({data_files.name(fresh.column)} AS TIMESTAMP))::DATE" if fresh else "NULL"
    answer = connection.execute(fingerprint.duckdb_sql(hashed, files.relation(), also=newest)).fetchone()
    rows, first, second, last = answer or (0, 0, 0, None)
    run.facts.input_rows = rows
    run.facts.input_fingerprint = fingerprint.text(rows, first, second)
    if rows == 0:
        raise _empty(run)
    if fresh:
        _check_age(run, fresh.column, fresh.days, last)


def _check_age(run: Run, column: str, days: int, newest: date | None) -> None:
    oldest = run.run_date - timedelta(days=days)
    if newest is None or newest < oldest:
        text = f"The input of '{run.spec.name}' for {run.run_date} is stale: the newest '{column}' is '{newest}'"
        raise BadData(f"{text}, before {oldest}.", f"Bring {_source(run)} up to date, then run it again.")


def _empty(run: Run) -> BadData:
    return BadData(f"The input of '{run.spec.name}' for {run.run_date} is empty.", f"Check {_source(run)}.")


def _source(run: Run) -> str:
    wanted = run.action.input
    tables = f" and the tables it reads ({', '.join(run.action.reads)})" if run.action.reads else ""
    return f"'{wanted.sql or wanted.uri or wanted.file}'{tables}"


def _written(connection: duckdb.DuckDBPyConnection, files: DataFiles, path: Path) -> Path:
    """The model's own file; a file that has its form already is copied byte by byte."""
    if len(files.paths) == 1 and files.paths[0].suffix == path.suffix:
        shutil.copyfile(files.paths[0], path)
    else:
        data_files.copy(connection, data_files.select("*", files.relation()), path, path.suffix.lstrip("."))
    return path
