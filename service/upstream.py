"""Which errors of Google's client libraries, or of the disk, mean that the platform failed, and the sentence to say.

Does not own retries: the clients retry what is safe to repeat, the job repeats the work.
"""

import errno
import os

import duckdb
import requests.exceptions
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from service.errors import ServiceError, UpstreamFailed

DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FULL = (*(os.strerror(number) for number in DISK), "max_temp_directory_size")

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
ROOM = "Raise resources.memory_gib in model.yaml: on Cloud Run files lie in memory. By hand, make room on the disk."
ABSENT = "Deploy the stack with `pulumi up`, or correct the name in the environment, then run it again."


def translated(error: Exception) -> ServiceError | None:
    """The error to show instead, which names the call; None when the error is not one of a service."""
    if isinstance(error, ServiceError):
        return error
    if is_full(error):
        return UpstreamFailed(f"There is no room on the disk for the files of this run: {error}", ROOM)
    if not isinstance(error, FAILURES):
        return None
    if isinstance(error, Forbidden | Unauthorized):
        return UpstreamFailed(f"Google Cloud refused a call: {error}", GRANT)
    if isinstance(error, NotFound):
        return UpstreamFailed(f"Google Cloud does not know what a call names: {error}", ABSENT)
    return UpstreamFailed(f"A call to Google Cloud failed: {error}", AGAIN)


def is_full(error: BaseException) -> bool:
    """Whether a disk is full: told by the system's number, by DuckDB in words."""
    if isinstance(error, OSError) and error.errno in DISK:
        return True
    return isinstance(error, duckdb.Error) and any(word in str(error) for word in FULL)
