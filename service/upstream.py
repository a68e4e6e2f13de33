"""Which errors of Google's client libraries, or of the disk, mean that the platform failed, and the sentence to say.

Does not own retries (the clients retry what is safe to repeat, the job repeats the work) or what mends a known error
(`remedies.py`).
"""

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import duckdb
import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from service import remedies
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

NOTHING: Mapping[str, str] = MappingProxyType({})


def translated(error: Exception, names: Mapping[str, str] = NOTHING) -> ServiceError | None:
    """The error to show instead, which names the call; None when the error is not one of a service.

    Args:
        names: what the caller knows, for the command that mends it: project, location, account, again, ...
    """
    if isinstance(error, ServiceError):
        return error
    if is_full(error):
        return UpstreamFailed(f"There is no room on the disk for the files of this run: {error}", ROOM)
    if not isinstance(error, FAILURES):
        return None
    said, metadata = _said(error)
    mended = remedy(said, metadata | dict(names))
    if mended:
        return UpstreamFailed(f"{mended[0]}: {said}", mended[1])
    if isinstance(error, Forbidden | Unauthorized):
        return UpstreamFailed(f"Google Cloud refused a call: {said}", GRANT)
    if isinstance(error, NotFound):
        return UpstreamFailed(f"Google Cloud does not know what a call names: {said}", ABSENT)
    return UpstreamFailed(f"A call to Google Cloud failed: {said}", AGAIN)


def remedy(said: str, names: Mapping[str, str] = NOTHING) -> tuple[str, str] | None:
    """What an error of Google's means and what to do about it, when `remedies.py` knows it."""
    known = remedies.mending(said, names)
    if known is None:
        return None
    if known.command is None:
        return known.means, f"Run `{names.get('again', 'the same command again')}`."
    return known.means, f"Run `{known.command}`, then repeat this."


def _said(error: Exception) -> tuple[str, dict[str, str]]:
    """An error in one line, and what Google's ErrorInfo names.

    The message of a failed upload or download is the whole body of the answer.
    """
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        text, metadata = _said(error.cause)
        return f"{error.message}, at last: {text}", metadata
    answer = getattr(error, "response", None)
    # A corrupted download was good as an answer, and its body is gone.
    if isinstance(error, DataCorruption) or not isinstance(answer, requests.Response):
        return str(error), {}
    body = _body(answer)
    asked = f"{answer.request.method} {answer.request.url}"
    text = f"{answer.status_code} {asked}: {body.get('message') or answer.text or answer.reason}"
    infos = [detail.get("metadata", {}) for detail in body.get("details", []) if isinstance(detail, dict)]
    metadata = {name: str(value) for info in infos for name, value in info.items()}
    if "consumer" in metadata:
        metadata["project"] = metadata.pop("consumer").removeprefix("projects/")
    return text, metadata


def _body(answer: requests.Response) -> dict[str, Any]:
    """The error of Google's JSON body, or nothing."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def is_full(error: BaseException) -> bool:
    """Whether a disk is full: told by the system's number, by DuckDB in words."""
    if isinstance(error, OSError) and error.errno in DISK:
        return True
    return isinstance(error, duckdb.Error) and any(word in str(error) for word in FULL)
