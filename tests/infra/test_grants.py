"""Who may do what: each grant is the smallest there is."""

from collections.abc import Iterator

import pytest

from local.iam.tables import roles

from .conftest import Clone, Declared, Recorded

ON_A_PROJECT = "gcp:projects/iAMMember:IAMMember"
# Roles that no smaller resource offers.
PROJECT_ROLES = {"roles/bigquery.jobUser", "roles/composer.worker"}
MARK = "4dabf18193072939515e22adb298388d"  # of every marked value in Pulumi's protocol
MARKED_AS_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark, not a secret
READS_ONLY = {
    "roles/bigquery.dataViewer",
    "roles/bigquery.jobUser",
    "roles/bigquery.metadataViewer",
    "roles/run.viewer",
    "roles/secretmanager.secretAccessor",
    "roles/storage.bucketViewer",
    "roles/storage.objectViewer",
}


def _of(declared: Declared, account: str) -> Iterator[Recorded]:
    [member] = [
        f"serviceAccount:{a['accountId']}@accounts.example"
        for a in declared.of_type("gcp:serviceaccount/account:Account")
        if a.name == account
    ]
    return (grant for grant in declared.grants() if grant["member"] == member)


def _writes(declared: Declared, account: str) -> set[str]:
    """The tables, buckets and jobs that an account may change."""
    changing = [grant for grant in _of(declared, account) if grant["role"] not in READS_ONLY]
    return {
        str(g.inputs.get("tableId") or g.inputs.get("bucket") or g.inputs.get("name") or "project") for g in changing
    }


@pytest.fixture(params=["local", "dev", "protected"])
def declared(request: pytest.FixtureRequest) -> Declared:
    found: Declared = request.getfixturevalue(request.param)
    return found


def test_no_basic_role_is_granted(declared: Declared) -> None:
    basic = {"roles/owner", "roles/editor", "roles/viewer"}
    assert not [g for g in declared.grants() if g["role"] in basic], "BigQuery copies basic roles into datasets"


def test_no_grant_is_public(declared: Declared) -> None:
    assert not [g for g in declared.grants() if g["member"] in ("allUsers", "allAuthenticatedUsers")]


def test_every_role_that_is_granted_can_be_rehearsed(declared: Declared) -> None:
    assert {grant["role"] for grant in declared.grants()} <= set(roles()), "add it to local/iam/roles.toml"


def test_whoever_loads_from_a_bucket_may_see_the_bucket(declared: Declared) -> None:
    grants = [g for g in declared.grants() if str(g.inputs.get("bucket", "")).endswith("-runs")]
    loads = {g["member"] for g in grants if g["role"] == "roles/storage.objectUser"}
    assert loads == {g["member"] for g in grants if g["role"] == "roles/storage.bucketViewer"}


def test_a_project_wide_grant_is_one_that_has_no_smaller_place(declared: Declared) -> None:
    granted = {grant["role"] for grant in declared.of_type(ON_A_PROJECT)}
    assert granted == PROJECT_ROLES, "grant it on the resource"


def test_no_grant_is_on_a_dataset(declared: Declared) -> None:
    wide = [key for key in declared.resources if "datasetIam" in key[0]]
    assert not wide, "a dataset holds the tables of every model"


def test_only_additive_grants_are_used(declared: Declared) -> None:
    taking = [
        key for key in declared.resources if key[0].endswith(("IamBinding", "IamPolicy", "IAMBinding", "IAMPolicy"))
    ]
    assert not taking, "a binding or policy evicts what others have granted"


def test_there_are_no_account_keys(declared: Declared) -> None:
    assert not declared.of_type("gcp:serviceaccount/key:Key")


def test_training_cannot_write_predictions(local: Declared) -> None:
    assert _writes(local, "customer_value-training") == {
        "local-project-local-customer-value-models",
        "local-project-local-customer-value-runs",
        "customer_value_runs",
    }, "training makes versions, not predictions"


def test_application_cannot_write_versions(local: Declared) -> None:
    assert _writes(local, "customer_value-application") == {
        "local-project-local-customer-value-runs",
        "customer_value_runs",
        "customer_value",
    }, "application uses the live version, and cannot change which one that is"


def test_airflow_starts_jobs_and_writes_no_data_of_its_own_accord(local: Declared) -> None:
    assert _writes(local, "airflow") == {
        "local-customer-value-training",
        "local-customer-value-application",
        "project",  # composer.worker, which Composer demands
    }


def test_airflow_sees_numbers_of_rows_but_no_rows(local: Declared) -> None:
    roles = {g["role"] for g in _of(local, "airflow") if "tableId" in g.inputs}
    assert roles == {"roles/bigquery.metadataViewer"}


def test_airflow_is_not_the_account_of_a_job(local: Declared) -> None:
    accounts = {j["template"]["template"]["serviceAccount"] for j in local.of_type("gcp:cloudrunv2/job:Job")}
    assert accounts == {"customer-value-train-local@accounts.example", "customer-value-apply-local@accounts.example"}


def test_each_action_reads_the_tables_it_names_and_no_others(clone: Clone) -> None:
    def change(model: dict) -> None:  # type: ignore[type-arg]  # as PyYAML gives it
        model["training"]["reads"] = ["example_shop.transactions", "archive-project.sales.orders_2020"]
        model["application"]["reads"] = ["crm.contacts"]

    clone.add_model("churn_risk", change)
    declared = clone.run()

    def reads(account: str) -> set[tuple[str, str, str]]:
        viewing = [g for g in _of(declared, account) if g["role"] == "roles/bigquery.dataViewer"]
        return {(g["project"], g["datasetId"], g["tableId"]) for g in viewing}

    assert reads("churn_risk-training") == {
        ("local-project", "example_shop", "transactions"),
        ("archive-project", "sales", "orders_2020"),
    }
    assert reads("churn_risk-application") == {("local-project", "crm", "contacts")}


@pytest.mark.parametrize("read", ["example_shop.transactions", "local-project.example_shop.transactions"])
def test_a_grant_on_the_example_table_waits_for_the_table(clone: Clone, read: str) -> None:
    clone.add_model("churn_risk", lambda model: model["training"].update(reads=[read]))
    grant = clone.run().one("gcp:bigquery/iamMember:IamMember", f"churn_risk-training-reads-{read}")
    assert any("Table::example-shop-transactions" in urn for urn in grant.dependencies)


def test_an_input_object_opens_its_bucket_to_the_action_that_reads_it(clone: Clone) -> None:
    clone.add_model(
        "churn_risk", lambda m: m["application"].update(input={"uri": "gs://crm-exports/today.csv"}, reads=[])
    )
    grants = [g for g in clone.run().grants() if g.inputs.get("bucket") == "crm-exports"]
    assert [(g["role"], g["member"]) for g in grants] == [
        ("roles/storage.objectViewer", "serviceAccount:churn-risk-apply-local@accounts.example")
    ]


def test_a_secret_is_opened_before_the_job_that_reads_it(clone: Clone) -> None:
    clone.add_model("churn_risk", lambda model: model.update(secrets={"API_KEY": "weather-key:3"}))
    declared = clone.run()
    assert ("gcp:projects/service:Service", "secretmanager") in declared.resources
    job = declared.one("gcp:cloudrunv2/job:Job", "churn_risk-training")
    assert any("churn_risk-training-reads-weather-key" in urn for urn in job.dependencies)
    envs = {env["name"]: env for env in job["template"]["template"]["containers"][0]["envs"]}
    assert envs["API_KEY"]["valueSource"] == {"secretKeyRef": {"secret": "weather-key", "version": "3"}}, (
        "never a value"
    )


@pytest.mark.parametrize("stack", ["dev", "staging-of-the-new-team"])
@pytest.mark.parametrize("model", ["a", "churn_risk", "abcdefghij_klmnopqrs"])
def test_account_ids_fit_and_stay_apart(model: str, stack: str) -> None:
    from components.identity import account_id

    ids = {
        account_id(m, role, s) for m in (model, model[:-1] + "z") for role in ("train", "apply") for s in (stack, "x")
    }
    assert len(ids) == (8 if model[-1] != "z" else 4), "two roles or stacks must never share an account"
    for id in ids:
        assert 6 <= len(id) <= 30
        assert id[0].isalpha()
        assert set(id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not id.endswith("-")


def test_the_login_of_the_registry_is_a_secret(local: Declared) -> None:
    registries = local.one("docker-build:index:Image", "customer_value")["registries"]
    assert registries[MARK] == MARKED_AS_SECRET, "it would stand in previews and in the state"
    assert "a-token" in registries["value"][0].values()
    assert "a-token" not in str(local.outputs)


def test_versions_and_receipts_are_read_by_whom_they_are_for(local: Declared) -> None:
    def reads(account: str) -> set[str]:
        return {str(g.inputs.get("bucket")) for g in _of(local, account) if g["role"] == "roles/storage.objectViewer"}

    assert reads("customer_value-application") == {"local-project-local-customer-value-models"}, "it applies a version"
    assert reads("airflow") == {"local-project-local-customer-value-runs"}, "`check` compares receipts, and no versions"
    assert reads("customer_value-training") == set()
