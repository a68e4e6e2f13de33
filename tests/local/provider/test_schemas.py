"""Property names come from the installed SDKs, without importing them."""

import subprocess
import sys

import pytest

from local.provider import schemas
from local.provider.values import UNKNOWN, Secret

BUCKET = "gcp:storage/bucket:Bucket"


def reasons(type: str, inputs: dict[str, object]) -> dict[str, str]:
    return {fault.path: fault.reason for fault in schemas.faults(type, inputs)}


def test_a_misspelt_property_is_named_with_the_right_one() -> None:
    assert "'lifecycleRules'" in reasons(BUCKET, {"location": "US", "lifecycleRule": []})["lifecycleRule"]


def test_a_misspelt_property_is_found_inside_lists_blocks_and_secrets() -> None:
    rule = {"action": {"type": "Delete"}, "condition": Secret({"aeg": 3})}
    found = reasons(BUCKET, {"location": "US", "lifecycleRules": [rule, UNKNOWN], "versioning": {"enabledd": True}})
    assert set(found) == {"lifecycleRules[0].condition.aeg", "versioning.enabledd", "versioning.enabled"}


def test_a_missing_required_property_is_named() -> None:
    assert "required" in reasons(BUCKET, {})["location"]


def test_keys_of_a_map_are_free() -> None:
    assert reasons(BUCKET, {"location": "US", "labels": {"anything": "goes"}}) == {}


@pytest.mark.parametrize(
    "type",
    [
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        "gcp:projects/iAMMember:IAMMember",
        "gcp:bigquery/iamMember:IamMember",
        "gcp:cloudrunv2/jobIamMember:JobIamMember",
        "docker-build:index:Image",
    ],
)
def test_every_spelling_of_a_type_finds_its_module(type: str) -> None:
    assert schemas.exists(type)
    assert schemas.inputs(type)


def test_a_type_that_no_sdk_has_does_not_exist() -> None:
    assert not schemas.exists("gcp:storage/buckt:Buckt")
    assert not schemas.exists("aws:s3/bucket:Bucket")


def test_an_output_that_is_no_input_is_known_as_such() -> None:
    assert {"url", "selfLink"} <= schemas.outputs(BUCKET) - schemas.inputs(BUCKET).keys()


def test_no_sdk_is_imported() -> None:
    code = f"""
import sys
from local.provider import schemas
list(schemas.faults({BUCKET!r}, {{"location": "US"}}))
print([name for name in sys.modules if name.startswith(("pulumi_gcp", "pulumi_docker_build"))])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]", "importing an SDK takes seconds at the start of every local cloud"
