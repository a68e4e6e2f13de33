"""The environment of the service, read once and checked.

The only reader of the environment. Does not own what the values are used for.
"""

import getpass
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from service.errors import BadUsage
from service.spec import MODELS

# Names that every verb needs, each with what it is for; infra/ declares them on the jobs.
REQUIRED = {
    "GOOGLE_CLOUD_PROJECT": "the project of the tables and jobs",
    "LOCATION": "the location of the dataset, where BigQuery jobs run",
    "DATASET": "the dataset of the prediction tables",
    "MODEL": "the model, unless --model names it",
    "MODELS_BUCKET": "the model's bucket of versions",
    "RUNS_BUCKET": "the model's bucket of receipts and staged files",
}
ON_THE_PLATFORM = {
    "IMAGE_DIGEST": "the digest of this image, for the receipt",
    "CODE_COMMIT": "the commit that this image was built from, for the receipt",
}
TO_RUN_THE_MODEL = {
    "MODEL_PYTHON": "the Python interpreter of the model's own virtual environment; `python -m local.environments` "
    "builds it, and `make env` then tells where it is"
}

# What the model's process keeps of our environment: nothing that names Google, an identity or an endpoint.
KEPT_FOR_THE_MODEL = ("PATH", "LANG", "LC_ALL")

RUN_ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")  # fits a label, a job id and an object name at once


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says; `image_digest` and `code_commit` may be absent only by hand."""

    project: str
    location: str
    dataset: str
    model: str
    models_bucket: str
    runs_bucket: str
    models_folder: Path
    model_python: str | None
    image_digest: str | None
    code_commit: str | None
    given_run_id: str | None
    airflow_run_id: str | None
    airflow_dag_id: str | None
    airflow_url: str | None  # of its web pages, for links
    execution: str
    attempt: int  # 0 for the first; the platform's retries count up
    task_index: int  # of the tasks that share one execution, from 0
    task_count: int
    by_hand: bool
    storage_endpoint: str | None
    bigquery_endpoint: str | None
    environment: Mapping[str, str] = field(repr=False)  # may hold secrets

    @property
    def person(self) -> str:
        """Who is at the keyboard, for the record: the name that the system knows them by."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container's user may have no name
            return f"user {os.getuid()}"

    @property
    def table(self) -> str:
        """The prediction table as `project.dataset.table`."""
        return f"{self.project}.{self.dataset}.{self.model}"

    @property
    def names(self) -> dict[str, str]:
        """What the texts about Google's errors may name (`upstream.py`)."""
        return {"project": self.project, "location": self.location, "dataset": self.dataset, "bucket": self.runs_bucket}

    def run_id(self, action: str, run_date: date) -> str:
        """The id of a run: `<model>-<action>-<run date>-<8 hex digits>`.

        Raises:
            BadUsage: RUN_ID is given and is not an id of this run.
        """
        prefix = f"{self.model}-{action}-{run_date}-"
        given = self.given_run_id
        if given is None:
            return prefix + hashlib.sha256(self.execution.encode()).hexdigest()[:8]
        if not given.startswith(prefix) or not RUN_ID.fullmatch(given):
            text = f"RUN_ID '{given}' is not an id of the {action} of '{self.model}' for {run_date}."
            raise BadUsage(text, f"Use '{prefix}' and 8 hex digits, or leave it out.", where="environment")
        return given

    def labels(self, action: str, run_date: date) -> dict[str, str]:
        """Labels of a run's log lines and BigQuery jobs.

        Raises:
            BadUsage: see `run_id`.
        """
        return {"run_id": self.run_id(action, run_date), "model": self.model, "action": action}

    def for_the_model(self, secret_names: Mapping[str, str], home: Path) -> dict[str, str]:
        """The environment of the model's process: no identity, no endpoint, its secrets by name.

        Raises:
            BadUsage: a secret that model.yaml names is not set.
        """
        missing = {name: f"secret '{secret}' of model.yaml" for name, secret in secret_names.items()}
        _require(self.environment, missing)
        kept = {name: self.environment[name] for name in KEPT_FOR_THE_MODEL if name in self.environment}
        given = {name: self.environment[name] for name in secret_names}
        own = {
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONUNBUFFERED": "1",  # so that its words are in the log when it is killed
            "PYTHONDONTWRITEBYTECODE": "1",  # its source may be read-only
        }
        return own | kept | given


def read(environment: Mapping[str, str] | None = None, *, model: str | None, runs_model: bool) -> Settings:
    """Read the environment.

    Args:
        environment: `os.environ` unless given.
        model: what `--model` says, where MODEL says nothing.
        runs_model: whether the verb starts the model's process.

    Raises:
        BadUsage: names are missing (all of them are listed) or hold what they cannot hold, or are another model's.
    """
    env = dict(os.environ if environment is None else environment)
    if model and env.get("MODEL") not in ("", None, model):
        text = f"--model is '{model}', but the environment is that of '{env['MODEL']}', its buckets included."
        raise BadUsage(text, f'Leave --model out, or enter the other\'s: eval "$(make env MODEL={model})".')
    if model:
        env["MODEL"] = model
    by_hand = "CLOUD_RUN_EXECUTION" not in env
    required = REQUIRED | (TO_RUN_THE_MODEL if runs_model else {}) | ({} if by_hand else ON_THE_PLATFORM)
    _require(env, required)
    task_index, task_count = _number(env, "CLOUD_RUN_TASK_INDEX", 0), _number(env, "CLOUD_RUN_TASK_COUNT", 1)
    if by_hand and task_count != 1:
        text = (
            f"CLOUD_RUN_TASK_COUNT is '{task_count}', but there is no CLOUD_RUN_EXECUTION that the tasks could share."
        )
        raise BadUsage(text, "Leave both to Cloud Run.", where="environment")
    if task_index >= max(task_count, 1):
        text = f"CLOUD_RUN_TASK_INDEX is '{task_index}' of {task_count} tasks."
        raise BadUsage(text, "Leave both to Cloud Run.", where="environment")
    return Settings(
        project=env["GOOGLE_CLOUD_PROJECT"],
        location=env["LOCATION"],
        dataset=env["DATASET"],
        model=env["MODEL"],
        models_bucket=env["MODELS_BUCKET"],
        runs_bucket=env["RUNS_BUCKET"],
        models_folder=Path(env.get("MODELS_FOLDER") or MODELS),
        model_python=env.get("MODEL_PYTHON"),
        image_digest=env.get("IMAGE_DIGEST"),
        code_commit=env.get("CODE_COMMIT"),
        given_run_id=env.get("RUN_ID") or None,
        airflow_run_id=env.get("AIRFLOW_RUN_ID") or None,
        airflow_dag_id=env.get("AIRFLOW_DAG_ID") or None,
        airflow_url=env.get("AIRFLOW_URL") or None,
        execution=_by_hand() if by_hand else env["CLOUD_RUN_EXECUTION"],
        attempt=_number(env, "CLOUD_RUN_TASK_ATTEMPT", 0),
        task_index=task_index,
        task_count=task_count,
        by_hand=by_hand,
        storage_endpoint=env.get("STORAGE_ENDPOINT") or None,
        bigquery_endpoint=env.get("BIGQUERY_ENDPOINT") or None,
        environment=env,
    )


def _require(env: Mapping[str, str], names: Mapping[str, str]) -> None:
    missing = [f"{name} ({purpose})" for name, purpose in names.items() if not env.get(name)]
    if missing:
        to_do = 'Set each to a value that is not empty; by hand: eval "$(make env)".'
        raise BadUsage(f"Missing: {'; '.join(missing)}.", to_do, where="environment")


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal():
        raise BadUsage(f"{name} is '{text}', not a number.", "Leave it to Cloud Run.", where="environment")
    return int(text)


def _by_hand() -> str:
    """A name for an execution that no platform named."""
    return f"manual-{datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(4)}"
