"""What a delivery is measured beside, same rows and same local cloud: the bare load, and the old recipe's way.

Both load into tables of their own. Does not own the delivery itself (delivery.py).
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
from google.cloud import bigquery, storage

SCHEMA = (
    "run_date:DATE,account:STRING,probability:FLOAT64,amount:FLOAT64,segment:INT64,"
    "model_version:STRING,run_id:STRING,predicted_at:TIMESTAMP"
)


@dataclass(frozen=True)
class Bare:
    """Seconds of an upload, and of a load job that replaces a partition by the file, nothing checked."""

    upload: float
    load: float

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.upload + self.load


def bare(bucket: storage.Bucket, warehouse: bigquery.Client, like: str, file: Path, run_date: str) -> Bare:
    """Upload a file and load it into a table with the schema and partitions of another."""
    pattern = warehouse.get_table(like)
    table = bigquery.Table(f"{like}_bare", schema=pattern.schema)
    table.time_partitioning = pattern.time_partitioning
    warehouse.create_table(table)
    started = time.monotonic()
    bucket.blob("bare.parquet").upload_from_filename(str(file))
    uploaded = time.monotonic()
    config = bigquery.LoadJobConfig(
        source_format="PARQUET",
        write_disposition="WRITE_TRUNCATE",
        create_disposition="CREATE_NEVER",
        schema=table.schema,
    )
    partition = f"{like}_bare${run_date.replace('-', '')}"
    job = warehouse.load_table_from_uri(f"gs://{bucket.name}/bare.parquet", partition, job_config=config)
    job.result()
    warehouse.delete_table(table)
    # By the job's own clock: the client's wait adds up to seconds, at random.
    return Bare(uploaded - started, (job.ended - job.created).total_seconds())


def old_way(cloud: dict[str, str], bucket: str, dataset: str, file: Path, folder: Path) -> float | None:
    """Seconds of copying the rows as CSV with the Cloud SDK and replacing a whole table by them; None without the SDK.

    The rows lie on disk as CSV already, because the recipe's model wrote them so.

    Raises:
        RuntimeError: a command failed; with its words.
    """
    if not (shutil.which("gcloud") and shutil.which("bq")):
        return None
    rows = folder / "predictions.csv"
    duckdb.execute(f"COPY (FROM read_parquet('{file}')) TO '{rows}' (FORMAT csv, HEADER true)")
    url, project = cloud["STORAGE_ENDPOINT"], cloud["GOOGLE_CLOUD_PROJECT"]
    env = os.environ | cloud
    env |= {
        "CLOUDSDK_CONFIG": str(folder / "sdk"),
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "none",
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/storage/v1/",
    }
    uri = f"gs://{bucket}/recipe.csv"
    load = ("load", "--replace", "--source_format=CSV", "--skip_leading_rows=1", f"{dataset}.recipe", uri, SCHEMA)
    started = time.monotonic()
    for command in (
        ("gcloud", "storage", "cp", str(rows), uri),
        ("bq", "--api", cloud["BIGQUERY_ENDPOINT"], "--project_id", project, *load),
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"`{' '.join(command[:3])}` ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]}"
            )
    seconds = time.monotonic() - started
    rows.unlink()
    return seconds
