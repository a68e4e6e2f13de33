"""What a gate finds, and which findings a person may overrule with a reason.

Does not own the checks. Whoever forces a delivery answers for its values, never for its shape: what could not be told
apart from a mix-up of rows, or would not fit into the table, is refused whatever the reason.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from service import data_files
from service.errors import BadData
from service.logs import event, mark

# Rules about values and amounts. Not among them: keys, columns, types, and nulls where none may be.
JUDGED = frozenset(
    {"minimum", "maximum", "values", "not_finite", "null_share", "drift", "row_change", "metric", "against_live"}
)
ABOUT_COLUMNS = frozenset({"missing_column", "unknown_column"})  # their examples are names, which are no secret


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, in how many rows or columns, with a few examples."""

    rule: str
    column: str | None
    count: int
    examples: tuple[str, ...]
    message: str

    @property
    def may_be_forced(self) -> bool:
        """Whether a reason overrules it."""
        return self.rule in JUDGED

    def masked(self) -> "Finding":
        """The finding without values of rows: each example is replaced by its mark."""
        shown = data_files.listed(self.examples)
        if shown not in self.message or self.rule in ABOUT_COLUMNS:
            return self
        marks = tuple(mark(example) for example in self.examples)
        return replace(self, examples=marks, message=self.message.replace(shown, data_files.listed(marks)))

    def document(self) -> dict[str, Any]:
        """As it stands in a receipt."""
        return asdict(self) | {"examples": list(self.examples)}


def judge(findings: Sequence[Finding], what: str, to_do: str, *, reason: str | None) -> None:
    """Log what was found, and refuse unless a reason overrules all of it.

    Args:
        what: whom the gate refuses, as "'predictions.csv'".
        reason: why the findings are overruled, if they are.

    Raises:
        BadData: there are findings, and no reason or one that is not enough.
    """
    final = [finding for finding in findings if reason is None or not finding.may_be_forced]
    for finding in findings:
        severity = logging.ERROR if finding in final else logging.WARNING
        event(f"Gate: {finding.message}", severity, finding=finding.document(), forced=finding not in final)
    if final:
        despite = "" if reason is None else ", whatever the reason"
        raise BadData(f"The gate refused {what}{despite}: {' '.join(finding.message for finding in final)}", to_do)
    if findings:
        event(f"The gate was overruled: {reason}", logging.WARNING, reason=reason)
