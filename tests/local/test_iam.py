"""Permissions through Google's own clients, each with the token of an account that holds exactly what a test says."""

import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, run_v2, storage
from google.oauth2.credentials import Credentials

from local.declared import Declared, Resource
from local.iam.bindings import OPENED
from local.metadata import ACCOUNT, reported
from tests.conftest import RunningCloud

pytestmark = pytest.mark.client

PROJECT, LOCATION = "orchard-guild", "europe-southwest1"
TOKENS = {token.rpartition(":")[2]: token for token in OPENED}
ON_PROJECT = "gcp:projects/iAMMember:IAMMember"


@dataclass
class Place:
    """One bucket, dataset and table of a test, and how to let accounts in."""

    cloud: RunningCloud
    declared: Declared
    name: str = field(default_factory=lambda: f"pears-{uuid.uuid4().hex[:8]}")

    @property
    def dataset(self) -> str:
        return self.name.replace("-", "_")

    @property
    def table(self) -> str:
        return f"{PROJECT}.{self.dataset}.crop"

    def grant(self, account: str, role: str, *, condition: str = "", **where: str) -> None:
        """A role on the bucket, dataset, table or project that `where` names."""
        kinds = {"bucket": "BucketIAMMember", "tableId": "IamMember", "datasetId": "DatasetIamMember"}
        kind = next((kinds[key] for key in kinds if key in where), "")
        token = TOKENS[kind] if kind else ON_PROJECT
        row: dict[str, Any] = {"project": PROJECT, **where, "role": role, "member": f"serviceAccount:{account}"}
        if condition:
            row["condition"] = {"title": "some", "expression": condition}
        self.declared.put(Resource(token, uuid.uuid4().hex, row))

    def on_table(self) -> dict[str, str]:
        return {"datasetId": self.dataset, "tableId": "crop"}


@dataclass
class Account:
    """A service account with a token of its own, and its clients."""

    email: str
    token: str
    storage: storage.Client
    bigquery: bigquery.Client
    jobs: run_v2.JobsClient


@pytest.fixture
def place(cloud: RunningCloud) -> Iterator[Place]:
    made = Place(cloud, Declared(cloud.folder / "declared"))
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": cloud.url}}
    bucket = storage.Client(PROJECT, **options).create_bucket(made.name, location=LOCATION)
    bucket.blob("harvest/may.csv").upload_from_string("tree,pears\n1,20\n")
    warehouse = bigquery.Client(PROJECT, **options)
    dataset = bigquery.Dataset(f"{PROJECT}.{made.dataset}")
    dataset.location = LOCATION
    warehouse.create_dataset(dataset)
    schema = [bigquery.SchemaField("tree", "INT64"), bigquery.SchemaField("pears", "INT64")]
    warehouse.create_table(bigquery.Table(made.table, schema=schema))
    view = bigquery.Table(f"{PROJECT}.{made.dataset}.ripe")
    view.view_query = f"SELECT * FROM `{made.table}` WHERE pears > 3"
    warehouse.create_table(view)
    yield made
    made.declared.close()


@pytest.fixture
def account(place: Place) -> Account:
    email = f"sa-{uuid.uuid4().hex[:6]}@{PROJECT}.iam.gserviceaccount.com"
    place.declared.put(Resource(ACCOUNT, email, {"email": email}))
    door = place.cloud.state()["airflow_env"]["STORAGE_ENDPOINT"]
    base = f"{door}/sa/{reported(email)}/computeMetadata/v1/instance/service-accounts/default"
    token = str(httpx.get(f"{base}/token").json()["access_token"])
    options: Any = {"credentials": Credentials(token), "client_options": {"api_endpoint": door}}
    return Account(
        email,
        token,
        storage.Client(PROJECT, **options),
        bigquery.Client(PROJECT, location=LOCATION, **options),
        run_v2.JobsClient(transport="rest", **options),
    )


def refused(call: Callable[[], Any]) -> str:
    """The message of the service, without the address that the client puts in front."""
    with pytest.raises(Forbidden) as caught:
        call()
    return str(caught.value.errors[0]["message"] if caught.value.errors else caught.value.message)


def test_cloud_storage_names_account_permission_and_kind(place: Place, account: Account) -> None:
    blob = account.storage.bucket(place.name).blob("harvest/may.csv")
    for call, permission, kind in (
        (blob.reload, "storage.objects.get", "object"),
        (blob.delete, "storage.objects.delete", "object"),
        (lambda: list(account.storage.list_blobs(place.name)), "storage.objects.list", "bucket"),
        (lambda: account.storage.get_bucket(place.name), "storage.buckets.get", "bucket"),
    ):
        denied = f"Permission '{permission}' denied on resource (or it may not exist)."
        assert f"{account.email} does not have {permission} access to the Google Cloud Storage {kind}. {denied}" in (
            refused(call)
        )


def test_a_download_says_the_same(place: Place, account: Account) -> None:
    with pytest.raises(Forbidden, match=r"does not have storage\.objects\.get access"):
        account.storage.bucket(place.name).blob("harvest/may.csv").download_as_bytes()


def test_the_xml_api_answers_in_xml(place: Place, account: Account) -> None:
    door = place.cloud.state()["airflow_env"]["STORAGE_ENDPOINT"]
    answer = httpx.get(f"{door}/{place.name}/harvest/may.csv", headers={"authorization": f"Bearer {account.token}"})
    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code>" in answer.text
    assert f"{account.email} does not have storage.objects.get access" in answer.text


def test_whoever_only_creates_cannot_replace_and_learns_of_no_name_that_is_free(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/storage.objectCreator", bucket=place.name)
    bucket = account.storage.bucket(place.name)
    bucket.blob("harvest/june.csv").upload_from_string("x")
    for upload in (
        lambda: bucket.blob("harvest/may.csv").upload_from_string("y"),
        lambda: bucket.blob("harvest/may.csv", chunk_size=1 << 18).upload_from_file(io.BytesIO(b"y" * (1 << 19))),
    ):
        assert "storage.objects.delete" in refused(upload)
    with pytest.raises(PreconditionFailed):
        bucket.blob("harvest/may.csv").upload_from_string("y", if_generation_match=0)
    place.grant(account.email, "roles/storage.legacyObjectReader", bucket=place.name)
    assert "storage.objects.list" in refused(bucket.blob("harvest/never.csv").reload)
    place.grant(account.email, "roles/storage.objectViewer", bucket=place.name)
    with pytest.raises(NotFound):
        bucket.blob("harvest/never.csv").reload()


def test_a_copy_reads_one_bucket_and_writes_the_other(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/storage.objectViewer", bucket=place.name)
    bucket = account.storage.bucket(place.name)
    blob = bucket.blob("harvest/may.csv")
    assert "storage.objects.create" in refused(lambda: bucket.copy_blob(blob, bucket, "copy.csv"))
    assert "storage.objects.create" in refused(lambda: bucket.blob("both.csv").compose([blob]))
    place.grant(account.email, "roles/storage.objectCreator", bucket=place.name)
    bucket.copy_blob(blob, bucket, "copy.csv")
    assert "storage.objects.delete" in refused(lambda: bucket.copy_blob(blob, bucket, "copy.csv"))


def test_a_copy_over_the_xml_api_needs_the_same(place: Place, account: Account) -> None:
    door = place.cloud.state()["airflow_env"]["STORAGE_ENDPOINT"]
    named = {"x-goog-copy-source": f"{place.name}/harvest/may.csv", "authorization": f"Bearer {account.token}"}

    def copied() -> str:
        answer = httpx.put(f"{door}/{place.name}/copy.csv", headers=named)
        return f"{answer.status_code} {answer.text}"

    place.grant(account.email, "roles/storage.objectCreator", bucket=place.name)
    assert "does not have storage.objects.get access" in copied()
    place.grant(account.email, "roles/storage.objectViewer", bucket=place.name)
    assert copied().startswith("200")
    assert "does not have storage.objects.delete access" in copied()


def test_each_call_of_a_batch_is_checked(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/storage.objectViewer", bucket=place.name)
    bucket = account.storage.bucket(place.name)
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"), account.storage.batch():
        bucket.delete_blob("harvest/may.csv")
    assert bucket.get_blob("harvest/may.csv")


def test_a_condition_opens_a_part_of_a_bucket(place: Place, account: Account) -> None:
    prefix = f"projects/_/buckets/{place.name}/objects/harvest/"
    condition = f"resource.name.startsWith('{prefix}') && request.time < timestamp('2100-01-01T00:00:00Z')"
    place.grant(account.email, "roles/storage.objectUser", condition=condition, bucket=place.name)
    bucket = account.storage.bucket(place.name)
    bucket.blob("harvest/may.csv").upload_from_string("replaced")
    assert "storage.objects.create" in refused(lambda: bucket.blob("seeds.csv").upload_from_string("x"))


def test_a_policy_that_was_set_on_a_bucket_counts(place: Place, account: Account) -> None:
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": place.cloud.url}}
    bucket = storage.Client(PROJECT, **options).bucket(place.name)
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {f"serviceAccount:{account.email}"}})
    bucket.set_iam_policy(policy)
    asked = ["storage.objects.get", "storage.objects.create", "storage.objects.list"]
    assert account.storage.bucket(place.name).test_iam_permissions(asked) == [
        "storage.objects.get",
        "storage.objects.list",
    ]
    assert bucket.test_iam_permissions(asked) == asked, "the person at the keyboard owns the project"


def test_a_role_on_the_project_reaches_its_buckets_and_no_others(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/storage.objectViewer")
    assert account.storage.bucket(place.name).get_blob("harvest/may.csv")
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": place.cloud.url}}
    elsewhere = storage.Client("next-village", **options).create_bucket(f"{place.name}-2", location=LOCATION)
    assert "storage.objects.list" in refused(lambda: list(account.storage.list_blobs(elsewhere.name)))


def test_a_bucket_that_does_not_exist_is_404_for_everybody(account: Account) -> None:
    with pytest.raises(NotFound, match="bucket does not exist"):
        account.storage.get_bucket("no-bucket-of-ours")


def run(account: Account, sql: str, **config: Any) -> list[Any]:
    return list(account.bigquery.query(sql, job_config=bigquery.QueryJobConfig(**config)).result())


def test_running_a_job_and_reading_a_table_are_two_permissions(place: Place, account: Account) -> None:
    sql = f"SELECT * FROM `{place.table}`"
    message = refused(lambda: run(account, sql))
    expected = (
        f"Access Denied: Project {PROJECT}: User does not have bigquery.jobs.create permission in project {PROJECT}."
    )
    assert message == expected
    place.grant(account.email, "roles/bigquery.jobUser")
    name = f"{PROJECT}:{place.dataset}.crop"
    message = refused(lambda: run(account, sql))
    told = f"User does not have permission to query table {name}, or perhaps it does not exist."
    assert message == f"Access Denied: Table {name}: {told}"
    assert refused(lambda: run(account, sql, dry_run=True)) == message
    place.grant(account.email, "roles/bigquery.dataViewer", **place.on_table())
    assert run(account, sql) == []


def test_a_view_opens_nothing_of_the_tables_behind_it(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataViewer", datasetId=place.dataset, tableId="ripe")
    sql = f"WITH r AS (SELECT * FROM `{PROJECT}.{place.dataset}.ripe`) SELECT COUNT(*) FROM r"
    assert f"query table {PROJECT}:{place.dataset}.crop" in refused(lambda: run(account, sql))
    place.grant(account.email, "roles/bigquery.dataViewer", **place.on_table())
    assert [tuple(row) for row in run(account, sql)] == [(0,)]


def test_a_role_on_a_dataset_reaches_its_tables(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.user")
    place.grant(account.email, "roles/bigquery.dataViewer", datasetId=place.dataset)
    assert run(account, f"SELECT * FROM `{place.table}`") == []
    assert "updateData denied" in refused(lambda: run(account, f"DELETE FROM `{place.table}` WHERE true"))


WRITING = {
    "INSERT INTO `{table}` VALUES (1, 2)": "bigquery.tables.updateData",
    "UPDATE `{table}` SET pears = 1 WHERE true": "bigquery.tables.updateData",
    "DELETE `{table}` WHERE true": "bigquery.tables.updateData",
    "MERGE `{table}` t USING `{table}` s ON t.tree = s.tree WHEN MATCHED THEN DELETE": "bigquery.tables.updateData",
    "TRUNCATE TABLE `{table}`": "bigquery.tables.updateData",
    "CREATE TABLE `{table}_2` AS SELECT 1 AS a": "bigquery.tables.create",
    "CREATE OR REPLACE TABLE `{table}` AS SELECT 1 AS a": "bigquery.tables.create",
    "CREATE VIEW `{table}_3` AS SELECT 1 AS a": "bigquery.tables.create",
    "DROP TABLE `{table}`": "bigquery.tables.delete",
    "ALTER TABLE `{table}` ADD COLUMN plums INT64": "bigquery.tables.update",
    "CREATE SCHEMA `orchard-guild.another`": "bigquery.datasets.create",
    "DROP SCHEMA `{dataset}` CASCADE": "bigquery.datasets.delete",
    "BEGIN INSERT INTO `{table}` VALUES (1, 2); END": "bigquery.tables.updateData",
}


@pytest.mark.parametrize("sql", WRITING)
def test_who_may_read_may_not_write(place: Place, account: Account, sql: str) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataViewer", **place.on_table())
    text = sql.format(table=place.table, dataset=f"{PROJECT}.{place.dataset}")
    assert f"{WRITING[sql]} " in refused(lambda: run(account, text))


def test_editing_a_table_is_enough_to_write_it_and_not_to_make_another(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataEditor", **place.on_table())
    run(account, f"INSERT INTO `{place.table}` VALUES (1, 2)")
    run(account, "SELECT 5 AS tree, 6 AS pears", destination=place.table, write_disposition="WRITE_TRUNCATE")
    assert [tuple(row) for row in account.bigquery.list_rows(place.table)] == [(5, 6)]
    other = f"{PROJECT}.{place.dataset}.other"
    message = refused(lambda: run(account, "SELECT 1 AS a", destination=other))
    assert f"Permission bigquery.tables.create denied on dataset {PROJECT}:{place.dataset}" in message


def test_a_script_has_temporary_tables_and_results_of_its_own(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    rows = run(account, "CREATE TEMP TABLE t AS SELECT 7 AS a; INSERT INTO t VALUES (8); SELECT SUM(a) FROM t")
    assert [tuple(row) for row in rows] == [(15,)]


def test_metadata_is_less_than_rows(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.metadataViewer", **place.on_table())
    assert account.bigquery.get_table(place.table).num_rows == 0
    name = f"{PROJECT}:{place.dataset}.crop"
    denied = f"Permission bigquery.tables.getData denied on table {name} (or it may not exist)."
    assert refused(lambda: list(account.bigquery.list_rows(place.table))) == f"Access Denied: Table {name}: {denied}"
    asked = ["bigquery.tables.get", "bigquery.tables.getData"]
    assert account.bigquery.test_iam_permissions(place.table, asked)["permissions"] == ["bigquery.tables.get"]


def test_a_load_reads_objects_as_the_account_that_started_it(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataEditor", **place.on_table())
    uri = f"gs://{place.name}/harvest/*.csv"
    config = bigquery.LoadJobConfig(skip_leading_rows=1)

    def load() -> None:
        account.bigquery.load_table_from_uri(uri, place.table, job_config=config).result()

    assert "storage.buckets.get" in refused(load), "documented, and objectViewer does not have it"
    place.grant(account.email, "roles/storage.bucketViewer", bucket=place.name)
    message = refused(load)
    start = "Access Denied: BigQuery BigQuery: Permission denied while globbing file pattern. "
    assert message.startswith(f"{start}{account.email} does not have storage.objects.list access")
    assert f"Please make sure {uri} is accessible via appropriate IAM roles, e.g. Storage Object Viewer" in message
    place.grant(account.email, "roles/storage.objectViewer", bucket=place.name)
    load()
    assert account.bigquery.get_table(place.table).num_rows == 1


def test_an_export_writes_objects_as_the_account_that_started_it(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataViewer", **place.on_table())
    uri = f"gs://{place.name}/out/rows-*.parquet"
    sql = f"EXPORT DATA OPTIONS (uri = '{uri}', format = 'PARQUET', overwrite = true) AS SELECT * FROM `{place.table}`"
    assert "Permission denied while writing data." in refused(lambda: run(account, sql))
    place.grant(account.email, "roles/storage.objectCreator", bucket=place.name)
    run(account, sql)
    assert "storage.objects.delete" in refused(lambda: run(account, sql)), "the second export would replace the file"
    other = f"gs://{place.name}/out/table.csv"
    account.bigquery.extract_table(place.table, other, location=LOCATION).result()


def test_a_copy_needs_both_tables(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    place.grant(account.email, "roles/bigquery.dataEditor", datasetId=place.dataset, tableId="copy")
    target = f"{PROJECT}.{place.dataset}.copy"
    assert "getData" in refused(lambda: account.bigquery.copy_table(place.table, target, location=LOCATION).result())
    place.grant(account.email, "roles/bigquery.dataEditor", datasetId=place.dataset)
    account.bigquery.copy_table(place.table, target, location=LOCATION).result()


def test_nobody_sees_the_jobs_and_results_of_another(place: Place, account: Account, cloud: RunningCloud) -> None:
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": cloud.url}}
    owners = bigquery.Client(PROJECT, location=LOCATION, **options).query("SELECT 'a secret' AS word")
    owners.result()
    for role in ("roles/bigquery.user", "roles/bigquery.dataViewer"):
        place.grant(account.email, role)
    assert "bigquery.jobs.get" in refused(lambda: account.bigquery.get_job(owners.job_id))
    assert "bigquery.jobs.update" in refused(lambda: account.bigquery.cancel_job(owners.job_id))
    assert "_owner" in refused(lambda: list(account.bigquery.list_rows(owners.destination)))
    hidden = str(owners.destination)
    assert "permission to query table" in refused(lambda: run(account, f"SELECT * FROM `{hidden}`"))
    own = account.bigquery.query("SELECT 1 AS a")
    own.result()
    assert account.bigquery.get_job(own.job_id).state == "DONE"
    assert [tuple(row) for row in account.bigquery.list_rows(own.destination)] == [(1,)]


def test_the_schema_of_a_dataset_is_not_everybodys(place: Place, account: Account) -> None:
    place.grant(account.email, "roles/bigquery.jobUser")
    sql = f"SELECT table_name FROM `{PROJECT}.{place.dataset}.INFORMATION_SCHEMA.TABLES`"
    assert "bigquery.tables.list" in refused(lambda: run(account, sql))
    place.grant(account.email, "roles/bigquery.metadataViewer", datasetId=place.dataset)
    assert {row.table_name for row in run(account, sql)} == {"crop", "ripe"}


def test_cloud_run_names_permission_and_job(place: Place, account: Account) -> None:
    job = f"projects/{PROJECT}/locations/{LOCATION}/jobs/press"
    with pytest.raises(Forbidden) as caught:
        account.jobs.run_job(name=job)
    denied = f"Permission 'run.jobs.run' denied on resource '{job}' (or resource may not exist)."
    assert denied in caught.value.message
    assert caught.value.details[0]["metadata"] == {"permission": "run.jobs.run", "resource": job}
    place.grant(account.email, "roles/run.jobsExecutor")
    overrides = run_v2.RunJobRequest.Overrides(task_count=1)
    with pytest.raises(Forbidden, match=r"run\.jobs\.runWithOverrides"):
        account.jobs.run_job(request=run_v2.RunJobRequest(name=job, overrides=overrides))
    with pytest.raises(NotFound):
        account.jobs.run_job(name=job)


def test_writing_logs_is_a_permission_of_its_own(place: Place, account: Account) -> None:
    door = place.cloud.state()["airflow_env"]["LOGGING_ENDPOINT"]
    headers = {"authorization": f"Bearer {account.token}"}
    entry = {"logName": f"projects/{PROJECT}/logs/press", "textPayload": "x", "resource": {"type": "global"}}

    def write() -> httpx.Response:
        return httpx.post(f"{door}/v2/entries:write", headers=headers, json={"entries": [entry]})

    assert write().json()["error"]["details"][0]["reason"] == "IAM_PERMISSION_DENIED"
    place.grant(account.email, "roles/logging.logWriter")
    assert write().status_code == 200
    names = {"resourceNames": [f"projects/{PROJECT}"]}
    assert httpx.post(f"{door}/v2/entries:list", headers=headers, json=names).status_code == 403


def test_a_denial_is_told_in_the_log_with_the_roles_that_would_help(place: Place, account: Account) -> None:
    refused(lambda: account.storage.get_bucket(place.name))
    filter = f'log_id("local-iam") AND jsonPayload.member="serviceAccount:{account.email}"'
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": filter}
    [entry] = httpx.post(f"{place.cloud.url}/v2/entries:list", json=body).json()["entries"]
    told = entry["jsonPayload"]
    assert (told["permission"], told["resource"]) == ("storage.buckets.get", f"projects/_/buckets/{place.name}")
    assert told["roles"][0] == "roles/storage.bucketViewer", "the smallest first"
    assert all(
        text in told["message"] for text in (account.email, told["permission"], told["resource"], told["roles"][0])
    )


@pytest.mark.parametrize(
    "path", ["/storage/v1/b/x/o", "/bigquery/v2/projects/p/datasets", "/v2/projects/p/logs", "/b/o"]
)
def test_without_a_token_of_this_cloud_nothing_is_answered(cloud: RunningCloud, path: str) -> None:
    door = cloud.state()["airflow_env"]["STORAGE_ENDPOINT"]
    for headers in ({}, {"authorization": "Bearer ya29.of-somewhere-else"}):
        answer = httpx.get(door + path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_policy_with_a_role_that_is_not_known_is_refused(place: Place) -> None:
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": place.cloud.url}}
    client = bigquery.Client(PROJECT, **options)
    policy = client.get_iam_policy(place.table)
    policy.bindings.append({"role": "roles/bigquery.filteredDataViewer", "members": {"user:a@example.com"}})
    with pytest.raises(Exception, match=r"filteredDataViewer.*local/iam/roles\.toml"):
        client.set_iam_policy(place.table, policy)


def test_the_readers_of_a_dataset_count(place: Place, account: Account) -> None:
    options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": place.cloud.url}}
    client = bigquery.Client(PROJECT, **options)
    dataset = client.get_dataset(f"{PROJECT}.{place.dataset}")
    entry = bigquery.AccessEntry("READER", "userByEmail", account.email)
    dataset.access_entries = [*dataset.access_entries, entry]
    client.update_dataset(dataset, ["access_entries"])
    assert list(account.bigquery.list_rows(place.table)) == []
    assert json.dumps(client.get_dataset(dataset.reference).to_api_repr()).count(account.email) == 1
