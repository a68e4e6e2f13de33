"""The official Google clients, made once with explicit credentials and endpoints.

Does not own what is done with them. There is no other way to storage or warehouse in the service.
"""

from dataclasses import dataclass

import google.auth
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery, storage

from service.errors import BadUsage
from service.settings import Settings

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Said explicitly, because an endpoint or credentials left out are taken from emulator variables, and with
# STORAGE_EMULATOR_HOST set the storage client would then send no token at all.
STORAGE_ENDPOINT = "https://storage.googleapis.com"
BIGQUERY_ENDPOINT = "https://bigquery.googleapis.com"


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Clients of one process, and the two buckets of its model."""

    storage: storage.Client
    bigquery: bigquery.Client
    models: storage.Bucket
    runs: storage.Bucket


def connect(settings: Settings) -> Clients:
    """Make the clients; sends nothing but the search for credentials.

    Raises:
        BadUsage: this process has no Google credentials.
    """
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except DefaultCredentialsError as error:
        right = "Run `gcloud auth application-default login`, or set the variables that `python -m local env` prints."
        raise BadUsage(f"There are no Google credentials: {error}", right, where="environment") from error
    store = storage.Client(
        project=settings.project,
        credentials=credentials,
        client_options={"api_endpoint": settings.storage_endpoint or STORAGE_ENDPOINT},
    )
    warehouse = bigquery.Client(
        project=settings.project,
        credentials=credentials,
        location=settings.location,
        client_options={"api_endpoint": settings.bigquery_endpoint or BIGQUERY_ENDPOINT},
    )
    return Clients(
        storage=store,
        bigquery=warehouse,
        models=store.bucket(settings.models_bucket),
        runs=store.bucket(settings.runs_bucket),
    )


def account(client: bigquery.Client | storage.Client) -> str:
    """The e-mail that a client's calls carry, as far as its credentials know it; "ACCOUNT" when they do not."""
    # No public attribute leads to them. A machine's own account is called "default" until its first token came.
    email = getattr(client._credentials, "service_account_email", None)
    return "ACCOUNT" if email in (None, "default") else str(email)
