"""How fast and how frugal the local cloud's Storage and BigQuery are, through the official clients.

Owns the data that is measured with. Does not own targets (figures.py).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
from google.cloud import bigquery, storage

from bench.ground import Cloud
from bench.machine import MEBIBYTE
from local.server import read_state

QUERIES, UPLOADS, WRITERS, INSERTS, LISTED = 30, 1000, 8, 25, 100_000
OBJECT_BYTES = 200 << 20


def load_seconds(cloud: Cloud, rows: int) -> float:
    """Seconds of one load job that reads Parquet from a bucket into a new table."""
    file, name = cloud.folder / f"{rows}.parquet", f"rows_{rows}"
    duckdb.execute(f"""COPY (SELECT i AS id, hash(i) / 18446744073709551615 AS share, 'customer ' || i % 1000 AS name,
        DATE '2024-01-01' + CAST(i % 365 AS INTEGER) AS day FROM range({rows}) AS r(i)) TO '{file}' (FORMAT parquet)""")  # noqa: S608
    bucket = cloud.storage.bucket("bench-loads")
    if not bucket.exists():
        bucket.create()
        cloud.warehouse.create_dataset("bench_loads")
    bucket.blob(file.name).upload_from_filename(str(file))
    file.unlink()
    started = time.perf_counter()
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    source = f"gs://{bucket.name}/{file.name}"
    job = cloud.warehouse.load_table_from_uri(source, f"bench_loads.{name}", job_config=config)
    job.result()
    seconds = time.perf_counter() - started
    if job.output_rows != rows:
        raise RuntimeError(f"The load wrote {job.output_rows} rows, not {rows}.")
    return seconds


def listed_per_second(cloud: Cloud) -> float:
    """Rows a second that the client lists of a table."""
    load_seconds(cloud, LISTED)
    started = time.perf_counter()
    found = sum(1 for _ in cloud.warehouse.list_rows(f"bench_loads.rows_{LISTED}"))
    if found != LISTED:
        raise RuntimeError(f"{found} rows were listed, not {LISTED}.")
    return found / (time.perf_counter() - started)


def query_milliseconds(client: bigquery.Client) -> list[float]:
    """Round trips of small queries."""
    taken = []
    for number in range(QUERIES):
        started = time.perf_counter()
        list(client.query_and_wait(f"SELECT {number}"))
        taken.append(1000 * (time.perf_counter() - started))
    return taken


def uploads_per_second(client: storage.Client, name: str) -> float:
    """Small uploads a second into a new bucket, by several threads."""
    bucket = client.create_bucket(name)
    started = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(lambda n: bucket.blob(f"{n}.txt").upload_from_string("small"), range(UPLOADS)))
    return UPLOADS / (time.perf_counter() - started)


def writes_per_second(cloud: Cloud) -> float:
    """Streaming inserts a second by several clients into one table; none may be lost."""
    cloud.warehouse.create_dataset("bench_writers")
    table = bigquery.Table(f"{cloud.warehouse.project}.bench_writers.t", schema=[bigquery.SchemaField("n", "INT64")])
    cloud.warehouse.create_table(table)

    def write(number: int) -> None:
        for step in range(INSERTS):
            if faults := cloud.warehouse.insert_rows_json(table, [{"n": number * INSERTS + step}]):
                raise RuntimeError(f"A row was refused: {faults}")

    started = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))
    seconds = time.perf_counter() - started
    kept = {row["n"] for row in cloud.warehouse.list_rows(table)}
    if len(kept) != WRITERS * INSERTS:
        raise RuntimeError(f"{len(kept)} rows were kept, not {WRITERS * INSERTS}.")
    return len(kept) / seconds


def object_up_and_down(cloud: Cloud) -> float:
    """Seconds for a large object, from a file and back into one."""
    file, back = cloud.folder / "large", cloud.folder / "large.back"
    with file.open("wb") as out:
        out.truncate(OBJECT_BYTES)
    blob = cloud.storage.create_bucket("bench-large").blob("large", chunk_size=8 << 20)
    started = time.perf_counter()
    blob.upload_from_filename(str(file))
    blob.download_to_filename(str(back))
    seconds = time.perf_counter() - started
    if back.stat().st_size != OBJECT_BYTES:
        raise RuntimeError(f"{back.stat().st_size} bytes came back, not {OBJECT_BYTES}.")
    file.unlink()
    back.unlink()
    return seconds


def peak_mib(cloud: Cloud, work: Callable[[], float]) -> tuple[float, float, float]:
    """What the server held at most during some work, what it held before, and what the work answers."""
    process = Path("/proc") / str(read_state(cloud.folder)["pid"])
    (process / "clear_refs").write_text("5")  # forgets the peak until now: proc(5)
    before = _kib(process, "VmRSS")
    answer = work()
    return _kib(process, "VmHWM") * 1024 / MEBIBYTE, before * 1024 / MEBIBYTE, answer


def _kib(process: Path, name: str) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
