"""The limits of the gates, as `gates` in model.yaml sets them, and the defaults of those it leaves out.

Does not own the checks: `gate.py` and `comparison.py` check a delivery, `promotion_gate.py` a version.

The defaults were chosen with the example on real CDNOW days, the first and the even days of August 1997 to June 1998,
each against the day before, with a new version a month. Measured afterwards on all days of these months: drift was at
most 0.0016 from day to day and 0.098 when the version changed, and the number of rows stayed. In the five months
before, when each adds much to what the model knows, it was at most 0.0034 from day to day, and on the first of March,
April, May, June and July 0.774, 0.299, 0.149, 0.038 and 0.237 (the greater of both columns): March and April are for
people to see. What 0.25 means is also the usual reading of the index.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.columns import NUMBERS, Column
from service.documents import located
from service.errors import BadUsage


@dataclass(frozen=True, kw_only=True)
class ColumnLimits:
    """Limits of one column, None where those of the delivery hold."""

    maximum_null_share: float | None = None
    maximum_drift: float | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryLimits:
    """What a delivery may be like, next to the partition of the latest earlier run date."""

    maximum_null_share: float = 0.1
    maximum_drift: float = 0.25  # the population stability index, see drift.py
    maximum_row_change: float = 0.2  # of the number of rows, as a share of the earlier one
    columns: Mapping[str, ColumnLimits] = field(default_factory=dict)

    def null_share(self, column: str) -> float:
        """The greatest share of rows without a value in a column."""
        own = self.columns.get(column, ColumnLimits()).maximum_null_share
        return self.maximum_null_share if own is None else own

    def drift(self, column: str) -> float:
        """The greatest drift of a column."""
        own = self.columns.get(column, ColumnLimits()).maximum_drift
        return self.maximum_drift if own is None else own


@dataclass(frozen=True, kw_only=True)
class MetricLimits:
    """What a metric of a new version may be; it must be there."""

    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, kw_only=True)
class AgainstLive:
    """The metric of the action `evaluation` in which a new version may not be worse than the live one.

    `tolerance` is the share of the live version's value by which it may be worse after all.
    """

    metric: str
    better: str  # "higher" or "lower"
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PromotionLimits:
    """What a new version must be like to go live."""

    metrics: Mapping[str, MetricLimits] = field(default_factory=dict)
    against_live: AgainstLive | None = None


@dataclass(frozen=True, kw_only=True)
class Gates:
    """All limits of a model."""

    delivery: DeliveryLimits = field(default_factory=DeliveryLimits)
    promotion: PromotionLimits = field(default_factory=PromotionLimits)


def read_gates(document: Mapping[str, Any]) -> Gates:
    """The limits of a model.yaml that its JSON Schema has accepted."""
    given = document.get("gates", {})
    delivery, promotion = dict(given.get("delivery", {})), given.get("promotion", {})
    columns = {name: ColumnLimits(**limits) for name, limits in delivery.pop("columns", {}).items()}
    against = promotion.get("against_live")
    return Gates(
        delivery=DeliveryLimits(**delivery, columns=columns),
        promotion=PromotionLimits(
            metrics={name: MetricLimits(**limits) for name, limits in promotion.get("metrics", {}).items()},
            against_live=AgainstLive(**against) if against else None,
        ),
    )


def gate_faults(document: Mapping[str, Any], columns: Sequence[Column], path: Path) -> Iterator[BadUsage]:
    """What the JSON Schema cannot see: limits for what is not there."""
    gates = document.get("gates", {})
    known = {column.name: column for column in columns}
    for name, limits in gates.get("delivery", {}).get("columns", {}).items():
        where = located(path, ("gates", "delivery", "columns", name))
        if name not in known or name == document["entity_key"]:
            text = f"'{name}' is not a column of predictions in schema.json."
            yield BadUsage(text, "Correct the name, or remove it.", where=where)
        elif "maximum_drift" in limits and known[name].type not in NUMBERS:
            text = f"Column '{name}' is '{known[name].type}', and drift is measured for numbers only."
            yield BadUsage(text, "Remove maximum_drift.", where=where)
    for name, limits in gates.get("promotion", {}).get("metrics", {}).items():
        if limits.get("minimum", float("-inf")) > limits.get("maximum", float("inf")):
            text = f"The minimum '{limits['minimum']}' of '{name}' is more than its maximum '{limits['maximum']}'."
            yield BadUsage(text, "Exchange them.", where=located(path, ("gates", "promotion", "metrics", name)))
    if "against_live" in gates.get("promotion", {}) and "evaluation" not in document:
        text = "Versions can be compared only if the model offers '--action evaluation'."
        right = "Add 'evaluation: {config: FILE.json}', or remove against_live."
        yield BadUsage(text, right, where=located(path, ("gates", "promotion", "against_live")))
