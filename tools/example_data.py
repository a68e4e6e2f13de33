"""Loads the public CDNOW transactions as the source table of the example model, through the official BigQuery client.

They are a file of the installed package `lifetimes`, which is read as data and never imported. One row is one purchase:
2,357 customers who first bought in early 1997, followed to the end of June 1998. Does not own the dataset, which the
stack declares.
"""

import argparse
import csv
import io
import os
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import google.auth
import yaml
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from service import upstream

FILE = "CDNOW_sample.txt"
SCHEMA = (
    bigquery.SchemaField("customer_id", "STRING", "REQUIRED", description="Customer; text, with its leading zeros."),
    bigquery.SchemaField("purchased_on", "DATE", "REQUIRED", description="Day of the purchase."),
    bigquery.SchemaField("units", "INTEGER", description="CDs bought."),
    bigquery.SchemaField("amount", "NUMERIC", description="Price paid, in US dollars."),
)
EXAMPLE = "example: python tools/example_data.py --project my-project --dataset example_shop"
ROOT = Path(__file__).resolve().parent.parent
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
LOAD_SECONDS = 300
RETRY_SECONDS = 30  # the client's own 600 would let a person wait for a wrong endpoint


def main() -> int:
    """Read the file, load it in one job, and say how many rows arrived."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--project", help="project that holds the dataset and runs the job")
    where.add_argument("--stack", help="take the project from the file Pulumi.STACK.yaml")
    parser.add_argument("--dataset", default="example_shop", help="dataset, which must exist (default: %(default)s)")
    parser.add_argument("--table", default="transactions", help="table, made or replaced whole (default: %(default)s)")
    parser.add_argument("--location", help="location of the job (default: the dataset's)")
    given = parser.parse_args()
    project = given.project or (of_stack(given.stack) if given.stack else os.environ.get("GOOGLE_CLOUD_PROJECT"))
    if not project:
        tried = (
            "--project, --stack with gcp:project in Pulumi.STACK.yaml, then the environment name GOOGLE_CLOUD_PROJECT"
        )
        return refuse(f"No project. Tried: {tried}. Give one of them.", 2)
    table = f"{project}.{given.dataset}.{given.table}"
    try:
        rows = load(read_transactions(), table, given.location)
    except FileNotFoundError as error:
        return refuse(f"{error}. Install what requirements.txt lists: make setup.")
    except GoogleAuthError as error:
        return refuse(f"There are no Google credentials: {error} Run `gcloud auth application-default login`.")
    except (GoogleAPIError, OSError) as error:  # OSError: no connection, or no answer in time
        told = upstream.translated(error, {"project": project, "dataset": given.dataset}) or error
        return refuse(f"Table '{table}' was not loaded: {told} Check project, dataset, location and your role on it.")
    print(f"{rows} rows loaded into {table}")
    return 0


def of_stack(stack: str) -> str | None:
    """Project of a stack, when it has a file that names one."""
    path = ROOT / f"Pulumi.{stack}.yaml"
    values = yaml.safe_load(path.read_text()) if path.is_file() else {}
    project: str | None = values.get("config", {}).get("gcp:project")
    return project


def refuse(text: str, status: int = 4) -> int:
    """Say why nothing was loaded."""
    print(f"error: {text}", file=sys.stderr)
    return status


def read_transactions() -> bytes:
    """CSV with a header and the columns of SCHEMA, in the order of the file: by customer, then by day.

    Raises:
        FileNotFoundError: the package or its file is not installed.
    """
    try:
        found = [file for file in files("lifetimes") or [] if file.name == FILE]
    except PackageNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError(f"The package 'lifetimes' with its file '{FILE}' is not installed in '{sys.prefix}'")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([field.name for field in SCHEMA])
    for line in Path(str(found[0].locate())).read_text(encoding="ascii").splitlines():
        if line.strip():
            _, customer, day, units, amount = line.split()  # first comes the customer's number in the whole of CDNOW
            rows.writerow([customer.zfill(4), f"{day[:4]}-{day[4:6]}-{day[6:]}", units, amount])
    return text.getvalue().encode()


def load(transactions: bytes, table: str, location: str | None) -> int:
    """Replace the table's rows in one load job; a second call leaves the same table, a failure the old one."""
    # Said explicitly: a client left to itself would take endpoint and credentials from emulator variables.
    credentials, _ = google.auth.default(scopes=SCOPES)
    endpoint = os.environ.get("BIGQUERY_ENDPOINT") or "https://bigquery.googleapis.com"
    project, dataset, _ = table.split(".")
    client = bigquery.Client(project=project, credentials=credentials, client_options={"api_endpoint": endpoint})
    retry = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)
    location = location or client.get_dataset(f"{project}.{dataset}", retry=retry).location
    try:
        # A table that the stack declared keeps its descriptions, so that a refresh sees no difference.
        schema = client.get_table(table, retry=retry).schema
    except NotFound:
        schema = list(SCHEMA)
    config = bigquery.LoadJobConfig(
        schema=schema,
        source_format=bigquery.SourceFormat.CSV,
        skip_leading_rows=1,
        create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
    )
    file = io.BytesIO(transactions)
    job = client.load_table_from_file(file, table, location=location, job_config=config, timeout=LOAD_SECONDS)
    job.result(timeout=LOAD_SECONDS)
    return int(job.output_rows or 0)


if __name__ == "__main__":
    sys.exit(main())
