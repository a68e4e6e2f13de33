"""Images and their registry, asked as the engine asks."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from local.provider.values import UNKNOWN, Secret
from tests.conftest import RunningCloud

from .client import Client, refused

IMAGE = "docker-build:index:Image"
REPOSITORY = "gcp:artifactregistry/repository:Repository"


@pytest.fixture
def image(tmp_path: Path) -> dict[str, Any]:
    """Inputs of an image of a model without dependencies."""
    for name, text in {
        ".dockerignore": "*\n!service\n!container\n",
        "container/Dockerfile": "FROM scratch\n",
        "container/requirements.txt": "",
        "service/__main__.py": "print(1)",
        "service/models/churn/requirements.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = {
        "context": {"location": str(tmp_path)},
        "dockerfile": {"location": str(tmp_path / "container/Dockerfile")},
    }
    return {"push": True, "buildArgs": {"MODEL": "churn"}, "tags": ["registry/churn:local"], **places}


def test_a_new_registry_password_is_no_change_of_an_image(client: Client) -> None:
    old, new = (
        {"push": True, "registries": [{"address": "r", "username": "u", "password": Secret(p)}], "context": UNKNOWN}
        for p in ("one", "two")
    )
    assert client.diff(IMAGE, old, new) == {}


def test_an_image_is_built_and_named_by_its_content(client: Client, cloud: RunningCloud, image: dict[str, Any]) -> None:
    id, outputs = client.create(IMAGE, image)
    assert outputs["digest"].startswith("sha256:")
    assert outputs["ref"] == f"registry/churn:local@{outputs['digest']}"
    assert (cloud.folder / "images" / outputs["digest"].removeprefix("sha256:")).is_dir()
    assert client.read(IMAGE, id, image, outputs)
    client.delete(IMAGE, id, outputs)
    assert client.read(IMAGE, id, image, outputs) is None


def test_an_image_changes_with_its_context_and_not_with_what_docker_ignores(
    client: Client, image: dict[str, Any], tmp_path: Path
) -> None:
    _, outputs = client.create(IMAGE, image)
    (tmp_path / "README.md").write_text("not in the image")
    assert client.diff(IMAGE, image, image, outputs) == {}
    (tmp_path / "service" / "__main__.py").write_text("print(2)")
    assert client.diff(IMAGE, image, image, outputs) == {"contextHash": False}
    assert client.update(IMAGE, outputs["digest"], image, image, outputs)["digest"] != outputs["digest"]


def test_a_registry_takes_its_images_along(client: Client, cloud: RunningCloud, image: dict[str, Any]) -> None:
    id, registry = client.create(REPOSITORY, {"repositoryId": "short-lived", "format": "DOCKER"})
    name, _ = client.create(IMAGE, image | {"tags": [f"{registry['registryUri']}/churn:local"]})
    client.delete(REPOSITORY, id, registry)
    rows = sqlite3.connect(cloud.folder / "declared" / "declared.sqlite").execute("SELECT id, properties FROM declared")
    assert not [row for row in rows if row[0] == name and "short-lived" in row[1]], "the program may retain it, not us"


def test_an_image_of_no_model_is_refused_with_the_folder(client: Client, image: dict[str, Any]) -> None:
    image["buildArgs"] = {"MODEL": "chrun"}
    assert "chrun" in refused(lambda: client.create(IMAGE, image))
