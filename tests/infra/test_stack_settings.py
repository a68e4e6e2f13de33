"""The stack's values: each declared, read, checked, and a mistake answered with the way out."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pytest
import yaml
from keys import KEYS
from settings import Composer, ExistingAirflow, SettingsError, code_commit, label, read

from .conftest import ROOT, Clone, configuration

DECLARED = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def _refused(config: Mapping[str, str], stack: str = "dev") -> str:
    with pytest.raises(SettingsError) as refused:
        read(stack, config)
    return str(refused.value)


def test_pulumi_yaml_declares_exactly_the_keys_that_are_read() -> None:
    read_keys = {key.removeprefix("predictions:") for key in KEYS if key.startswith("predictions:")}
    assert DECLARED.keys() == read_keys


@pytest.mark.parametrize("key", DECLARED)
def test_each_key_has_a_type_and_a_description(key: str) -> None:
    assert DECLARED[key]["type"] in ("string", "boolean", "integer", "array", "object")
    assert len(DECLARED[key]["description"]) > 20
    assert "default" in DECLARED[key], "else the command line stops first, without naming file and command"


@pytest.mark.parametrize("stack", sorted(p.name.split(".")[1] for p in ROOT.glob("Pulumi.*.yaml")))
def test_each_stack_of_this_clone_is_complete(stack: str) -> None:
    assert read(stack, configuration(stack)).name == stack


@pytest.mark.parametrize("stack", ["dev", "local"])
def test_stacks_differ_only_where_a_comment_says_why(stack: str) -> None:
    here, prod = configuration(stack), configuration("prod")
    lines = [line for name in (stack, "prod") for line in (ROOT / f"Pulumi.{name}.yaml").read_text().splitlines()]
    for key in here:
        if here[key] != prod[key]:
            found = [line for line in lines if line.strip().startswith(f"{key}:")]
            assert any(" # " in line for line in found), f"{key} differs between {stack} and prod without a reason"


def test_only_dev_and_local_may_lose_data() -> None:
    stacks = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
    assert [s for s in stacks if not read(s, configuration(s)).protect_data] == ["dev", "local"]


def test_values_arrive_as_what_they_mean() -> None:
    settings = read("local", configuration("local"))
    assert settings.project == "local-project"
    assert settings.protect_data is False
    assert settings.example_source is True
    assert settings.wait_interval_seconds == 1
    assert settings.airflow == Composer(image_version="composer-3-airflow-3.3.1-build.2")
    assert settings.prebuilt_images == {}
    assert settings.alert_emails == ()
    assert read("dev", configuration("dev") | {"predictions:alertEmails": '["a@b.example"]'}).alert_emails == (
        "a@b.example",
    )


@pytest.mark.parametrize("key", ["gcp:project", "gcp:region", "predictions:dataset", "predictions:orchestrator"])
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_key_is_named_with_its_file_and_command(key: str, absent: bool) -> None:
    config = configuration("dev") | {key: ""}
    if absent:
        del config[key]
    text = _refused(config)
    assert f"Pulumi.dev.yaml: '{key}' is missing. Set it: pulumi config set --stack dev {key} VALUE" in text


def test_all_faults_are_named_at_once() -> None:
    config = configuration("dev") | {"predictions:owner": "", "predictions:protectData": "yes", "gcp:region": "europe"}
    text = _refused(config)
    assert "'predictions:owner' is missing" in text
    assert "'predictions:protectData' is 'yes'. Set it to true or false" in text
    assert "'gcp:region' is 'europe'. Set it to one region, such as" in text


def test_a_misspelt_key_is_named_with_the_nearest() -> None:
    text = _refused(configuration("dev") | {"predictions:protectdata": "true"})
    assert "'predictions:protectdata' is unknown. Did you mean 'predictions:protectData'?" in text
    assert "pulumi config rm --stack dev predictions:protectdata" in text


def test_a_misspelt_namespace_is_unknown_too() -> None:
    assert "'prediction:dataset' is unknown" in _refused(configuration("dev") | {"prediction:dataset": "x"})


def test_keys_of_the_providers_are_left_to_them() -> None:
    read("dev", configuration("dev") | {"gcp:impersonateServiceAccount": "deployer@example", "docker-build:host": "x"})


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("gcp:project", "My Project"),
        ("gcp:region", "EU"),
        ("predictions:dataset", "predictions-dev"),
        ("predictions:orchestrator", "airflow"),
        ("predictions:composerImageVersion", "composer-3-airflow-3"),
        ("predictions:composerImageVersion", "composer-3-airflow-2.10.5-build.1"),
        ("predictions:existingDagsBucket", "gs://bucket"),
        ("predictions:existingAirflowAccount", "serviceAccount:airflow@example"),
        ("predictions:waitIntervalSeconds", "0"),
        ("predictions:waitIntervalSeconds", "2.5"),
        ("predictions:alertEmails", "a@b.example"),
        ("predictions:alertEmails", '["the team"]'),
        ("predictions:prebuiltImages", '{"customer_value": "registry.example/customer_value:latest"}'),
        ("predictions:prebuiltImages", '{"customer_value": "registry.example/x@sha256:0a1b"}'),
        ("predictions:prebuiltImages", '["registry.example/x"]'),
        ("predictions:prebuiltImages", "customer_value"),
    ],
)
def test_a_wrong_value_is_quoted_with_what_would_be_right(key: str, wrong: str) -> None:
    text = _refused(configuration("dev") | {key: wrong})
    assert f"Pulumi.dev.yaml: '{key}' is '{wrong}'. Set it to " in text
    commands = (f"{key} VALUE", f"--path {key}.MODEL IMAGE", f"--path {key}[0] EMAIL")
    assert any(f"pulumi config set --stack dev {command}" in text for command in commands)


@pytest.mark.parametrize("stack", ["Dev", "dev_1", "1dev", "dev.eu", "dev-"])
def test_a_stack_whose_name_cannot_be_part_of_others_is_refused(stack: str) -> None:
    assert f"'{stack}' becomes part of names" in _refused(configuration("dev"), stack)


def test_an_existing_environment_is_read_whole() -> None:
    existing = {
        "predictions:orchestrator": "existing",
        "predictions:existingEnvironment": "shared",
        "predictions:existingDagsBucket": "shared-dags",
        "predictions:existingAirflowAccount": "airflow@example",
    }
    assert read("dev", configuration("dev") | existing).airflow == ExistingAirflow(
        environment="shared", dags_bucket="shared-dags", account="airflow@example"
    )


def test_an_image_for_a_model_that_does_not_exist_is_refused(clone: Clone) -> None:
    image = "registry.example/x@sha256:" + "00" * 32
    with pytest.raises(pulumi.RunError, match="names 'costumer_value', but no model has that name"):
        clone.run(prebuiltImages=f'{{"costumer_value": "{image}"}}')


def test_an_owner_becomes_a_label_that_google_takes() -> None:
    assert label("Data-Science+EU@example.com") == "data-science_eu_example_com"
    assert len(label("x" * 100)) == 63


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit that reaches the image of `churn_risk` and later ones that do not."""
    for file, message in (("service/cli.py", "one"), ("README.md", "two"), ("service/models/other/main.py", "three")):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("text")
        _git(tmp_path, "init", "--quiet")
        _git(tmp_path, "add", ".")
        _git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", message)
    return tmp_path


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_the_last_that_reached_the_image(repository: Path) -> None:
    assert code_commit("churn_risk", repository) == _git(repository, "rev-parse", "HEAD~2"), (
        "other commits must change no resource"
    )


def test_changes_outside_the_image_leave_the_commit_clean(repository: Path) -> None:
    (repository / "README.md").write_text("changed")
    (repository / "service/models/other/main.py").write_text("changed")
    assert not code_commit("churn_risk", repository).endswith("-dirty")


@pytest.mark.parametrize(
    "file", ["service/cli.py", "service/new.py", "service/models/churn_risk/model.yaml", "container/Dockerfile"]
)
def test_a_changed_or_new_file_of_the_image_makes_the_commit_dirty(repository: Path, file: str) -> None:
    (repository / file).parent.mkdir(parents=True, exist_ok=True)
    (repository / file).write_text("changed")
    assert code_commit("churn_risk", repository) == _git(repository, "rev-parse", "HEAD~2") + "-dirty"


def test_without_git_the_commit_is_unknown(tmp_path: Path) -> None:
    assert code_commit("churn_risk", tmp_path) == "unknown"
