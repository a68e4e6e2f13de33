"""Which version is live, and how it came to be: the whole history in one object, changed only by compare-and-swap.

Because pointer and history are the same object, they cannot differ. Does not own versions (`versions.py`).
"""

import random
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from google.cloud.storage import Bucket

from service import objects
from service.errors import BadUsage, UpstreamFailed

OBJECT = "live.json"
TRIES = 24
PAUSE_SECONDS = 1.2  # Cloud Storage allows about one write a second to one object name


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A version became live for run dates from `effective_date` on. Dates and times as ISO texts."""

    effective_date: str
    recorded_time: str
    who: str
    from_version: str | None
    to_version: str
    why: str

    def document(self) -> dict[str, Any]:
        """As it stands in the history, and as people read it."""
        names = {"from_version": "from", "to_version": "to"}
        return {names.get(key, key): value for key, value in self.__dict__.items()}


def history(bucket: Bucket) -> list[Promotion]:
    """All promotions, in the order in which they were recorded."""
    return _read(bucket)[0]


def live_on(promotions: list[Promotion], run_date: date) -> Promotion | None:
    """The last promotion that is in effect on a run date, or None.

    Ordered by effective date, then by record: a training done later for an earlier month does not displace the
    version of a later month.
    """
    in_effect = [(p.effective_date, at, p) for at, p in enumerate(promotions) if p.effective_date <= str(run_date)]
    return max(in_effect, key=lambda entry: entry[:2])[2] if in_effect else None


def before_live(promotions: list[Promotion]) -> str:
    """The version to roll back to: the one that the live version first replaced.

    Not the one that was live last: rolled back twice, that would be the version which was rolled back first.

    Raises:
        BadUsage: nothing is live, or nothing was before it.
    """
    live = live_on(promotions, date.max)
    if live is None:
        raise BadUsage("No version is live, so there is nothing to roll back.", "Train first.")
    first = next(p for p in promotions if p.to_version == live.to_version)
    if first.from_version is None:
        text = f"Version '{live.to_version}' is live, and none was before it."
        raise BadUsage(text, "Name a version with --to; `python -m service versions` lists them.")
    return first.from_version


def promote(
    bucket: Bucket, version: str, *, effective_date: date, who: str, why: str, again: bool = False
) -> Promotion:
    """Record that a version is live from a date on.

    Safe to repeat: what is live already is not recorded again. A failure leaves the history as it was.

    Args:
        again: whether a version that was live from this date and was displaced since is to be live again. A person may
            want that; a training that is repeated, or wakes up late, must not undo a rollback.

    Raises:
        UpstreamFailed: other promotions got in between too often.
    """
    for tried in range(TRIES):
        promotions, generation = _read(bucket)
        of_date = [p for p in promotions if p.effective_date == str(effective_date)]
        for earlier in of_date[-1:] if again else of_date:
            if earlier.to_version == version:
                return earlier
        before = live_on(promotions, effective_date)
        made = Promotion(
            effective_date=str(effective_date),
            recorded_time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            who=who,
            from_version=before.to_version if before else None,
            to_version=version,
            why=why,
        )
        document = {"promotions": [p.document() for p in (*promotions, made)]}
        if objects.swap_json(bucket, OBJECT, document, generation=generation):
            return made
        # Not waiting for something to happen: several writers step out of each other's way.
        time.sleep(random.uniform(0, PAUSE_SECONDS * min(tried + 1, 4)))  # noqa: S311 - no secret
    text = f"'gs://{bucket.name}/{OBJECT}' was changed by others {TRIES} times in a row."
    raise UpstreamFailed(text, "See who promotes versions of this model at the same time, then run it again.")


def _read(bucket: Bucket) -> tuple[list[Promotion], int]:
    document, generation = objects.read_json(bucket, OBJECT)
    return [_promotion(entry) for entry in (document or {"promotions": []})["promotions"]], generation


def _promotion(entry: dict[str, Any]) -> Promotion:
    return Promotion(**{{"from": "from_version", "to": "to_version"}.get(key, key): entry[key] for key in entry})
