"""`${name}` in a model's configuration and in the address of its input.

Does not own which names there are. A name that we do not give stays as it is: it may be the model's own.
"""

import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def expanded(value: Any, given: Mapping[str, str]) -> Any:
    """A copy of a JSON value with the placeholders in all its texts replaced."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: given.get(match[1], match[0]), value)
    if isinstance(value, list):
        return [expanded(item, given) for item in value]
    if isinstance(value, dict):
        return {key: expanded(item, given) for key, item in value.items()}
    return value
