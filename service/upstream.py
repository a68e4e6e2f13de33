"""Which errors of Google's client libraries mean that a service failed, and the sentence that says so.

Does not own retries: the clients retry what is safe to repeat, the job repeats the work.
"""

import requests.exceptions
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from service.errors import ServiceError, UpstreamFailed

FAILURES = (
    GoogleAPICallError,
    RetryError,
    GoogleAuthError,
    DataCorruption,
    InvalidResponse,
    requests.exceptions.RequestException,  # a refused connection is not a google.api_core exception
)
AGAIN = "If it does not pass by itself, look at the service's status page; then run the same command again."
GRANT = "Grant the identity of this run the role that the call needs (infra/ declares it), then run it again."
ABSENT = "Deploy the stack with `pulumi up`, or correct the name in the environment, then run it again."


def translated(error: Exception) -> ServiceError | None:
    """The error to show instead, which names the call; None when the error is not one of a service."""
    if isinstance(error, ServiceError):
        return error
    if not isinstance(error, FAILURES):
        return None
    if isinstance(error, Forbidden | Unauthorized):
        return UpstreamFailed(f"Google Cloud refused a call: {error}", GRANT)
    if isinstance(error, NotFound):
        return UpstreamFailed(f"Google Cloud does not know what a call names: {error}", ABSENT)
    return UpstreamFailed(f"A call to Google Cloud failed: {error}", AGAIN)
