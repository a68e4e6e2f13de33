"""Google's clients as a task makes them, and their errors as it tells them: a known one with what mends it.

Does not own the table of errors (remedies.py, which the service uses, too) or what the tasks do (prediction_tasks.py).
Google's packages are imported in the functions, because a DAG file is parsed every few seconds.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from google.cloud.run_v2 import ExecutionsClient, JobsClient

    import remedies
else:
    # By its place, as predictions.py loads prediction_tasks.py: each stack has a release of its own.
    _spec = importlib.util.spec_from_file_location(f"{__name__}_remedies", Path(__file__).with_name("remedies.py"))
    remedies = importlib.util.module_from_spec(_spec)
    sys.modules[_spec.name] = remedies
    _spec.loader.exec_module(remedies)


SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def run_clients() -> "tuple[JobsClient, ExecutionsClient]":
    """Clients of Cloud Run."""
    from google.cloud import run_v2

    options = client_options("RUN_ENDPOINT")
    del options["project"]
    # REST on Google Cloud, too: one way everywhere, and no gRPC threads in Airflow's forked task processes.
    return run_v2.JobsClient(transport="rest", **options), run_v2.ExecutionsClient(transport="rest", **options)


def client_options(endpoint: str) -> dict[str, Any]:
    """Arguments of a Google client: explicit credentials, and the endpoint that the environment names, if any."""
    import google.auth

    credentials, project = google.auth.default(scopes=SCOPES)
    url = os.environ.get(endpoint)  # unset on Google Cloud
    return {"credentials": credentials, "project": project, "client_options": {"api_endpoint": url} if url else None}


@contextmanager
def explained() -> Iterator[None]:
    """Tell what a known error of Google's means and what mends it; others pass as they are.

    Raises:
        AirflowFailException: only somebody's command mends it, so asking again is of no use.
        AirflowException: it may pass by itself; Airflow asks again.
    """
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, requests.RequestException) as error:
        known = remedies.mending(str(error), {"account": _account()})
        if known is None:
            raise
        kind = AirflowFailException if known.command else AirflowException
        raise kind(f"{known.means}: {error} {_to_do(known)}") from error


def advice(said: object, otherwise: str) -> str:
    """What an error means and what to do, when it is a known one; else what the caller would say."""
    known = remedies.mending(str(said), {"account": _account()})
    return f"{known.means}. {_to_do(known)}" if known else otherwise


def _to_do(known: "remedies.Mending") -> str:
    return f"Run `{known.command}`, then clear this task." if known.command else "If it lasts, clear this task later."


def _account() -> str:
    """Whose calls these are, as far as anybody knows."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    # A machine's own account is called "default" until it has got a token. This is about an error already: none of
    # its own may hide it.
    with suppress(GoogleAuthError):
        credentials, _ = google.auth.default(scopes=SCOPES)
        credentials.refresh(Request())
        return str(getattr(credentials, "service_account_email", "ACCOUNT"))
    return "ACCOUNT"
