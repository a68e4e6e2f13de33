"""`make env`: prints as export lines what a model's jobs find in their environment, for `python -m service` by hand.

Does not own which deployment is meant (deployment.py) or what the variables are for (`service/settings.py`).
"""

import argparse
import shlex
import sys

from service.errors import BadUsage
from tools import deployment


def main() -> int:
    """0 when the lines are printed, 2 when the stack or the model is not there."""
    example = 'eval "$(python -m tools.job_environment --stack dev --model customer_value)"'
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"example: {example}")
    deployment.add_options(parser)
    parser.add_argument("--model", help="(default: the only one)")
    given = parser.parse_args()
    try:
        env = deployment.job_environment(given.stack, given.model or None, given.folder)
    except BadUsage as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, value in env.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
