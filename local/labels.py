"""The rules of Google Cloud for labels of resources.

https://cloud.google.com/resource-manager/docs/labels-overview#requirements
"""

import re
from collections.abc import Mapping
from typing import Any

MAXIMUM = 64
_TEXT = re.compile(r"[\w-]{0,63}")  # letters of every script


def fault(labels: Mapping[str, Any]) -> str:
    """What is wrong with labels, or ""."""
    if len(labels) > MAXIMUM:
        return f"{len(labels)} labels are more than {MAXIMUM}"
    for key, value in labels.items():
        if not _is_text(key) or not key[:1].isalpha():
            return f"{key!r} is no key of a label: at most 63 lower-case letters, digits, '_' and '-', first a letter"
        if not _is_text(value):
            return f"{value!r} is no value of label {key!r}: at most 63 lower-case letters, digits, '_' and '-'"
    return ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(_TEXT.fullmatch(value)) and value == value.lower()
