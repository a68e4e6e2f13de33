"""The machine a figure was measured on, and how much memory a process and its children hold."""

import os
import platform
from datetime import datetime
from pathlib import Path

import psutil

MEBIBYTE = 1 << 20


def description() -> str:
    """Date, machine and its load: without them a figure says nothing."""
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    memory = psutil.virtual_memory().total / 2**30
    cores = f"{os.cpu_count()} cores, {memory:.0f} GiB, {_model()}, Python {platform.python_version()}"
    return f"{now}, {cores}, {load()}"


def load() -> str:
    """How busy the machine is: on a busy one every wall time is too long."""
    return "load " + " ".join(f"{number:.1f}" for number in os.getloadavg())


def tree_mib(pid: int) -> float:
    """Memory of a process and all below it, each page counted once (PSS): summed RSS counts shared pages again."""
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    return sum(int(process.memory_full_info().pss) for process in tree) / MEBIBYTE


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
