"""What the author of a model is told to do about a traceback of the model's own, or about its predictions.

Does not own what is tried (check_model.py). A hint is for the mistakes that are made most on the way into the contract.
"""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from service.errors import BadData
from service.findings import Finding
from tools.check_source import PLATFORM

MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'")
MOVED = re.compile(r"No such file or directory: '[^']*/version(?:-again)?(?:-kept|/)")
KEY = re.compile(r"KeyError: '([^']+)'\s*$", re.MULTILINE)


def hinted(error: BadData, *, config: Path, name: str, columns: Collection[str], source: Path) -> BadData:
    """The same error, with what to do when that can be told from the model's last words.

    Args:
        config: the file that the model was given, `name` its own.
        columns: of the rows that it was given.
        source: the folder that it runs in.
    """
    if found := MODULE.search(error.what):
        return BadData(error.what, _about_import(found[1], source), where=error.where)
    if MOVED.search(error.what):
        to_do = "A version keeps files, no empty folders, and is elsewhere each time: find them by model_path."
        return BadData(error.what, to_do, where=error.where)
    found = KEY.search(error.what)
    keys = json.loads(config.read_text()) if config.is_file() else {}
    if found and found[1] not in keys and found[1] not in columns:
        text = f"'{found[1]}' is neither a key of {name}, which has {sorted(keys)}, nor a column of the rows: "
        return BadData(error.what, f"{text}{sorted(columns)}. Correct the one that is meant.", where=error.where)
    return error


def _about_import(module: str, source: Path) -> str:
    first = module.partition(".")[0]
    beside = sorted(path.relative_to(source) for path in source.rglob(f"{first}.py"))
    if beside:
        package = ".".join(beside[0].parent.parts)
        return f"'{beside[0]}' is part of a package: `from {package} import {first}`."
    if first in PLATFORM:
        return f"'{first}' belongs to the platform: read data_path and write to output_path only."
    return f"Write the package of '{module}' into requirements.in, then `make lock`; or correct the import."


def about_predictions(findings: Sequence[Finding], key: str) -> str:
    """What to do about predictions that are not what schema.json says."""
    by_rule = {finding.rule: finding for finding in findings}
    missing, unknown = by_rule.get("missing_column"), by_rule.get("unknown_column")
    if unknown:
        first = unknown.examples[0]
        if first.startswith("unnamed column") or (not missing and first in ("index", "__index_level_0__")):
            return "Write them without the index of the rows: `index=False` in pandas."
        if missing and unknown.count == 1 and all(column in first for column in missing.examples):
            return "Separate the columns by commas."
    if missing and missing.examples == (key,) and not unknown:
        return f"Write '{key}' as a column: in pandas, `reset_index()` makes one of an index."
    lost, made_up = by_rule.get("missing_key"), by_rule.get("unknown_key")
    if lost and made_up and _as_number(lost.examples) & _as_number(made_up.examples):
        return f"The keys were read as numbers. Read them as text: `dtype={{'{key}': str}}` in pandas."
    return "Correct the model, or schema.json."


def _as_number(keys: Sequence[str]) -> set[float]:
    return {float(key) for key in keys if re.fullmatch(r"\d+(\.0+)?", key)}
