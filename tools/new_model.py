"""Makes the folder of a new model that keeps the contract from its first moment: `make model NAME=churn`.

Does not own the contract (docs/configuration.md) or its check (check_model.py).
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from service import spec
from service.errors import BadUsage

TEMPLATE = Path(__file__).with_name("model_template")
TOKEN = "NAME"  # noqa: S105 - stands for the model's name in the template
NAME = re.compile(r"[a-z][a-z0-9_]{0,19}")


def make(name: str, models: Path = spec.MODELS) -> Path:
    """Copy the template under a name.

    Raises:
        BadUsage: the name cannot be a model's, or is taken; nothing was written.
    """
    folder = models / name
    if not NAME.fullmatch(name) or spec.RESERVED_NAME.fullmatch(name):
        text = f"'{name}' cannot be the name of a model."
        to_do = "Write up to 20 lower-case letters, digits and _, a letter first; 'runs', '…_runs' and '…_latest' are"
        raise BadUsage(text, f"{to_do} the product's.")
    if folder.exists():
        raise BadUsage(f"'{folder}' exists already.", "Choose another name, or go on there.")
    aside = folder.with_name(f".{name}.new")
    shutil.rmtree(aside, ignore_errors=True)  # what a killed call left
    for path in sorted(TEMPLATE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            target = aside / str(path.relative_to(TEMPLATE)).replace(TOKEN, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text().replace(TOKEN, name))
    return aside.rename(folder)


def main() -> int:
    """Make one model; 2 with a reason when its name does not do."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.new_model --name churn")
    parser.add_argument("--name", required=True)
    try:
        folder = make(parser.parse_args().name)
    except BadUsage as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"made {folder}; now `make check-model NAME={folder.name}`, and replace main.py by your model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
