"""The whole program: what it declares for each stack, taken together."""

import inspect
import re

import pulumi_gcp
import pytest

from .conftest import DIGEST, Clone, Declared, configuration, run

HOLDS_DATA = {
    "gcp:artifactregistry/repository:Repository",
    "gcp:bigquery/dataset:Dataset",
    "gcp:bigquery/table:Table",
    "gcp:composer/environment:Environment",
    "gcp:storage/bucket:Bucket",
}
ALL_RUNS = ("gcp:bigquery/table:Table", "runs")


def test_stacks_differ_in_values_only(local: Declared, dev: Declared) -> None:
    assert {key[0] for key in local.resources} == {key[0] for key in dev.resources}, "one program serves every stack"


def test_a_first_preview_declares_what_up_does(local: Declared) -> None:
    preview = run(configuration("local"), preview=True)
    assert preview.resources.keys() == local.resources.keys(), "no resource may hang on a value that a preview lacks"


def test_a_second_run_declares_the_same() -> None:
    first, second = (run(configuration("local")) for _ in range(2))
    assert first == second, "a clock or a random name would change each preview"


def test_every_resource_belongs_to_a_component(local: Declared) -> None:
    for (type, name), resource in local.resources.items():
        parent = resource.parent.partition("::")[2]
        if not type.startswith("prediction:infra:"):
            assert "prediction:infra:" in parent, f"{type} {name} has left its component"


def test_everything_waits_for_the_apis(local: Declared) -> None:
    waiting = ["ImageRegistry", "Warehouse", "ModelBuckets", "ModelIdentities", "PredictionJobs", "DagsBucket"]
    for component in [r for r in local.resources.values() if r.type.rpartition(":")[2] in waiting]:
        assert any("projects/service" in urn for urn in component.dependencies), f"{component.type} may come too early"


def test_an_api_stays_on_when_the_stack_goes(local: Declared) -> None:
    services = local.of_type("gcp:projects/service:Service")
    assert {s["disableOnDestroy"] for s in services} == {False}, "others in the project use the same API"


def test_every_resource_that_can_carry_labels_says_whose_it_is(protected: Declared) -> None:
    for (type, name), resource in protected.resources.items():
        if type.startswith("gcp:"):
            package, _, class_name = type.removeprefix("gcp:").partition("/")[0], "", type.rpartition(":")[2]
            accepts = inspect.signature(getattr(getattr(pulumi_gcp, package), class_name)._internal_init).parameters
            # Where `labels` are something else, the labels of the user have a name of their own.
            labels = next((key for key in ("userLabels", "labels") if _snake(key) in accepts), None)
            if labels:
                assert {"stack", "owner"} <= resource[labels].keys(), f"{type} {name}: who pays for it?"


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def test_what_holds_data_is_protected_where_the_stack_says_so(protected: Declared) -> None:
    for resource in protected.resources.values():
        assert resource.protect == (resource.type in HOLDS_DATA and "view" not in resource.inputs), resource
    for table in protected.tables():
        assert table["deletionProtection"] is True
    for job in protected.of_type("gcp:cloudrunv2/job:Job"):
        assert job["deletionProtection"] is True
    for bucket in protected.of_type("gcp:storage/bucket:Bucket"):
        assert bucket["forceDestroy"] is False
    for dataset in protected.of_type("gcp:bigquery/dataset:Dataset"):
        assert dataset["deleteContentsOnDestroy"] is False


def test_a_stack_that_may_vanish_leaves_nothing(dev: Declared) -> None:
    assert not [r for r in dev.resources.values() if r.protect]
    for table in dev.of_type("gcp:bigquery/table:Table"):
        assert table["deletionProtection"] is False, "it would have to be taken off by an `up` of its own first"
    for job in dev.of_type("gcp:cloudrunv2/job:Job"):
        assert job["deletionProtection"] is False, "Google's default is true"
    for bucket in dev.of_type("gcp:storage/bucket:Bucket"):
        assert bucket["forceDestroy"] is True
        assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": 0}, "deleted data would be paid for a week"


def test_names_follow_the_stack(protected: Declared) -> None:
    texts = str([r.inputs for r in protected.resources.values() if r.type != "gcp:storage/bucketObject:BucketObject"])
    for value in configuration("local").values():
        if value in ("local-project", "europe-west1"):
            assert value not in texts, f"'{value}' is wired in"
    assert protected.outputs["dataset"] == "acme-forecasts.forecasts"
    assert protected.outputs["jobs"]["customer_value"]["training"] == (
        "projects/acme-forecasts/locations/us-east4/jobs/prod-customer-value-training"
    )


def test_outputs_say_where_everything_lies(local: Declared) -> None:
    assert local.outputs == {
        "airflow": {
            "environment": "predictions-local",
            "dags_bucket": "local-project-local-dags",
            "uri": "https://airflow.example",
        },
        "dataset": "local-project.predictions",
        "tables": {"customer_value": "local-project.predictions.customer_value"},
        "latest": {"customer_value": "local-project.predictions.customer_value_latest"},
        "runs": "local-project.predictions.runs",
        "buckets": {
            "customer_value": {
                "models": "local-project-local-customer-value-models",
                "runs": "local-project-local-customer-value-runs",
            }
        },
        "images": {"customer_value": f"registry.example/predictions-local/customer_value@{DIGEST}"},
        "jobs": {
            "customer_value": {
                "training": "projects/local-project/locations/europe-west1/jobs/local-customer-value-training",
                "application": "projects/local-project/locations/europe-west1/jobs/local-customer-value-application",
            }
        },
        "dags": {
            "customer_value": {
                "training": "local_customer_value_training",
                "application": "local_customer_value_application",
            }
        },
    }


@pytest.mark.parametrize("name", ["churn_risk", "a", "abcdefghij_klmnopqrs"])
def test_another_model_only_adds(clone: Clone, name: str) -> None:
    before = clone.run()
    clone.add_model(name)
    after = clone.run()
    for key, resource in before.resources.items():
        if key != ALL_RUNS:  # the view of all runs; see test_views.py
            assert after.resources[key].inputs == resource.inputs, f"{key} belongs to no model or to another"
    added = after.resources.keys() - before.resources.keys()
    of_one_model = [key for key in before.resources if "customer_value" in key[1]]
    assert len(added) == len(of_one_model), "each model has its own of everything"


def test_another_models_identities_open_nothing_of_the_first(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda model: model["training"].update(reads=[]))
    declared = clone.run()
    own = {r.inputs["accountId"]: r.name for r in declared.of_type("gcp:serviceaccount/account:Account")}
    for grant in declared.grants():
        account = own[grant["member"].removeprefix("serviceAccount:").partition("@")[0]]
        if account.startswith("churn_risk"):
            assert "customer" not in str({k: v for k, v in grant.inputs.items() if k != "role"}), grant


def test_a_missing_file_of_a_model_ends_the_program_with_its_name(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda model: model["training"].update(config="nowhere.json"))
    with pytest.raises(Exception, match=r"churn_risk.*nowhere\.json"):
        clone.run()


def test_names_that_grow_too_long_are_refused_before_google_does(clone: Clone) -> None:
    clone.add_model("abcdefghij_klmnopqrs")
    with pytest.raises(Exception, match=r"Bucket 'a-project-with-30-characters-.* has 66 characters.*Shorten"):
        run(
            configuration("local") | {"gcp:project": "a-project-with-30-characters-x"},
            stack="staging",
            root=clone.root,
        )
