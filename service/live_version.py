"""What a person does to the live version: promote one by hand, or roll back. Neither builds or runs anything.

Does not own the history (`promotions.py`) or the limits' checks (`promotion_gate.py`).
"""

from datetime import date

from google.cloud.storage import Bucket

from service import promotion_gate, promotions, versions
from service.errors import BadUsage
from service.findings import judge
from service.promotions import Promotion
from service.spec import ModelSpec


def promote(
    bucket: Bucket,
    model: ModelSpec,
    version: str,
    *,
    effective_date: date | None,
    who: str,
    why: str,
    force_reason: str | None,
) -> Promotion:
    """Make a version live, if it passes its gate by the limits that model.yaml sets now.

    Safe to repeat: what is live already is not recorded again.

    Raises:
        BadData: the version is not whole, or the gate has findings that are not overruled.
        BadUsage: the version was trained for a day after the effective date.
    """
    manifest = versions.read(bucket, version)
    versions.verify(bucket, manifest)
    found = promotion_gate.examine(model.gates.promotion, manifest.metrics, manifest.evaluation)
    to_do = f"Train a better one, or: promote --version {version} --force --reason '...'."
    judge(found, f"version '{version}'", to_do, reason=force_reason)
    return _record(bucket, manifest, effective_date, who, force_reason or why)


def roll_back(bucket: Bucket, version: str | None, *, effective_date: date | None, who: str, why: str) -> Promotion:
    """Make an earlier version live again: the given one, or the one that the live version replaced.

    It holds from the live promotion's effective date on, so that run dates repeated since then use it, too.

    Raises:
        BadData: the version is not whole.
        BadUsage: there is no version to return to.
    """
    manifest = versions.read(bucket, version or promotions.before_live(promotions.history(bucket)))
    versions.verify(bucket, manifest)
    return _record(bucket, manifest, effective_date, who, why)


def _record(bucket: Bucket, manifest: versions.Manifest, effective_date: date | None, who: str, why: str) -> Promotion:
    trained_for = date.fromisoformat(manifest.run_date)
    if effective_date is None:
        live = promotions.live_on(promotions.history(bucket), date.max)
        effective_date = max(trained_for, date.fromisoformat(live.effective_date)) if live else trained_for
    if effective_date < trained_for:
        text = f"Version '{manifest.version}' was trained for {trained_for}, after the effective date {effective_date}"
        raise BadUsage(f"{text}: it knows what happened then.", f"Give {trained_for} or a later --effective-date.")
    return promotions.promote(bucket, manifest.version, effective_date=effective_date, who=who, why=why, again=True)
