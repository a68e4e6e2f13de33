"""Service accounts and repositories: ids and addresses of the platform."""

import pytest

from .client import ACCOUNT, Client, refused

REPOSITORY = "gcp:artifactregistry/repository:Repository"


def test_an_account_has_the_addresses_of_the_platform(client: Client) -> None:
    id, outputs = client.create(ACCOUNT, {"accountId": "churn-train"})
    assert outputs["email"] == "churn-train@test-project.iam.gserviceaccount.com"
    assert outputs["member"] == f"serviceAccount:{outputs['email']}"
    assert id == outputs["name"] == f"projects/test-project/serviceAccounts/{outputs['email']}"


def test_a_second_account_of_one_name_is_a_conflict_unless_the_program_says_so(client: Client) -> None:
    _, first = client.create(ACCOUNT, {"accountId": "twice"})
    assert "already exists" in refused(lambda: client.create(ACCOUNT, {"accountId": "twice"}))
    _, second = client.create(ACCOUNT, {"accountId": "twice", "createIgnoreAlreadyExists": True})
    assert second["uniqueId"] == first["uniqueId"]


def test_an_account_made_again_is_a_new_identity(client: Client) -> None:
    id, first = client.create(ACCOUNT, {"accountId": "reborn"})
    client.delete(ACCOUNT, id, first)
    assert client.create(ACCOUNT, {"accountId": "reborn"})[1]["uniqueId"] != first["uniqueId"]


@pytest.mark.parametrize("id", ["tiny", "With-Capitals", "a" * 31, "ends-with-", "under_score"])
def test_an_account_id_that_the_platform_refuses_is_refused_before_anything_is_made(client: Client, id: str) -> None:
    assert client.refusals(ACCOUNT, {"accountId": id})[0].startswith("accountId: ")


def test_a_declared_account_can_be_imported(client: Client) -> None:
    id, _ = client.create(ACCOUNT, {"accountId": "adopted-train", "displayName": "Adopted"})
    found = client.read(ACCOUNT, id, {}, {})
    assert found
    assert found[0] == {"accountId": "adopted-train", "displayName": "Adopted", "project": "test-project"}


def test_a_repository_tells_its_address(client: Client) -> None:
    _, outputs = client.create(REPOSITORY, {"repositoryId": "models", "format": "DOCKER"})
    assert outputs["registryUri"] == "europe-west6-docker.pkg.dev/test-project/models"
