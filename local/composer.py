"""What the declared Composer environment asks of the Airflow on this laptop, and whether that one can play it.

Owns the reading of the declaration. Does not own what is done with it (airflow.py, dags_sync.py).
"""

import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from local.declared import Declared, Resource
from local.metadata import ACCOUNT, COMPOSER

IMAGE_VERSION = re.compile(r"composer-3-airflow-(\d+\.\d+\.\d+)-build\.\d+")


class Mismatch(Exception):
    """The declared environment and this Airflow do not fit: which value, and where to change it."""


@dataclass(frozen=True)
class Environment:
    """The declared environment, as far as a rehearsal follows it."""

    name: str
    bucket: str
    prefix: str  # of the DAG files, with a final slash
    service_account: str


def installed_airflow() -> str:
    """Version of the Airflow of this virtual environment."""
    return version("apache-airflow")


def read(declared: Declared) -> Environment | None:
    """The declared environment, or None before `pulumi up` has created it.

    Raises:
        Mismatch: it asks for another Airflow, an undeclared service account, no bucket of its own, or there are two.
    """
    found = declared.of_type(COMPOSER)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(repr(r.id) for r in found)
        raise Mismatch(f"{len(found)} Composer environments are declared ({names}); one local cloud rehearses one.")
    return _checked(found[0], {r.properties.get("email") for r in declared.of_type(ACCOUNT)})


def _checked(resource: Resource, accounts: set[Any]) -> Environment:
    place = f"Composer environment {resource.id!r}"
    config = resource.properties.get("config") or {}
    image = (config.get("softwareConfig") or {}).get("imageVersion") or ""
    match = IMAGE_VERSION.fullmatch(image)
    if not match:
        raise Mismatch(f"{place}: imageVersion is {image!r}. Pin one, such as 'composer-3-airflow-3.3.1-build.2'.")
    if match[1] != installed_airflow():
        raise Mismatch(
            f"{place}: imageVersion {image!r} means Airflow {match[1]}, but Airflow {installed_airflow()} is installed "
            "here. Change the image, or apache-airflow in pyproject.toml and `make lock`, so that both agree."
        )
    account = ((config.get("nodeConfig") or {}).get("serviceAccount") or "").rpartition("/")[2]
    if account not in accounts:
        raise Mismatch(f"{place}: nodeConfig.serviceAccount {account!r} is no declared service account.")
    bucket = (resource.properties.get("storageConfig") or {}).get("bucket") or ""
    if not bucket:
        raise Mismatch(f"{place}: storageConfig.bucket is missing, so there is no place for its DAG files.")
    return Environment(resource.id, bucket, "dags/", account)
