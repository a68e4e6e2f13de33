"""`python -m service` that tells its own peak of memory at its end: `python -m bench.own_memory VERB ...`.

Runs in the service's environment, so it imports the standard library and the service only.
"""

import sys
from pathlib import Path

from service import cli

PREFIX = "own peak kB: "


def peak_kib() -> int:
    """The peak of this process alone, since its start.

    Not getrusage: its ru_maxrss begins with the peak of whoever started this process, and for children includes theirs.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    code = cli.main()
    print(f"{PREFIX}{peak_kib()}", flush=True)
    sys.exit(code)
