"""What Google refuses by its name or place is refused in a preview, with the rule and its source."""

import pytest

from tests.local.provider.client import ACCOUNT, BUCKET, Client

JOB = "gcp:cloudrunv2/job:Job"
DATASET = "gcp:bigquery/dataset:Dataset"
TABLE = "gcp:bigquery/table:Table"
GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"


@pytest.mark.parametrize(
    ("type", "inputs", "name"),
    [
        (BUCKET, {"name": "Capitals", "location": "EU"}, "name"),
        (BUCKET, {"name": "ab", "location": "EU"}, "name"),
        (BUCKET, {"name": "192.168.5.4", "location": "EU"}, "name"),
        (BUCKET, {"name": "my-google-data", "location": "EU"}, "name"),
        (BUCKET, {"name": "two..dots", "location": "EU"}, "name"),
        (BUCKET, {"name": "far-away", "location": "EUROPE-WEST7"}, "location"),
        (DATASET, {"datasetId": "with-dash", "location": "EU"}, "datasetId"),
        (DATASET, {"datasetId": "lost", "location": "europe-west"}, "location"),
        (TABLE, {"datasetId": "d", "tableId": "a.b"}, "tableId"),
        (ACCOUNT, {"accountId": "short"}, "accountId"),
        (ACCOUNT, {"accountId": "a" * 31}, "accountId"),
        (JOB, {"name": "x" * 50, "location": "us-east4", "template": {"template": {}}}, "name"),
        (JOB, {"name": "fine", "location": "us-east9", "template": {"template": {}}}, "location"),
        ("gcp:projects/service:Service", {"service": "run"}, "service"),
    ],
)
def test_a_name_or_place_that_google_refuses_is_refused_with_its_rule(
    client: Client, type: str, inputs: dict[str, object], name: str
) -> None:
    [refusal] = client.refusals(type, inputs)
    assert refusal.startswith(f"{name}: {inputs[name]!r}")
    assert "https://cloud.google.com/" in refusal


@pytest.mark.parametrize("location", ["EU", "europe-west12", "NAM4", "US"])
def test_a_bucket_may_lie_in_more_than_one_region(client: Client, location: str) -> None:
    assert client.refusals(BUCKET, {"name": "a-bucket.of_mine", "location": location}) == []


@pytest.mark.parametrize(
    ("member", "good"),
    [
        ("user:ana@example.com", True),
        ("serviceAccount:a@b.iam.gserviceaccount.com", True),
        ("deleted:serviceAccount:a@b.iam.gserviceaccount.com?uid=123", True),
        ("domain:example.com", True),
        ("principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/*", True),
        ("projectViewer:my-project", True),
        ("serviceaccount:a@b.iam.gserviceaccount.com", False),
        ("user:ana", False),
        ("a@b.iam.gserviceaccount.com", False),
        ("everybody", False),
    ],
)
def test_a_member_has_one_of_the_documented_forms(client: Client, member: str, good: bool) -> None:
    refusals = client.refusals(GRANT, {"bucket": "b", "role": "roles/storage.objectViewer", "member": member})
    assert (refusals == []) == good
