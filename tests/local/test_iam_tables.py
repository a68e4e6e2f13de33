"""What the tables of permissions say, and conditions of grants."""

import tempfile
import tomllib
from pathlib import Path

import pytest

from local.iam import conditions, tables
from local.iam.bindings import OPENED
from local.iam.resources import Resources
from local.images import Processes
from local.provider.grants import TARGETS
from local.server import LocalCloud

OBJECT = "projects/_/buckets/plum-jam/objects/2024/may.csv"
NEVER_GIVEN = {"logging.logs.delete", "bigquery.jobs.get", "bigquery.jobs.update", "bigquery.jobs.delete"}


@pytest.fixture(scope="module")
def cloud() -> LocalCloud:
    folder = Path(tempfile.mkdtemp())
    return LocalCloud(folder, "plum-jam", Processes(folder, "nothing runs"))


def test_every_method_of_the_local_cloud_has_its_line_and_no_line_is_of_nothing(cloud: LocalCloud) -> None:
    offered = {method.name for method in cloud.methods() if not method.open and not method.own}
    known = {name for name in tables.methods() if not name.startswith("bigquery.job.")}
    assert offered <= known, "add what it needs to local/iam/methods.toml"
    parts = {name for name in known - offered if not name.startswith("storage.multipartUploads.")}
    assert parts == {
        "run.jobs.run with overrides",
        "storage.objects.insert, continued",
        "storage.objects.insert, copied",
    }


def test_every_word_for_a_resource_is_understood(cloud: LocalCloud) -> None:
    words = Resources(cloud.storage, cloud.warehouse).words
    for name, needs in tables.methods().items():
        known = {"table", "dataset", "project", "bucket", "object"} if name.startswith("bigquery.job.") else words
        assert {need.on for need in needs} <= set(known), name


@pytest.mark.parametrize("file", ["methods", "roles"])
def test_every_line_names_a_source_that_is_a_page_of_googles(file: str) -> None:
    table = tomllib.loads((Path(tables.__file__).parent / f"{file}.toml").read_text())
    assert all(address.startswith("https://cloud.google.com/") for address in table["sources"].values())
    assert {row["source"] for row in table[file].values()} == set(table["sources"]), (
        "a source that nothing uses, or none"
    )


def test_every_permission_that_is_asked_for_is_in_some_role() -> None:
    asked = {need.permission for needs in tables.methods().values() for need in needs}
    given = {permission for role in tables.roles().values() for permission in role.permissions}
    assert asked - given == NEVER_GIVEN, "misspelt, or a role's list lacks it"


def test_every_type_of_grant_that_can_be_declared_counts() -> None:
    assert set(OPENED) == set(TARGETS)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("resource.name.startsWith('projects/_/buckets/plum-jam/objects/2024/')", True),
        ('resource.name.endsWith("april.csv")', False),
        ('resource.type == "storage.googleapis.com/Object"', True),
        ("resource.service != 'storage.googleapis.com'", False),
        ("!resource.name.endsWith('.json') && resource.type != 'x'", True),
        ("resource.name == 'other' || resource.name.startsWith('projects/_/')", True),
        ("resource.name == 'or' || (resource.name == '&&')", False),
        ("request.time < timestamp('2100-01-01T00:00:00Z')", True),
        ('request.time < timestamp("2020-10-01T00:00:00.000Z")', False),
        ("request.time > 'yesterday'", False),
        ("true", True),
    ],
)
def test_a_condition_is_evaluated(expression: str, holds: bool) -> None:
    assert conditions.holds(expression, OBJECT) is holds


@pytest.mark.parametrize(
    "expression",
    [
        "resource.matchTag('env', 'prod')",
        "request.time.getHours('Europe/Berlin') < 9",
        "resource.name in ['a']",
        "resource.name == 'a' and true",
        "api.getAttribute('x', []).hasOnly(['a'])",
        "resource.name.startsWith(",
        "timestamp('tomorrow') > request.time",
        "__import__('os').system('true')",
        "",
    ],
)
def test_a_condition_that_is_not_understood_is_refused_and_never_passed_over(expression: str) -> None:
    with pytest.raises(conditions.Refused):
        conditions.compiled(expression)
