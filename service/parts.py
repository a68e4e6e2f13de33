"""What the tasks of one execution agree on, and the part of the predictions that each has made.

Everything lies under the execution's own name in the runs bucket and is created once: the first task writes how the
work is split, and the others adopt it; a part counts when its manifest is there, whichever attempt wrote it. Nothing of
another execution is ever read. Does not own the work (`tasks.py`) or the delivery (`delivery.py`).
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from service import objects
from service.errors import BadUsage
from service.key_digest import KeyDigest
from service.run import Run


@dataclass(frozen=True, kw_only=True)
class Split:
    """What all tasks of an execution take for granted; written by the first."""

    tasks: int
    model_version: str
    input_generation: int | None  # of a file in a bucket, so that all read the same
    started_at: str
    predicted_at: str  # the same for all rows, as if one process had made them


@dataclass(frozen=True, kw_only=True)
class Part:
    """The predictions of one task: a file in the table's form, and what the whole needs to know of it.

    `uri` is None where no key fell to the task. `due` digests the keys of its share of the input.
    """

    task: int
    uri: str | None = None
    generation: int | None = None
    rows: int = 0
    fingerprint: str = "0-0-0"
    due: KeyDigest = field(default_factory=KeyDigest)
    input_rows: int = 0
    input_fingerprint: str = "0-0-0"
    metrics: dict[str, Any] = field(default_factory=dict)
    environment_fingerprint: str | None = None
    forced: str | None = None


def folder(run: Run) -> str:
    """Where the parts of an execution lie."""
    return f"output/{run.id}/{run.settings.execution}/"


def agreed(run: Run) -> Split | None:
    """What was agreed on, None when this is the first task.

    Raises:
        BadUsage: the execution was split into another number of tasks.
    """
    document, _ = objects.read_json(run.clients.runs, f"{folder(run)}split.json")
    if document is None:
        return None
    split = Split(**document)
    if split.tasks != run.settings.task_count:
        text = f"Execution '{run.settings.execution}' was split into {split.tasks} tasks, and this is one of"
        raise BadUsage(f"{text} {run.settings.task_count}.", "Start a new execution.")
    return split


def agree(run: Run, model_version: str, input_generation: int | None) -> Split:
    """Propose how to split, and return what counts: another task may have been first."""
    split = Split(
        tasks=run.settings.task_count,
        model_version=model_version,
        input_generation=input_generation,
        started_at=f"{run.started_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        predicted_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    )
    objects.swap_json(run.clients.runs, f"{folder(run)}split.json", asdict(split), generation=objects.ABSENT)
    return agreed(run) or split


def record(run: Run, part: Part) -> Part:
    """Create the manifest of a part, and return the one that counts: an earlier attempt's, if it woke late."""
    objects.swap_json(run.clients.runs, _name(run, part.task), asdict(part), generation=objects.ABSENT)
    return read(run, part.task) or part


def read(run: Run, task: int) -> Part | None:
    """The part of a task, None while it has not finished.

    Raises:
        BadData: the manifest is not what the service writes.
    """
    document, _ = objects.read_json(run.clients.runs, _name(run, task))
    if document is None:
        return None
    try:
        return Part(**document | {"due": KeyDigest(**document["due"])})
    except (KeyError, TypeError) as error:
        raise objects.unfit(run.clients.runs, _name(run, task), f"is not a part: {error}") from error


def finished(run: Run) -> list[Part]:
    """The parts that are there, in the order of their tasks."""
    names = {str(blob.name) for blob in run.clients.runs.list_blobs(prefix=f"{folder(run)}part-")}
    found = (read(run, task) for task in range(run.settings.task_count) if _name(run, task) in names)
    return [part for part in found if part is not None]


def _name(run: Run, task: int) -> str:
    return f"{folder(run)}part-{task}.json"
