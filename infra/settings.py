"""What one deployment starts from: the stack's values, the models, the commit. Reads them; nothing else does.

Owns which values are needed together. Does not own what a value may be (keys.py), types and defaults (Pulumi.yaml),
or a model's own settings (service/spec.py).
"""

import difflib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from keys import EXISTING, KEYS
from pulumi.runtime.config import CONFIG, get_config_env

from service.errors import ServiceError
from service.spec import ModelSpec, load_all

ROOT = Path(__file__).resolve().parent.parent
VERBS = {"training": "train", "application": "apply"}  # of `python -m service`, by action
FOREIGN = ("gcp", "docker-build", "pulumi")  # namespaces whose other keys belong to the providers and the engine


class SettingsError(pulumi.RunError):
    """The stack cannot be deployed as it is configured; Pulumi prints the text without a traceback."""


@dataclass(frozen=True, kw_only=True)
class Composer:
    """An Airflow environment of the stack's own."""

    image_version: str


@dataclass(frozen=True, kw_only=True)
class ExistingAirflow:
    """An Airflow environment that something else deployed."""

    environment: str
    dags_bucket: str
    account: str


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """One stack. `airflow` is None when nothing here starts the jobs."""

    name: str
    project: str
    region: str
    dataset: str
    owner: str
    protect_data: bool
    example_source: bool
    airflow: Composer | ExistingAirflow | None
    dags_paused: bool
    wait_interval_seconds: int
    alert_emails: tuple[str, ...]
    prebuilt_images: Mapping[str, str]

    # Given to each resource, not as the provider's default_labels: so they stand in the diff of the resource, and the
    # stack keeps the default provider, which `gcp:` keys configure without a change to the program.
    def labels(self, model: ModelSpec | None = None) -> dict[str, str]:
        """Labels of what all models share, or of what belongs to one."""
        if model is None:
            return {"stack": self.name, "owner": label(self.owner)}
        return {"stack": self.name, "owner": label(model.owner), "model": model.name}


def label(text: str) -> str:
    """The nearest text that Google Cloud takes for a label's value."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:63]


def load() -> StackSettings:
    """Read the stack that Pulumi runs now.

    Raises:
        SettingsError: names every missing, unknown or wrong key, its file, and the command that mends it.
    """
    # pulumi.Config cannot list keys, and would pass over a misspelt one in silence.
    return read(pulumi.get_stack(), {**get_config_env(), **CONFIG.get()})


def read(stack: str, config: Mapping[str, str]) -> StackSettings:
    """Check the texts that Pulumi.yaml and the stack's file give together; an empty text is no value.

    Raises:
        SettingsError: as in `load`.
    """
    given = {key: text for key, text in config.items() if text != ""}
    faults = [*_stack_faults(stack), *_missing(stack, given), *_unknown(stack, given)]
    values: dict[str, Any] = {}
    for key in given.keys() & KEYS.keys():
        try:
            values[key.partition(":")[2]] = KEYS[key](given[key])
        except ValueError as right:
            text = f"'{key}' is '{given[key]}'. Set it to {right}"
            faults.append(f"Pulumi.{stack}.yaml: {text}: {_set_command(stack, key)}")
    if faults:
        raise SettingsError(f"Stack '{stack}' cannot be deployed as configured:\n  " + "\n  ".join(sorted(faults)))
    return _settings(stack, values)


def load_models(settings: StackSettings) -> tuple[ModelSpec, ...]:
    """Read every model of this clone.

    Raises:
        SettingsError: a model is wrong, or an image is configured for a model that does not exist.
    """
    try:
        models = load_all(ROOT / "service" / "models")
    except ServiceError as error:
        raise SettingsError(str(error)) from error
    for name in settings.prebuilt_images.keys() - {model.name for model in models}:
        remove = f"pulumi config rm --stack {settings.name} --path predictions:prebuiltImages.{name}"
        text = f"'predictions:prebuiltImages' names '{name}', but no model has that name. Remove it: {remove}"
        raise SettingsError(f"Pulumi.{settings.name}.yaml: {text}")
    return models


def code_commit(model: str, root: Path = ROOT) -> str:
    """The last commit that touched what reaches a model's image, with `-dirty` when files differ from it.

    `unknown` without git or without such a commit: a downloaded archive can be deployed, too.
    """
    # Not all of service/: another model's commit would change this model's jobs. As container/Dockerfile copies it.
    sources = ["container", ":(glob)service/*", f"service/models/{model}"]
    commit = _git(root, "log", "-1", "--format=%H", "--", *sources)
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--", *sources) else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return ""
    return done.stdout.strip()


def _settings(stack: str, values: Mapping[str, Any]) -> StackSettings:
    return StackSettings(
        name=stack,
        project=values["project"],
        region=values["region"],
        dataset=values["dataset"],
        owner=values["owner"],
        protect_data=values["protectData"],
        example_source=values["exampleSource"],
        airflow=_airflow(values),
        dags_paused=values["dagsPaused"],
        wait_interval_seconds=values["waitIntervalSeconds"],
        alert_emails=values["alertEmails"],
        prebuilt_images=values["prebuiltImages"],
    )


def _airflow(values: Mapping[str, Any]) -> Composer | ExistingAirflow | None:
    if values["orchestrator"] == "composer":
        return Composer(image_version=values["composerImageVersion"])
    if values["orchestrator"] == "existing":
        return ExistingAirflow(
            environment=values["existingEnvironment"],
            dags_bucket=values["existingDagsBucket"],
            account=values["existingAirflowAccount"],
        )
    return None


def _stack_faults(stack: str) -> list[str]:
    # Buckets, jobs, accounts, labels and DAG ids hold the stack's name, so it keeps the strictest of their rules.
    if re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", stack):
        return []
    text = f"'{stack}' becomes part of names that begin with a letter and hold lower-case letters, digits and '-' only."
    return [f"{text} Rename it: pulumi stack rename NAME"]


def _missing(stack: str, given: Mapping[str, str]) -> list[str]:
    existing = given.get("predictions:orchestrator") == "existing"
    return [
        f"Pulumi.{stack}.yaml: '{key}' is missing. Set it: {_set_command(stack, key)}"
        for key in KEYS
        if key not in given and (existing or key not in EXISTING)
    ]


def _unknown(stack: str, given: Mapping[str, str]) -> list[str]:
    faults = []
    for key in given:
        if key not in KEYS and key.partition(":")[0] not in FOREIGN:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            remove = f"pulumi config rm --stack {stack} {key}"
            faults.append(f"Pulumi.{stack}.yaml: '{key}' is unknown.{hint} Remove it: {remove}")
    return faults


def _set_command(stack: str, key: str) -> str:
    if key == "predictions:prebuiltImages":
        return f"pulumi config set --stack {stack} --path {key}.MODEL IMAGE"
    if key == "predictions:alertEmails":
        return f"pulumi config set --stack {stack} --path {key}[0] EMAIL"
    return f"pulumi config set --stack {stack} {key} VALUE"
