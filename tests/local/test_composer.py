"""What a declared Composer environment may ask of the Airflow of this laptop."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from local import composer
from local.declared import Declared, Resource
from local.metadata import ACCOUNT, COMPOSER

EMAIL = "lighthouse@coast-9.iam.gserviceaccount.com"
AIRFLOW = version("apache-airflow")


@pytest.fixture
def declared(tmp_path: Path) -> Iterator[Declared]:
    table = Declared(tmp_path / "declared")
    table.put(Resource(ACCOUNT, EMAIL, {"email": EMAIL}))
    yield table
    table.close()


def declare(declared: Declared, name: str = "lamps", **changes: Any) -> None:
    values: dict[str, Any] = {
        "image": f"composer-3-airflow-{AIRFLOW}-build.7",
        "account": EMAIL,
        "bucket": "coast-dags",
    }
    values |= changes
    config = {"softwareConfig": {"imageVersion": values["image"]}, "nodeConfig": {"serviceAccount": values["account"]}}
    properties = {"config": config, "storageConfig": {"bucket": values["bucket"]}}
    declared.put(Resource(COMPOSER, f"projects/coast-9/locations/x/environments/{name}", properties))


def test_before_the_first_deployment_there_is_no_environment(declared: Declared) -> None:
    assert composer.read(declared) is None


def test_bucket_and_account_come_from_the_declaration(declared: Declared) -> None:
    declare(declared)
    environment = composer.read(declared)
    assert environment
    assert (environment.bucket, environment.prefix, environment.service_account) == ("coast-dags", "dags/", EMAIL)


def test_an_account_may_be_named_in_full(declared: Declared) -> None:
    declare(declared, account=f"projects/coast-9/serviceAccounts/{EMAIL}")
    environment = composer.read(declared)
    assert environment
    assert environment.service_account == EMAIL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"image": "composer-3-airflow-2.10.5-build.1"},
            rf"means Airflow 2\.10\.5, but Airflow {AIRFLOW} is installed",
        ),
        ({"image": "composer-3-airflow-3"}, "Pin one"),
        ({"image": None}, "Pin one"),
        ({"account": "nobody@coast-9.iam.gserviceaccount.com"}, "'nobody@.*' is no declared service account"),
        ({"account": None}, "'' is no declared service account"),
        ({"bucket": None}, r"storageConfig\.bucket is missing"),
    ],
)
def test_an_environment_that_cannot_be_rehearsed_is_refused(
    declared: Declared, changes: dict[str, Any], words: str
) -> None:
    declare(declared, **changes)
    with pytest.raises(composer.Mismatch, match=words) as refused:
        composer.read(declared)
    assert "environments/lamps" in str(refused.value)


def test_two_environments_on_one_local_cloud_are_refused(declared: Declared) -> None:
    declare(declared, "lamps")
    declare(declared, "horns")
    with pytest.raises(composer.Mismatch, match=r"2 Composer environments .*horns.*lamps"):
        composer.read(declared)
