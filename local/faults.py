"""Faults on request: makes the local cloud fail as a network, a service or a machine does, by rules.

Owns the rules that are set and what they do to a call. Does not own what a rule says (fault_rules.py) or how a task is
killed (execution.py). Rules live as long as the server: they are no state of the cloud.
"""

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from local.fault_rules import SPOILS, Rule
from local.iam.resources import object_name
from local.wire import OWN, Answer, Call, CloudError, Dropped, Method, Run

PATH = "/local/v1/faults"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What is known of callers that are tasks of Cloud Run jobs.

    Attributes:
        task_of: the task that an Authorization header names, or "".
        job_of: the name of the job that a task belongs to, or "".
        kill: ends a task by SIGKILL, and returns when it is dead.
    """

    task_of: Callable[[str | None], str]
    job_of: Callable[[str], str]
    kill: Callable[[str], None]


class _Armed:
    """A rule that is set, with its counts."""

    def __init__(self, id: int, rule: Rule) -> None:
        self.id, self.rule, self.seen, self.fired = str(id), rule, 0, 0

    def count(self) -> bool:
        """Count one matching call; whether it fails."""
        self.seen += 1
        fires = self.rule.fires(self.seen)
        self.fired += fires
        return fires

    def shown(self) -> dict[str, Any]:
        return {"id": self.id, "seen": self.seen, "fired": self.fired, "rule": asdict(self.rule)}


class Faults:
    """The rules of one local cloud.

    Args:
        jobs: knows which job calls.
        run: answers a call that meets no fault.
    """

    def __init__(self, jobs: Jobs, run: Run) -> None:
        self._jobs, self._run = jobs, run
        self._armed: list[_Armed] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.table: list[Method] = []  # of all services: a rule that can never fire is refused

    def methods(self) -> list[Method]:
        """The table of methods; no service of Google's, and for the owner alone."""
        rows = [("add", "POST", self._add), ("list", "GET", self._list), ("clear", "DELETE", self._clear)]
        return [Method(f"{OWN}faults.{name}", verb, PATH, handler) for name, verb, handler in rows]

    def close(self) -> None:
        """End all delays."""
        self._closing.set()

    def around(self, method: Method, call: Call) -> Answer:
        """Run a method, with the faults that are due.

        Raises:
            CloudError: the method's, or that of a fault.
            Dropped: the connection is to be cut.
        """
        due = self._due(method, call)
        if not due:
            return self._run(method, call)
        for rule in due:
            if rule.when == "before":
                call = _spoiled_call(rule, call) if rule.action in SPOILS else self._strike(rule, call)
        try:
            answer = self._run(method, call)
        except CloudError as error:
            answer = error.answer()
        for rule in due:
            if rule.when == "after" and rule.action in SPOILS:
                answer = _spoiled_answer(rule, answer)
            elif rule.when == "after":
                self._strike(rule, call)
        return answer

    def _due(self, method: Method, call: Call) -> list[Rule]:
        if not self._armed or method.own:
            return []
        paths, job = _paths(method, call), self._jobs.job_of(self._task_of(call))
        with self._lock:
            found = [a for a in self._armed if a.rule.is_about(method.name, call.verb) and a.rule.concerns(paths, job)]
            return [armed.rule for armed in found if armed.count()]

    def _strike(self, rule: Rule, call: Call) -> Call:
        if rule.action == "delay":
            self._closing.wait(rule.delay_seconds)
            return call
        if rule.action == "status":
            raise rule.error()
        if rule.action == "kill":
            self._jobs.kill(self._task_of(call))
        raise Dropped

    def _task_of(self, call: Call) -> str:
        return self._jobs.task_of(call.headers.get("authorization"))

    def _add(self, call: Call) -> Answer:
        _check_owner(call)
        body = call.json()
        if unknown := sorted(set(body) - {field.name for field in fields(Rule)}):
            raise CloudError(400, "invalid", f"A fault has no field {unknown[0]!r}")
        try:
            rule = Rule(**body)
        except (TypeError, ValueError) as error:
            raise CloudError(400, "invalid", str(error)) from error
        names = {method.name for method in self.table if not method.own}
        if not any(rule.is_about(method.name, method.verb) for method in self.table if method.name in names):
            wanted = f"method {rule.method!r} of service {rule.service!r}"
            raise CloudError(400, "invalid", f"There is no {wanted}; choose from {', '.join(sorted(names))}")
        with self._lock:
            armed = _Armed(next(self._ids), rule)
            self._armed.append(armed)
            return Answer(body=armed.shown())

    def _list(self, call: Call) -> Answer:
        _check_owner(call)
        with self._lock:
            return Answer(body={"faults": [armed.shown() for armed in self._armed]})

    def _clear(self, call: Call) -> Answer:
        _check_owner(call)
        wanted = call.query.get("id")
        with self._lock:
            gone = [armed for armed in self._armed if wanted in (None, armed.id)]
            if wanted and not gone:
                raise CloudError(404, "notFound", f"There is no fault {wanted!r}; see `python -m local fault list`")
            self._armed = [armed for armed in self._armed if armed not in gone]
            return Answer(body={"faults": [armed.shown() for armed in gone]})


def _check_owner(call: Call) -> None:
    if call.caller != "owner":
        raise CloudError(403, "forbidden", f"Only the owner of a local cloud sets faults, not {call.caller!r}")


def _paths(method: Method, call: Call) -> list[str]:
    """The path of a call; of an upload, which names its object elsewhere, also the path of that object."""
    paths = [unquote(call.path)]
    if method.name == "storage.objects.insert":
        with contextlib.suppress(CloudError):  # an upload without a name, which the method refuses
            paths.append(f"/storage/v1/b/{call.params['bucket']}/o/{object_name(call)}")
    return paths


def _spoiled_call(rule: Rule, call: Call) -> Call:
    raw = call.body.read()
    return replace(call, body=BytesIO(raw[: len(raw) // 2] if rule.action == "truncate" else _corrupted(raw)))


def _spoiled_answer(rule: Rule, answer: Answer) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = answer.body or b""
    if rule.action == "pend":
        if not isinstance(body, dict) or "jobReference" not in body:
            return answer
        return replace(answer, body=body | {"status": {"state": "PENDING"}})
    if isinstance(body, dict | list):
        body = json.dumps(body).encode()
        headers.setdefault("content-type", "application/json; charset=UTF-8")
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
        body = [body]
    half = int(headers.get("content-length", 0)) // 2
    spoiled = _corrupted_pieces(iter(body)) if rule.action == "corrupt" else _cut(iter(body), half)
    return replace(answer, body=spoiled, headers=headers)


def _corrupted(raw: bytes) -> bytes:
    """The same length, the byte in the middle turned around."""
    middle = len(raw) // 2
    return raw[:middle] + bytes(255 - byte for byte in raw[middle : middle + 1]) + raw[middle + 1 :]


def _corrupted_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield _corrupted(next(pieces, b""))
    yield from pieces


def _cut(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The first bytes, then the end of the connection."""
    for piece in pieces:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            break
    raise Dropped
