"""BigQuery jobs under ids of our own, so that a repeated request finds the job it made before.

Does not own what a job does. Once an id has run it never runs again: a second insert is answered 409.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.api_core.exceptions import BadRequest, Conflict, Forbidden, GoogleAPICallError, NotFound
from google.cloud import bigquery

from service import upstream
from service.errors import BadUsage, ServiceError, UpstreamFailed

Job = bigquery.QueryJob | bigquery.LoadJob | bigquery.CopyJob | bigquery.ExtractJob | bigquery.UnknownJob

# Reasons that stay the same when the job is repeated: https://cloud.google.com/bigquery/docs/error-messages
FINAL_REASONS = frozenset(
    {"accessDenied", "bytesBilledLimitExceeded", "invalid", "invalidQuery", "notFound", "resourcesExceeded"}
)
# A job's end is seen at most this part of its time late. The client's own wait begins with a second, and grows faster.
PAUSE_SHARE = 0.05
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0


@dataclass(frozen=True)
class JobFault:
    """Why a job failed, in BigQuery's words."""

    job_id: str
    reason: str
    message: str

    def as_error(self, what: str, to_do: str, names: Mapping[str, str]) -> ServiceError:
        """The error to raise: BadUsage when repeating cannot help, else UpstreamFailed.

        Args:
            to_do: unless the message is one of those that `remedies.py` knows.
            names: for the command that mends it.
        """
        text = f"{what}: {self.message} (job '{self.job_id}', {self.reason})."
        mended = upstream.remedy(self.message, names)
        if mended:
            text, to_do = f"{text} {mended[0]}.", mended[1]
        if self.reason in FINAL_REASONS:
            return BadUsage(text, to_do)
        return UpstreamFailed(text, to_do if mended else "Run the same command again; it starts a new job.")


def unique_id(readable: str, *told: object) -> str:
    """A job id that differs whenever what is told differs.

    Ids outlive stacks: where one was destroyed and made again, or two share a project, the same run of the same model
    may have been before, and its job would be taken for this one. So tell the buckets and files, too.
    """
    digits = hashlib.sha256(" ".join(str(part) for part in told).encode()).hexdigest()[:8]
    return f"{readable}-{digits}"


def run_to_end(
    client: bigquery.Client, job_id: str, insert: Callable[[], Job], *, timeout_seconds: float | None = None
) -> JobFault | None:
    """Start a job, or find it if it was started before; wait until it ends, and say why it failed, if it did.

    Args:
        insert: starts the job under `job_id`.
        timeout_seconds: how long to wait for its end; without it the job of Cloud Run sets the limit.

    Raises:
        TimeoutError: it still runs.
        GoogleAPICallError: its state could not be learnt; it may still run.
    """
    try:
        job = insert()
    except Conflict:
        job = client.get_job(job_id, location=client.location)
    except (BadRequest, Forbidden, NotFound) as error:
        return _refused(job_id, error)
    waited_from = time.monotonic()
    while not job.done():
        waited = time.monotonic() - waited_from
        if timeout_seconds and waited > timeout_seconds:
            raise TimeoutError(f"Job '{job_id}' still runs after {timeout_seconds} seconds")
        time.sleep(min(max(waited * PAUSE_SHARE, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
    fault = job.error_result
    return JobFault(job_id, fault.get("reason", "unknown"), fault.get("message", "")) if fault else None


def _refused(job_id: str, error: GoogleAPICallError) -> JobFault:
    """BigQuery looks at some faults, such as a query's syntax, before it makes the job."""
    reason = error.errors[0].get("reason", "") if error.errors else ""
    if reason not in FINAL_REASONS:
        raise error
    return JobFault(job_id, reason, str(error.message))
