"""Ends task processes that nobody watches any more, found by their environment.

Only a launcher that was killed leaves any: otherwise it ends its task's processes itself (launcher.py).
"""

from collections.abc import Mapping
from pathlib import Path

import psutil

FOLDER, EXECUTION = "LOCAL_CLOUD_FOLDER", "CLOUD_RUN_EXECUTION"
WAIT_SECONDS = 5.0  # a killed process is gone at once, unless the kernel holds it


def end(folder: Path, also: Mapping[str, str] | None = None) -> int:
    """Kill the task processes of one local cloud.

    Args:
        folder: of the local cloud. A person's shell names it in its environment, too, but only tasks name an execution.
        also: variables that the processes must have besides.

    Returns:
        How many there were.
    """
    wanted = {FOLDER: str(folder), **(also or {})}
    found = [process for process in psutil.process_iter() if _belongs(process, wanted)]
    for process in found:
        _kill(process)
    psutil.wait_procs(found, timeout=WAIT_SECONDS)
    return len(found)


def _belongs(process: psutil.Process, wanted: Mapping[str, str]) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False  # another user's process, or one that just ended
    return EXECUTION in environment and wanted.items() <= environment.items()


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return  # it ended by itself in the meantime
