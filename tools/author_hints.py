"""What the author of a model is told to do about a traceback of the model's own.

Does not own what is tried (check_model.py). A hint is for the mistakes that are made most on the way into the contract.
"""

import json
import re
from collections.abc import Collection
from pathlib import Path

from service.errors import BadData

MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'")
KEY = re.compile(r"KeyError: '([^']+)'\s*$", re.MULTILINE)


def hinted(error: BadData, *, config: Path, name: str, columns: Collection[str]) -> BadData:
    """The same error, with what to do when that can be told from the model's last words.

    Args:
        config: the file that the model was given, `name` its own.
        columns: of the rows that it was given.
    """
    if found := MODULE.search(error.what):
        to_do = f"Write the package of '{found[1]}' into requirements.in, then `make lock`; or correct the import."
        return BadData(error.what, to_do, where=error.where)
    found = KEY.search(error.what)
    keys = json.loads(config.read_text()) if config.is_file() else {}
    if found and found[1] not in keys and found[1] not in columns:
        text = f"'{found[1]}' is neither a key of {name}, which has {sorted(keys)}, nor a column of the rows: "
        return BadData(error.what, f"{text}{sorted(columns)}. Correct the one that is meant.", where=error.where)
    return error
