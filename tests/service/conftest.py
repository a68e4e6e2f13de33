"""The person at the keyboard of the session's local cloud, and what they have there."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import google.auth
import google.auth.compute_engine._metadata
import pytest
from google.cloud import storage
from google.cloud.storage import Bucket

from tests.conftest import RunningCloud
from tests.service.deployments import NUMBERS, Deployment, deployed


@pytest.fixture(scope="session")
def owner(cloud: RunningCloud) -> Iterator[dict[str, str]]:
    """The environment of the person at the keyboard, also in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.env.items():
            patch.setenv(name, value)
        # google-auth reads the address of the metadata server once, when this module is imported.
        importlib.reload(google.auth.compute_engine._metadata)
        yield cloud.env
    importlib.reload(google.auth.compute_engine._metadata)


@pytest.fixture
def bucket(owner: dict[str, str]) -> Bucket:
    """An empty bucket."""
    client = storage.Client(
        project=owner["GOOGLE_CLOUD_PROJECT"],
        credentials=google.auth.default()[0],
        client_options={"api_endpoint": owner["STORAGE_ENDPOINT"]},
    )
    return client.create_bucket(f"bucket-{next(NUMBERS)}", location="EU")


@pytest.fixture
def deployment(owner: dict[str, str], tmp_path: Path) -> Deployment:
    """A model that was never trained, deployed under names of its own."""
    return deployed(owner, tmp_path)
