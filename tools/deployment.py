"""Finds a deployed stack's Airflow, DAGs, buckets and tables for a person's command, by the stack's own outputs.

A stack's Airflow is asked with the person's Google credentials. The stack `local` is the rehearsal whose environment
the shell has (`python -m local env`), else the one that `make demo KEEP=1` left running. Does not own what is done.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from local import environments, server
from local.airflow_client import AirflowClient
from service import settings, spec
from service.errors import BadUsage

ROOT = Path(__file__).resolve().parent.parent
LOCAL = "local"
KEPT = Path(".local/demo")
KEEP_ONE = "Run `make demo KEEP=1` first; it leaves the rehearsal running."


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One model of a deployed stack."""

    model: spec.ModelSpec
    dags: Mapping[str, str]  # of each action
    airflow: AirflowClient
    settings: settings.Settings

    def parts(self, action: str) -> dict[str, Any]:
        """What a command about an action's DAG needs of it."""
        # Google's clients read the environment when they are imported.
        from service import clients

        return {
            "airflow": self.airflow,
            "dag_id": self.dags[action],
            "clients": clients.connect(self.settings),
            "settings": self.settings,
            "zone": ZoneInfo(self.model.actions[action].schedule.timezone),
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which deployment is meant."""
    parser.add_argument("--stack", default=LOCAL, help="(default: %(default)s)")
    folder = Path(os.environ.get("LOCAL_CLOUD_FOLDER", KEPT))
    parser.add_argument("--folder", type=Path, default=folder, help="of the rehearsal (default: %(default)s)")


def find(stack: str, model: str, folder: Path) -> Deployment:
    """The deployment of a model, by the stack's outputs.

    Raises:
        BadUsage: the stack is not deployed, has no Airflow, or has no such model; or no rehearsal runs.
    """
    if stack == LOCAL:
        _enter(folder.resolve())
    described = spec.load(spec.MODELS / model)
    outputs = _outputs(stack)
    if model not in outputs.get("dags", {}):
        text = f"Stack '{stack}' has no DAGs of a model '{model}'."
        raise BadUsage(text, f"Deploy it with `pulumi up --stack {stack}` and an orchestrator.")
    env = dict(os.environ) | _of_jobs(stack, outputs, model)
    return Deployment(
        model=described,
        dags=outputs["dags"][model],
        airflow=_local_airflow(folder.resolve()) if stack == LOCAL else _airflow(outputs, stack),
        settings=settings.read(env, model=model, runs_model=False),
    )


def job_environment(stack: str, model: str | None, folder: Path) -> dict[str, str]:
    """What a model's jobs find in their environment, for `python -m service` by hand; and how to reach a rehearsal.

    Neither image nor commit is in it: what a person does at a keyboard was not done by the image. MODEL_PYTHON is there
    if that environment has been built; who looks or rolls back does not wait for one.

    Args:
        model: None for the only one.

    Raises:
        BadUsage: the stack is not deployed, or has no such model; or no rehearsal runs.
    """
    if stack == LOCAL:
        _enter(folder.resolve())
    outputs = _outputs(stack)
    models = sorted(outputs.get("buckets", {}))
    if model is None and len(models) == 1:
        [model] = models
    if model is None or model not in models:
        text = f"Stack '{stack}' has no model '{model}'." if model else f"Stack '{stack}' has {len(models)} models."
        raise BadUsage(text, f"Name one of them with --model: {', '.join(models) or 'there is none yet'}.")
    known = _of_jobs(stack, outputs, model)
    lock = spec.MODELS / model / "requirements.txt"
    if lock.is_file() and (python := environments.location(lock)).exists():
        known["MODEL_PYTHON"] = str(python)
    if stack != LOCAL:
        return {**known, "AIRFLOW_URL": outputs.get("airflow", {}).get("uri", "")}
    rehearsal = server.read_state(folder.resolve())["env"]
    return {**rehearsal, **known, "AIRFLOW_URL": _local_url(folder.resolve()) or ""}


def _of_jobs(stack: str, outputs: Mapping[str, Any], model: str) -> dict[str, str]:
    project, _, dataset = str(outputs["dataset"]).partition(".")
    values = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        "GOOGLE_CLOUD_PROJECT": project,
        "LOCATION": values["gcp:region"],
        "DATASET": dataset,
        "MODEL": model,
        "MODELS_BUCKET": outputs["buckets"][model]["models"],
        "RUNS_BUCKET": outputs["buckets"][model]["runs"],
    }


def _enter(folder: Path) -> None:
    """Go on in the environment of the rehearsal in a folder; does not return unless that is the present one."""
    if os.environ.get("LOCAL_CLOUD_FOLDER") == str(folder):
        return
    try:
        state = server.read_state(folder)
    except server.FolderInUse as error:
        raise BadUsage(str(error), KEEP_ONE) from error
    os.execve(sys.executable, sys.orig_argv, {**os.environ, **state["env"]})  # noqa: S606 - this program


def _local_url(folder: Path) -> str | None:
    """Where a rehearsal's Airflow answers, None where none runs."""
    ready = folder / "logs" / "airflow.ready"
    return str(json.loads(ready.read_text())["url"]) if ready.exists() else None


def _local_airflow(folder: Path) -> AirflowClient:
    url = _local_url(folder)
    if url is None:
        raise BadUsage(f"No Airflow runs in '{folder}'.", KEEP_ONE)
    return AirflowClient(url)


def _airflow(outputs: Mapping[str, Any], stack: str) -> AirflowClient:
    uri = outputs.get("airflow", {}).get("uri")
    if not uri:
        text = f"Stack '{stack}' does not say where its Airflow answers."
        raise BadUsage(text, "Only a stack with the orchestrator composer does; there use the pages of Airflow.")
    return AirflowClient(uri, _google_token())


def _google_token() -> Callable[[], str]:
    """Gives the person's own access token, renewed when it has run out."""
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=("https://www.googleapis.com/auth/cloud-platform",))

    def token() -> str:
        if not credentials.valid:
            credentials.refresh(Request())
        return str(credentials.token)

    return token


def _outputs(stack: str) -> dict[str, Any]:
    command = ["pulumi", "stack", "output", "--stack", stack, "--json"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise BadUsage("There is no program 'pulumi'.", "Run `make setup`.") from error
    if done.returncode:
        raise BadUsage(f"Pulumi does not tell what stack '{stack}' made: {done.stderr.strip()}", "Run `pulumi up`.")
    outputs: dict[str, Any] = json.loads(done.stdout)
    return outputs
