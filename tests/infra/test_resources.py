"""Single resources: the values that matter, and why."""

import json

import pytest

from local import build_context
from service.spec import load_all
from service.table import RUNS_SCHEMA, prediction_schema

from .conftest import DIGEST, ROOT, Clone, Declared, Recorded

BUCKET = "gcp:storage/bucket:Bucket"
TABLE = "gcp:bigquery/table:Table"
JOB = "gcp:cloudrunv2/job:Job"
OBJECT = "gcp:storage/bucketObject:BucketObject"


@pytest.fixture(params=["customer_value-models", "customer_value-runs", "dags"])
def bucket(request: pytest.FixtureRequest, protected: Declared) -> Recorded:
    return protected.one(BUCKET, request.param)


def test_no_bucket_can_be_opened_to_the_public_or_object_by_object(bucket: Recorded) -> None:
    assert bucket["uniformBucketLevelAccess"] is True
    assert bucket["publicAccessPrevention"] == "enforced"


def test_what_is_overwritten_in_a_bucket_can_be_fetched_back_for_a_month(bucket: Recorded) -> None:
    assert bucket["versioning"] == {"enabled": True}
    noncurrent = [r for r in bucket["lifecycleRules"] if "daysSinceNoncurrentTime" in r["condition"]]
    assert [r["condition"]["daysSinceNoncurrentTime"] for r in noncurrent] == [30]
    assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": 604800}, "chosen, not left to Google's default"


def test_a_version_never_expires(local: Declared) -> None:
    rules = local.one(BUCKET, "customer_value-models")["lifecycleRules"]
    assert {rule["condition"]["withState"] for rule in rules} == {"ARCHIVED"}, "only what is no longer current may go"


def test_of_the_runs_only_staged_files_expire(local: Declared) -> None:
    rules = local.one(BUCKET, "customer_value-runs")["lifecycleRules"]
    current = [rule["condition"]["matchesPrefixes"] for rule in rules if rule["condition"]["withState"] == "LIVE"]
    assert current == [["input/", "output/"]], "plans and receipts are the record of what happened"


def test_the_dags_bucket_suits_composer(local: Declared) -> None:
    environment = local.one("gcp:composer/environment:Environment", "airflow")
    bucket = local.one(BUCKET, "dags")
    assert bucket["location"].lower() == environment["region"], "Composer takes a bucket of its own region only"
    assert bucket["storageClass"] == "STANDARD"
    assert not {"retentionPolicy", "hierarchicalNamespace"} & bucket.inputs.keys()
    assert environment["storageConfig"] == {"bucket": bucket["name"]}


def test_the_prediction_table_holds_a_partition_per_run_date(local: Declared) -> None:
    table = local.one(TABLE, "customer_value-predictions")
    [model] = load_all()
    assert json.loads(table["schema"]) == prediction_schema(model)
    assert table["tableId"] == model.name
    assert table["timePartitioning"] == {"type": "DAY", "field": "run_date"}, "and no partition expires"
    assert table["requirePartitionFilter"] is True
    assert table["clusterings"] == [model.entity_key]


def test_the_runs_table_has_the_columns_of_a_receipt(local: Declared) -> None:
    table = local.one(TABLE, "customer_value-runs")
    assert json.loads(table["schema"]) == RUNS_SCHEMA
    assert table["tableId"] == "customer_value_runs"


def test_tables_lie_in_the_datasets_that_the_stack_makes(local: Declared) -> None:
    made = {dataset["datasetId"] for dataset in local.of_type("gcp:bigquery/dataset:Dataset")}
    assert {table["datasetId"] for table in local.of_type(TABLE)} == made == {"predictions", "example_shop"}


def test_everything_is_in_one_place(protected: Declared) -> None:
    places = {
        str(r.inputs[k]).lower() for r in protected.resources.values() for k in ("location", "region") if k in r.inputs
    }
    assert places == {"us-east4"}, "BigQuery loads from and reads from its own location only"


def test_a_job_has_the_size_and_limits_of_its_action(clone: Clone) -> None:
    def change(model: dict) -> None:  # type: ignore[type-arg]  # as PyYAML gives it
        big = {"resources": {"cpu": 4, "memory_gib": 9.5}, "timeout_seconds": 86400, "max_retries": 0}
        model["training"].update(big)

    clone.add_model("churn_risk", change)
    declared = clone.run()
    training = declared.one(JOB, "churn_risk-training")["template"]["template"]
    assert training["containers"][0]["resources"] == {"limits": {"cpu": "4", "memory": "9728Mi"}}
    assert (training["timeout"], training["maxRetries"]) == ("86400s", 0)
    application = declared.one(JOB, "churn_risk-application")["template"]["template"]
    assert application["containers"][0]["resources"] == {"limits": {"cpu": "1", "memory": "2048Mi"}}


def test_a_job_runs_as_the_account_of_its_action(local: Declared) -> None:
    accounts = {a.name: a["accountId"] for a in local.of_type("gcp:serviceaccount/account:Account")}
    for name in ("customer_value-training", "customer_value-application"):
        assert local.one(JOB, name)["template"]["template"]["serviceAccount"] == f"{accounts[name]}@accounts.example"


def test_a_job_runs_one_task_and_starts_none_when_deployed(local: Declared) -> None:
    for job in local.of_type(JOB):
        assert job["template"]["taskCount"] == 1, "two tasks would deliver the same partition"
        assert not {"startExecutionToken", "runExecutionToken"} & job.inputs.keys()


def test_an_application_that_is_split_runs_its_tasks_at_once(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda model: model["application"].update(tasks=7))
    declared = clone.run()
    template = declared.one(JOB, "churn_risk-application")["template"]
    assert (template["taskCount"], template["parallelism"]) == (7, 7)
    assert declared.one(JOB, "churn_risk-training")["template"]["taskCount"] == 1
    document = next(o["source"] for o in declared.of_type(OBJECT) if o.name.endswith("churn_risk_application.dag.json"))
    assert "in 7 tasks" in json.loads(document)["doc_md"]


def test_an_image_is_named_by_its_digest_wherever_it_is_used(local: Declared) -> None:
    for job in local.of_type(JOB):
        container = job["template"]["template"]["containers"][0]
        assert container["image"] == f"registry.example/predictions-local/customer_value@{DIGEST}", "a tag can move"
        assert {"name": "IMAGE_DIGEST", "value": DIGEST} in container["envs"]
    documents = [json.loads(o["source"]) for o in local.of_type(OBJECT) if o.name.endswith(".dag.json")]
    assert [document["image_digest"] for document in documents] == [DIGEST, DIGEST]


def test_an_image_is_built_for_the_platform_that_runs_it_and_never_deleted(local: Declared) -> None:
    image = local.one("docker-build:index:Image", "customer_value")
    assert image["platforms"] == ["linux/amd64"]
    assert image["buildArgs"] == {"MODEL": "customer_value"}
    assert image["push"] is True
    assert image["context"]["location"] == "..", "an absolute path would differ between two clones"
    assert image["dockerfile"]["location"] == "../.build/customer_value.Dockerfile"
    assert image.retain_on_delete, "the next image may have the same digest"


def test_the_context_of_an_image_holds_its_own_model_alone(clone: Clone) -> None:
    clone.add_model("churn_risk")
    images = clone.run().of_type("docker-build:index:Image")
    assert len(images) == 2
    for image, other in zip(images, reversed(images), strict=True):
        dockerfile = (clone.root / "infra" / image["dockerfile"]["location"]).resolve()
        assert dockerfile.read_text() == (ROOT / "container" / "Dockerfile").read_text(), "there is one recipe"
        context = {str(path) for path in build_context.files(clone.root, dockerfile)}
        assert f"service/models/{image.name}/model.yaml" in context
        assert "container/requirements.txt" in context
        assert not [path for path in context if path.startswith(f"service/models/{other.name}/")]


def test_a_prebuilt_image_is_taken_instead_of_building_one(clone: Clone) -> None:
    clone.add_model("churn_risk")
    reference = "eu-docker.pkg.dev/builds/models/churn_risk@sha256:" + "0a" * 32
    declared = clone.run(prebuiltImages=json.dumps({"churn_risk": reference}))
    assert [image.name for image in declared.of_type("docker-build:index:Image")] == ["customer_value"]
    container = declared.one(JOB, "churn_risk-training")["template"]["template"]["containers"][0]
    assert container["image"] == reference
    assert {"name": "IMAGE_DIGEST", "value": reference.partition("@")[2]} in container["envs"]


def test_composer_gets_the_time_it_needs(local: Declared) -> None:
    environment = local.one("gcp:composer/environment:Environment", "airflow")
    assert environment.timeouts["create"] == "90m", "some of its failures show only after 40 minutes"


def test_composer_is_small_pinned_and_has_an_account_of_its_own(local: Declared) -> None:
    config = local.one("gcp:composer/environment:Environment", "airflow")["config"]
    assert config["environmentSize"] == "ENVIRONMENT_SIZE_SMALL"
    assert config["softwareConfig"] == {"imageVersion": "composer-3-airflow-3.3.1-build.2"}, "no package, no variable"
    assert config["nodeConfig"]["serviceAccount"] == "airflow-local@accounts.example"
    assert config["workloadsConfig"]["triggerer"]["count"] >= 1


def test_composer_waits_for_the_role_of_its_account(local: Declared) -> None:
    [component] = local.of_type("prediction:infra:ComposerEnvironment")
    assert any("airflow-works-for-composer" in urn for urn in component.dependencies), "else Composer answers 400"


def test_composer_is_maintained_when_no_run_begins(local: Declared) -> None:
    window = local.one("gcp:composer/environment:Environment", "airflow")["config"]["maintenanceWindow"]
    start, end = (window[name].partition("T")[2] for name in ("startTime", "endTime"))
    [model] = load_all()
    for action in model.actions.values():
        minute, hour = action.schedule.cron.split()[:2]
        assert not start <= f"{int(hour):02}:{int(minute):02}" <= end, f"{action.name} would be cut off"
