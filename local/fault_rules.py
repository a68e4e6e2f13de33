"""What a rule of a fault says: which calls fail, when, and how.

Does not own the rules that are set, or what they do to a call (faults.py).
"""

import random
from dataclasses import dataclass
from fnmatch import fnmatchcase

from local.wire import Answer, CloudError

ACTIONS = ("status", "delay", "drop", "truncate", "corrupt", "pend", "kill")
SPOILS = ("truncate", "corrupt", "pend")  # the actions on a body
WHEN = ("before", "after")
# The word a service sends with a status; the clients of Storage and BigQuery decide by it whether to try again.
REASONS = {
    400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 408: "requestTimeout", 409: "duplicate",
    412: "conditionNotMet", 429: "rateLimitExceeded", 500: "internalError", 502: "badGateway", 503: "backendError",
    504: "deadlineExceeded",
}  # fmt: skip


class RecordedError(CloudError):
    """An error whose body was recorded from the real service."""

    def __init__(self, status: int, recorded: str) -> None:
        super().__init__(status, "recorded", recorded)

    def answer(self) -> Answer:
        """The error as an answer: the very body."""
        kind = "application/json" if self.message.lstrip().startswith("{") else "text/html"
        return Answer(
            status=self.status, body=self.message.encode(), headers={"content-type": f"{kind}; charset=UTF-8"}
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One fault.

    Attributes:
        action: `status` answers an error; `delay` waits; `drop` cuts the connection; `truncate` and `corrupt` spoil the
            request's body (before) or the answer's (after); `pend` answers that a BigQuery job is still pending;
            `kill` ends the calling task by SIGKILL.
        service: a glob pattern: storage, bigquery, logging, run, metadata.
        method: a glob pattern of names as in the REST reference (`objects.insert`), or an HTTP verb (`POST`).
        path: a glob pattern of the decoded path; of an upload also of `/storage/v1/b/BUCKET/o/NAME`, what it writes.
        job: a glob pattern: only calls from tasks of these Cloud Run jobs; "" is anybody's, for a `kill` any job's.
        when: `before` the effect, which `status`, `drop` and `kill` then prevent, or `after` it. "" is before, but for
            what spoils a body it is after.
        nth: only this one of the matching calls, counted from 1; 0 is every one.
        times: so many calls from the nth on; 0 is one where `nth` is given, else all.
        chance: of each of these calls to fail; the same seed chooses the same calls again.
        status, reason, message: of the error; the reason has a default for each status.
        body: of the error, as recorded from the real service; it is answered as it is, JSON or not.
        delay_seconds: of a `delay`.
    """

    action: str
    service: str = "*"
    method: str = "*"
    path: str = "*"
    job: str = ""
    when: str = ""
    nth: int = 0
    times: int = 0
    chance: float = 1.0
    seed: int = 0
    status: int = 503
    reason: str = ""
    message: str = ""
    body: str = ""
    delay_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.when:
            object.__setattr__(self, "when", "after" if self.action in SPOILS else "before")
        checks = [
            (self.action in ACTIONS, f"action {self.action!r} is not one of {', '.join(ACTIONS)}"),
            (self.when in WHEN, f"when {self.when!r} is neither 'before' nor 'after'"),
            (self.nth >= 0, f"nth {self.nth!r} must be 1 or more"),
            (self.times >= 0, f"times {self.times!r} must be 1 or more"),
            (0 <= self.chance <= 1, f"chance {self.chance!r} must lie between 0 and 1"),
            (400 <= self.status <= 599, f"status {self.status!r} is no error; choose one from 400 to 599"),
            (not (self.body and (self.reason or self.message)), "a body holds its own reason and message"),
            (self.action != "pend" or self.when == "after", "only an answer can say that a job is pending"),
            (self.action != "delay" or self.delay_seconds > 0, "a delay must be above 0 seconds"),
        ]
        if wrong := [text for good, text in checks if not good]:
            raise ValueError(f"Fault refused: {'; '.join(wrong)}")

    def is_about(self, name: str, verb: str) -> bool:
        """Whether a method, by its full name and HTTP verb, is one of those that may fail."""
        service, _, short = name.partition(".")
        named = self.method == verb or fnmatchcase(short, self.method) or fnmatchcase(name, self.method)
        return named and fnmatchcase(service, self.service)

    def concerns(self, paths: list[str], job: str) -> bool:
        """Whether a call of such a method, about these paths and from a task of this job ("" is none), may fail."""
        if (self.job or self.action == "kill") and not (job and fnmatchcase(job, self.job or "*")):
            return False
        return any(fnmatchcase(path, self.path) for path in paths)

    def fires(self, number: int) -> bool:
        """Whether the matching call of this number fails."""
        first, times = self.nth or 1, self.times or (1 if self.nth else 0)
        within = first <= number and (not times or number < first + times)
        return within and random.Random(f"{self.seed}:{number}").random() < self.chance  # noqa: S311 - not a secret

    def error(self) -> CloudError:
        """The error of a `status` rule, in Google's shape."""
        if self.body:
            return RecordedError(self.status, self.body)
        reason = self.reason or REASONS.get(self.status, "backendError")
        return CloudError(self.status, reason, self.message or f"Fault set by a rule: {reason}")
