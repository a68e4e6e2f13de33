"""The environment of Airflow's processes: settings, keys, identity, and the little they see of the person's own.

Does not own the processes (airflow.py).
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from local import processes

HOST = "127.0.0.1"
# What a process needs of the person's own environment. Nothing else passes: an emulator variable or a key file of the
# shell would change what Google's clients do inside Airflow.
PASSED = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "USER", "XDG_CACHE_HOME")


def environment(cloud: Path, home: Path, url: str, identity: Mapping[str, str]) -> dict[str, str]:
    """All that Airflow's processes see.

    Args:
        cloud: the local cloud's folder, whose mark they carry.
        home: Airflow's home, where its keys are kept.
        url: where its API server is to listen.
        identity: endpoints and metadata server of Airflow's account.
    """
    settings = {
        "API__BASE_URL": url,
        "API__HOST": HOST,
        "API__PORT": url.rpartition(":")[2],
        "API__WORKERS": "1",
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks the name service
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
        "CORE__PARALLELISM": "4",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # it listens on loopback only
        "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",  # new JSON beside an old factory; 30 s by default
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "2",  # a new factory; 300 s by default
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        # On a busy machine a call may take longer than the default of 5 s, and the task dies of it.
        "WORKERS__EXECUTION_API_TIMEOUT": "60",
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # how late the end of a task is noticed
        **_secrets(home),
    }
    passed = {name: value for name in PASSED if (value := os.environ.get(name))}
    return processes.marked(
        cloud,
        {
            **passed,
            **identity,
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            "AIRFLOW_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            # Else setproctitle writes over the environment that is seen from outside, and with it our mark.
            "SPT_NOENV": "1",
        },
    )


def _secrets(home: Path) -> dict[str, str]:
    """Keys that all parts share; kept, so that what one start encrypted the next can read."""
    file = home / "keys.json"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        keys = {name: secrets.token_urlsafe(64) for name in ("API_AUTH__JWT_SECRET", "API__SECRET_KEY")}
        file.touch(mode=0o600)
        file.write_text(json.dumps(keys))
    kept: dict[str, str] = json.loads(file.read_text())
    return kept
