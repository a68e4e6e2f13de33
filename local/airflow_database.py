"""Airflow's database before its first start: made once per Airflow version, then copied.

Making the tables takes 5-14 s, a copy none. Owns the template in the cache; not the database that Airflow then uses.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.composer import installed_airflow

DATABASE = "airflow.db"
MAKE_SECONDS = 300


class NotMade(Exception):
    """`airflow db migrate` failed, with its last words."""


def prepare(home: Path, env: Mapping[str, str]) -> None:
    """Put a database into an Airflow home that has none.

    Args:
        env: the environment of Airflow's processes.

    Raises:
        NotMade: Airflow could not make its tables.
    """
    database = home / DATABASE
    if database.exists():
        return
    template = _cache() / DATABASE
    if not template.exists():
        _make(template, env)
    temporary = database.with_suffix(".new")
    shutil.copyfile(template, temporary)
    temporary.rename(database)


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "predictions" / "airflow" / installed_airflow()


def _make(template: Path, env: Mapping[str, str]) -> None:
    """Make the template aside and move it into place; two at once do no harm, the later one wins."""
    template.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=template.parent) as name:
        home = Path(name)
        (home / "airflow.cfg").touch()
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(
            command,
            env={**env, "AIRFLOW_HOME": name},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MAKE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise NotMade(f"`airflow db migrate` ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
        (home / DATABASE).rename(template)
