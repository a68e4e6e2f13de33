"""Clients and buckets for the tests of Cloud Storage; loaded by `pytest_plugins` in each of them."""

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.conftest import RunningCloud

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def connect() -> Callable[[str], storage.Client]:
    """Makes official clients of an address, without credentials, as the person at the keyboard uses them."""

    def client_of(url: str) -> storage.Client:
        options = {"api_endpoint": url}
        return storage.Client(project="otter-project", credentials=AnonymousCredentials(), client_options=options)

    return client_of


@pytest.fixture(scope="session")
def client(cloud: RunningCloud, connect: Callable[[str], storage.Client]) -> storage.Client:
    return connect(cloud.url)


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    """An empty bucket of its own for each test."""
    return client.create_bucket(f"otters-{next(NUMBERS)}", location="europe-north1")


@pytest.fixture(scope="session")
def http(cloud: RunningCloud) -> Iterator[httpx.Client]:
    """A bare HTTP client at the owner's door."""
    with httpx.Client(base_url=cloud.url) as bare:
        yield bare
