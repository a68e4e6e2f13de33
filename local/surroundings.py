"""What a stack expects to find and does not make: other people's tables, buckets and Airflow, in a fresh local cloud.

Without them a rehearsed `up` would be refused, as the first one on Google Cloud would. Empty: only that they exist.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import yaml

from local.declared import Declared, Resource
from local.provider.declared_kind import Account
from service.spec import ModelSpec, load_all

EXAMPLE = "example_shop"  # the dataset that a stack with exampleSource makes itself


def make(project_folder: Path, stack: str, cloud: Path, door: str) -> list[str]:
    """Make what is missing; returns the names of what was made. Safe to repeat.

    Args:
        project_folder: the clone, or a copy of one.
        cloud: the local cloud's folder.
        door: its owner's door.

    Raises:
        ServiceError: a model.yaml of that clone cannot be read.
    """
    config = yaml.safe_load((project_folder / f"Pulumi.{stack}.yaml").read_text()).get("config") or {}
    project, region = str(config["gcp:project"]), str(config.get("gcp:region", "US"))
    models = load_all(project_folder / "service" / "models")
    made = []
    with httpx.Client(base_url=door, trust_env=False) as client:
        for table in sorted(set(_tables(models, config))):
            _make_table(client, f"{project}.{table}".split(".")[-3:], region)
            made.append(f"table {table}")
        for bucket in sorted(set(_buckets(models, config))):
            _done(client.post("/storage/v1/b", params={"project": project}, json={"name": bucket, "location": region}))
            made.append(f"bucket {bucket}")
    email = config.get("predictions:existingAirflowAccount")
    if email:
        _declare_account(cloud, email)
        made.append(f"account {email}")
    return made


def _tables(models: tuple[ModelSpec, ...], config: Mapping[str, object]) -> Iterator[str]:
    own = str(config.get("predictions:exampleSource", "false")).lower() == "true"
    for model in models:
        for action in model.actions.values():
            yield from (read for read in action.reads if not (own and read.split(".")[-2] == EXAMPLE))


def _buckets(models: tuple[ModelSpec, ...], config: Mapping[str, object]) -> Iterator[str]:
    if bucket := config.get("predictions:existingDagsBucket"):
        yield str(bucket)
    for model in models:
        for action in model.actions.values():
            if action.input.uri:
                yield action.input.uri.removeprefix("gs://").partition("/")[0]


def _make_table(client: httpx.Client, name: list[str], region: str) -> None:
    project, dataset, table = name
    place = {"projectId": project, "datasetId": dataset}
    datasets = f"/bigquery/v2/projects/{project}/datasets"
    _done(client.post(datasets, json={"datasetReference": place, "location": region}))
    _done(client.post(f"{datasets}/{dataset}/tables", json={"tableReference": {**place, "tableId": table}}))


def _done(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.CONFLICT:  # it is there
        answer.raise_for_status()


def _declare_account(cloud: Path, email: str) -> None:
    project = email.partition("@")[2].partition(".")[0]
    declared = Declared(cloud / "declared")
    declared.put(Resource(Account.type, f"projects/{project}/serviceAccounts/{email}", {"email": email}))
    declared.close()
