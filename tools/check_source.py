"""What a model's files say before anything runs: packages of the platform, the clock, and files of this machine.

Does not own the trial (check_model.py) or the SQL (check_sql.py).
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.errors import BadUsage
from service.placeholders import PLACEHOLDER
from service.spec import ModelSpec

PLATFORM = frozenset({"airflow", "boto3", "dags", "google", "infra", "local", "pulumi", "pulumi_gcp", "service"})
PATHS = ("data_path", "model_path", "output_path", "run_date")  # what `${...}` in a configuration may name
CLOCK = {("date", "today"), ("datetime", "today"), ("datetime", "now"), ("datetime", "utcnow")}
CLOCK |= {("Timestamp", "today"), ("Timestamp", "now"), ("Timestamp", "utcnow")}
EVERYWHERE = ("/dev/", "/proc/", "/sys/", "/etc/", "/usr/")  # what the image has, too


def platform_imports(model: ModelSpec) -> Iterator[BadUsage]:
    """Each import of what is not there, or not to be there, when the model runs."""
    root = model.folder / model.source
    own = {entry.name.removesuffix(".py") for entry in root.iterdir()}
    for path in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except SyntaxError as error:
            at = f", line {error.lineno}" if error.lineno else ""
            yield BadUsage(f"This is not Python: {error.msg}.", "Correct it.", where=f"{path}{at}")
            continue
        for name, line in _imports(tree):
            if name.split(".")[0] in PLATFORM - own:
                text = f"It imports '{name}', which belongs to the platform."
                to_do = "Read data_path and write to output_path only; the service does the rest."
                yield BadUsage(text, to_do, where=f"{path}, line {line}")


def notes(model: ModelSpec) -> Iterator[str]:
    """What is right in few models: said, and not refused. For source files that are Python."""
    root = model.folder / model.source
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
            if isinstance(node, ast.Call) and (called := _clock(node.func)):
                text = f"'{called}' tells another day when a run date is repeated. The day of the run is"
                yield f"{path}, line {node.lineno}: {text} ${{run_date}} in the configuration."
            elif isinstance(node, ast.Constant) and _of_this_machine(node.value):
                yield f"{path}, line {node.lineno}: {_elsewhere(str(node.value))}"
    for config in sorted({*(action.config for action in model.actions.values()), *filter(None, [model.evaluation])}):
        for text in _texts(json.loads((model.folder / config).read_bytes())):
            for name in PLACEHOLDER.findall(text):
                if name not in PATHS:
                    known = ", ".join(f"${{{path}}}" for path in PATHS)
                    yield f"{model.folder / config}: '${{{name}}}' stays as it is; replaced are {known}."
            if _of_this_machine(text):
                yield f"{model.folder / config}: {_elsewhere(text)}"


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What a module imports by its full name, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def _clock(called: ast.expr) -> str | None:
    """The name of a call that tells the day, such as `date.today`."""
    if not isinstance(called, ast.Attribute):
        return None
    of = called.value.attr if isinstance(called.value, ast.Attribute) else getattr(called.value, "id", "")
    return f"{of}.{called.attr}" if (of, called.attr) in CLOCK else None


def _of_this_machine(value: object) -> bool:
    """Whether a text is the path of a file that only this machine has."""
    if not isinstance(value, str) or not value.startswith("/") or value.startswith(EVERYWHERE):
        return False
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # longer than a path may be, or no path at all
        return False


def _elsewhere(path: str) -> str:
    return f"'{path}' is a file of this machine, which the image lacks. Put it beside the code, or into the input."


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
