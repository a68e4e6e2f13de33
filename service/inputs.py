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

from service import data_files, fingerprint, key_digest, warehouse_jobs
from service.data_files import DataFiles
from service.errors import BadData, BadUsage, ServiceError
from service.key_digest import KeyDigest
from service.logs import bytes_of, step
from service.placeholders import expanded
from service.run import Run

SHARED_EXPORTS = 3  # by how many names tasks look for an export that did not fail


@dataclass(frozen=True, kw_only=True)
class PreparedInput:
    """What the model reads (`path`), and the files that it was made from."""

    path: Path
    files: DataFiles
    due: KeyDigest | None = None  # of its different keys; known for an application


def prepare(run: Run) -> PreparedInput:
    """Fetch, check and write the input, and record its rows and fingerprint in the run's facts.

    Raises:
        BadData: it is empty, stale, unreadable or absent.
        BadUsage: the SQL is refused.
    """
    files = _whole(run, None)
    with data_files.connect(run.folder) as connection:
        try:
            _inspect(run, connection, files)
            path = written(connection, files, run.folder / f"data.{run.action.input.format}")
            due = _due(run, connection, files)
        except data_files.UNREADABLE as error:
            raise data_files.unreadable(files, error) from error
    rows, read = run.facts.input_rows, sum(bytes_of(path) for path in files.paths)
    step("input", f"The input has {rows} rows.", rows=rows, bytes=read, fingerprint=run.facts.input_fingerprint)
    return PreparedInput(path=path, files=files, due=due)


def prepare_share(run: Run, generation: int | None) -> PreparedInput:
    """Fetch and check the input of all tasks, and write this task's share of it: the rows whose key falls to it.

    Rows and fingerprint in the run's facts are those of the share, which may be empty; age and emptiness are judged by
    the whole.

    Args:
        generation: of the object that all tasks read, where the input is one.

    Raises:
        BadData, BadUsage: as `prepare`.
    """
    files = _whole(run, generation)
    with data_files.connect(run.folder) as connection:
        try:
            _inspect(run, connection, files)
            total = run.facts.input_rows
            share = share_of(run, connection, files, run.settings.task_index, run.settings.task_count)
            if run.action.input.sql or run.action.input.uri:  # files of the image stay
                for path in files.paths:
                    path.unlink()
            _fingerprint(run, connection, share)
            path = written(connection, share, run.folder / f"data.{run.action.input.format}")
            due = _due(run, connection, share)
        except data_files.UNREADABLE as error:
            raise data_files.unreadable(files, error) from error
    rows = run.facts.input_rows
    step("input", f"{rows} of the input's {total} rows are this task's.", rows=rows, bytes=bytes_of(path))
    return PreparedInput(path=path, files=share, due=due)


def share_of(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles, task: int, tasks: int) -> DataFiles:
    """The rows whose key falls to a task, as a file: those of one key together, those without a key to the first.

    Raises:
        BadData: the input has no such column.
    """
    key = run.spec.entity_key
    kinds = data_files.columns(connection, files)
    if key not in kinds:
        text = f"The input of '{run.spec.name}' has no column '{key}', by which it is split among tasks."
        raise BadData(f"{text} It has {data_files.listed(list(kinds))}.", "Correct the input, or remove `tasks`.")
    hashed = f"coalesce(md5_number(CAST({data_files.name(key)} AS VARCHAR)) % {tasks}, 0)"
    path = run.folder / f"share-{task}.parquet"
    data_files.copy(connection, data_files.select("*", files.relation(), where=f"{hashed} = {task}"), path, "parquet")
    return DataFiles((path,), "parquet")


def generation(run: Run) -> int | None:
    """The generation of the input's object now, None where it is no object of a bucket.

    Raises:
        BadData: there is none.
    """
    if not run.action.input.uri:
        return None
    uri = expanded(run.action.input.uri, {"run_date": str(run.run_date)})
    blob = Blob.from_uri(uri, client=run.clients.storage)
    try:
        blob.reload()
    except NotFound as error:
        raise _absent(run, uri) from error
    return int(blob.generation)


def _whole(run: Run, generation: int | None) -> DataFiles:
    wanted = run.action.input
    folder = run.folder / "input"
    folder.mkdir()
    if wanted.sql:
        return _exported(run, wanted.sql, folder)
    if wanted.uri:
        return _downloaded(run, expanded(wanted.uri, {"run_date": str(run.run_date)}), folder, generation)
    return _of_path(run.spec.folder / str(wanted.file))


def _exported(run: Run, sql: str, folder: Path) -> DataFiles:
    """Run the model's SQL as an export to Parquet in the runs bucket, and fetch the files.

    Each attempt has its own job and files, so that one which was killed cannot mix its files into these. Tasks that
    share an execution share an export: the first of a few under names of their own that did not fail.
    """
    if run.settings.task_count == 1:
        names = [f"{run.settings.attempt}"]
    else:
        names = [f"shared-{number}" for number in range(SHARED_EXPORTS)]
    fault: ServiceError | None = None
    for name in names:
        stem = f"input/{run.id}/{run.settings.execution}/{name}-"
        fault = _export(run, sql, stem)
        if fault is None:
            return _fetched(run, stem, folder)
        if isinstance(fault, BadUsage):
            break
    raise fault or _empty(run)


def _export(run: Run, sql: str, stem: str) -> ServiceError | None:
    """Export to files under a stem, or see how the export under that stem has ended."""
    client = run.clients.bigquery
    query = (run.spec.folder / sql).read_text().strip().rstrip(";")
    config = bigquery.QueryJobConfig(
        query_parameters=[bigquery.ScalarQueryParameter("run_date", "DATE", run.run_date)],
        labels=run.labels,
        maximum_bytes_billed=run.spec.maximum_bytes_billed,
    )
    uri = f"gs://{run.clients.runs.name}/{stem}*.parquet"
    # On one line, so that BigQuery's messages name the lines of the model's own file.
    text = f"EXPORT DATA OPTIONS (uri = '{uri}', format = 'PARQUET', overwrite = true) AS {query}\n"
    shared = run.settings.execution if run.settings.task_count > 1 else run.attempt
    job_id = warehouse_jobs.unique_id(f"{run.id}-{shared}-input", uri)

    def insert() -> bigquery.QueryJob:
        return client.query(text, job_config=config, job_id=job_id, location=client.location, job_retry=None)

    fault = warehouse_jobs.run_to_end(client, job_id, insert)
    to_do = "Correct the SQL, model.yaml or the grants."
    return fault.as_error(f"The SQL of '{sql}' failed", to_do, run.names) if fault else None


def _fetched(run: Run, prefix: str, folder: Path) -> DataFiles:
    paths = []
    for blob in sorted(run.clients.runs.list_blobs(prefix=prefix), key=lambda blob: str(blob.name)):
        paths.append(folder / Path(blob.name).name)
        blob.download_to_filename(str(paths[-1]))
    if not paths:
        raise _empty(run)
    return DataFiles(tuple(paths), "parquet")


def _downloaded(run: Run, uri: str, folder: Path, generation: int | None) -> DataFiles:
    path = folder / Path(uri).name
    try:
        named = Blob.from_uri(uri, client=run.clients.storage)
        named.bucket.blob(named.name, generation=generation).download_to_filename(str(path))
    except NotFound as error:
        raise _absent(run, uri) from error
    return _of_path(path)


def _absent(run: Run, uri: str) -> BadData:
    text = f"The input '{uri}' of '{run.spec.name}' for {run.run_date} does not exist, or was replaced meanwhile."
    return BadData(text, "Upload it, or correct `uri` in model.yaml; then start a new run.")


def _of_path(path: Path) -> DataFiles:
    if path.suffix not in (".csv", ".parquet"):
        raise BadUsage(f"The input '{path.name}' is neither .csv nor .parquet.", "Name it by what it holds.")
    return DataFiles((path,), path.suffix.lstrip("."))


def _inspect(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles) -> None:
    """Count, fingerprint and date the rows in one pass."""
    kinds = data_files.columns(connection, files)
    fresh = run.action.input.fresh_within
    if fresh and fresh.column not in kinds:
        text = f"The input of '{run.spec.name}' has no column '{fresh.column}', by which its age is told."
        raise BadData(
            f"{text} It has {data_files.listed(list(kinds))}.", "Correct fresh_within in model.yaml or the SQL."
        )
    newest = f"max(TRY_CAST({data_files.name(fresh.column)} AS TIMESTAMP))::DATE" if fresh else "NULL"
    last = _fingerprint(run, connection, files, newest)
    if run.facts.input_rows == 0:
        raise _empty(run)
    if fresh:
        _check_age(run, fresh.column, fresh.days, last)


def _fingerprint(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles, also: str = "NULL") -> date | None:
    """Record rows and fingerprint in the run's facts; answers one more aggregate of the same pass."""
    kinds = data_files.columns(connection, files)
    hashed = [(name, fingerprint.kind_of_duckdb(kind)) for name, kind in kinds.items()]
    answer = connection.execute(fingerprint.duckdb_sql(hashed, files.relation(), also=also)).fetchone()
    rows, first, second, more = answer or (0, 0, 0, None)
    run.facts.input_rows, run.facts.input_fingerprint = rows, fingerprint.text(rows, first, second)
    return more  # type: ignore[no-any-return]  # a row of DuckDB has no types


def _due(run: Run, connection: duckdb.DuckDBPyConnection, files: DataFiles) -> KeyDigest | None:
    """The keys for which predictions are due; None where the input does not name them as the predictions do."""
    key = next(column for column in run.spec.columns if column.name == run.spec.entity_key)
    if run.action.name != "application" or key.name not in data_files.columns(connection, files):
        return None
    return key_digest.of_different(connection, files, key)


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


def written(connection: duckdb.DuckDBPyConnection, files: DataFiles, path: Path) -> Path:
    """Write the model's own file; a file that has its form already is copied byte by byte."""
    if len(files.paths) == 1 and files.paths[0].suffix == path.suffix:
        shutil.copyfile(files.paths[0], path)
    else:
        data_files.copy(connection, data_files.select("*", files.relation()), path, path.suffix.lstrip("."))
    return path
