"""The declared Airflow environment: what Composer would refuse is refused."""

from typing import Any

import pytest

from local.provider.values import UNKNOWN

from .client import BUCKET, Client, account, bucket, refused

ENVIRONMENT = "gcp:composer/environment:Environment"


def environment(name: str, bucket: str, account: str, image: str = "composer-3-airflow-3.3.1-build.2") -> Any:
    config = {"softwareConfig": {"imageVersion": image}, "nodeConfig": {"serviceAccount": account}}
    return {"name": name, "region": "europe-west6", "storageConfig": {"bucket": bucket}, "config": config}


def test_an_environment_tells_where_its_dags_lie(client: Client) -> None:
    bucket(client, "dags-a")
    _, outputs = client.create(ENVIRONMENT, environment("air", "dags-a", account(client, "airflow-a")))
    assert outputs["config"]["dagGcsPrefix"] == "gs://dags-a/dags"
    assert outputs["config"]["airflowUri"].endswith(".invalid"), "an address that answers nowhere, and says so"


def test_where_an_environments_dags_will_lie_is_unknown_in_a_preview(client: Client) -> None:
    _, outputs = client.create(ENVIRONMENT, environment("air", "dags-b", "airflow@x"), preview=True)
    assert outputs["config"]["dagGcsPrefix"] is UNKNOWN


def test_an_environment_needs_an_image_of_composer_3(client: Client) -> None:
    wanted = environment("air", "dags-c", "airflow@x", image="composer-2.9.1-airflow-2.9.3")
    assert "no image of Composer 3" in client.refusals(ENVIRONMENT, wanted)[0]
    # The provider takes an alias; the policy pack does not.
    assert client.refusals(ENVIRONMENT, environment("air", "d", "airflow@x", image="composer-3-airflow-3")) == []


def test_an_environment_needs_a_bucket_of_its_own_in_its_region(client: Client) -> None:
    email = account(client, "airflow-d")
    assert "'dags-d' of storageConfig does not exist" in refused(
        lambda: client.create(ENVIRONMENT, environment("air-d", "dags-d", email))
    )
    client.create(BUCKET, {"name": "dags-d", "location": "US"})
    assert "it is in 'US'" in refused(lambda: client.create(ENVIRONMENT, environment("air-d", "dags-d", email)))
    bucket(client, "dags-e")
    client.create(ENVIRONMENT, environment("air-e", "dags-e", email))
    assert "already belongs" in refused(lambda: client.create(ENVIRONMENT, environment("air-f", "dags-e", email)))


def test_an_environment_does_not_change_airflows_major_version_in_place(client: Client) -> None:
    bucket(client, "dags-g")
    old = environment("air-g", "dags-g", account(client, "airflow-g"), image="composer-3-airflow-2.11.1-build.4")
    id, outputs = client.create(ENVIRONMENT, old)
    new = environment("air-g", "dags-g", "airflow-g@test-project.iam.gserviceaccount.com")
    assert "in place" in refused(lambda: client.update(ENVIRONMENT, id, old, new, outputs))


def test_the_account_of_an_environment_cannot_change(client: Client) -> None:
    old, new = (environment("air", "dags-h", email) for email in ("a@x", "b@x"))
    assert client.diff(ENVIRONMENT, old, new) == {"config.nodeConfig.serviceAccount": True}


@pytest.mark.parametrize(
    ("end", "recurrence", "fits"),
    [
        ("20:00:00Z", "FREQ=WEEKLY;BYDAY=SA,SU", True),
        ("20:00:00Z", "FREQ=WEEKLY;BYDAY=SA", False),
        ("16:00:00Z", "FREQ=DAILY", True),
        ("20:00:00Z", "on weekends", False),
        ("soon", "FREQ=DAILY", False),
    ],
)
def test_an_environment_is_maintained_for_twelve_hours_a_week(
    client: Client, end: str, recurrence: str, fits: bool
) -> None:
    wanted = environment("air", "dags-m", "airflow@x")
    window = {"startTime": "2026-01-03T14:00:00Z", "endTime": f"2026-01-03T{end}", "recurrence": recurrence}
    wanted["config"]["maintenanceWindow"] = window
    assert [text.startswith("config.maintenanceWindow") for text in client.refusals(ENVIRONMENT, wanted)] == (
        [] if fits else [True]
    )
