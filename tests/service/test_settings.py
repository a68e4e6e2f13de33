"""The environment seam: what is required, what is recorded, and what a model's process may see."""

import hashlib
import re
from datetime import date
from pathlib import Path

import pytest

from service import settings
from service.errors import BadUsage

BY_HAND = {
    "GOOGLE_CLOUD_PROJECT": "acme-forecasts",
    "LOCATION": "europe-west3",
    "DATASET": "forecasts",
    "MODEL": "churn",
    "MODELS_BUCKET": "acme-churn-models",
    "RUNS_BUCKET": "acme-churn-runs",
    "MODEL_PYTHON": "/opt/model/bin/python",
}
JOB = BY_HAND | {
    "IMAGE_DIGEST": "sha256:12",
    "CODE_COMMIT": "unknown",
    "CLOUD_RUN_EXECUTION": "churn-application-x7k2p",
    "CLOUD_RUN_TASK_ATTEMPT": "1",
    "CLOUD_RUN_TASK_COUNT": "1",
}
DAY = date(2024, 5, 1)


def test_a_job_is_described_by_its_environment() -> None:
    read = settings.read(JOB, model=None, runs_model=True)
    assert (read.table, read.execution, read.attempt) == (
        "acme-forecasts.forecasts.churn",
        "churn-application-x7k2p",
        1,
    )
    assert not read.by_hand
    digits = hashlib.sha256(b"churn-application-x7k2p").hexdigest()[:8]
    assert read.run_id("application", DAY) == f"churn-application-2024-05-01-{digits}", "the same for every attempt"


def test_every_missing_name_is_listed_with_its_purpose() -> None:
    with pytest.raises(BadUsage) as raised:
        settings.read({"MODEL": "churn", "DATASET": "", "CLOUD_RUN_EXECUTION": "e"}, model=None, runs_model=True)
    for name in {*JOB} - {"MODEL", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_ATTEMPT", "CLOUD_RUN_TASK_COUNT"}:
        assert re.search(rf"\b{name} \(the ", str(raised.value)), f"{name} is not listed"
    assert "MODEL (" not in str(raised.value)


def test_a_model_is_not_taken_for_another_whose_buckets_the_environment_names() -> None:
    """A rollback of one model went to the versions of the other."""
    with pytest.raises(BadUsage, match=r"--model is 'uplift', but the environment is that of '\w+'.*MODEL=uplift"):
        settings.read(BY_HAND, model="uplift", runs_model=False)
    assert settings.read(BY_HAND, model=BY_HAND["MODEL"], runs_model=False).model == BY_HAND["MODEL"]


def test_by_hand_needs_no_image_and_names_its_own_execution() -> None:
    unnamed = {name: value for name, value in BY_HAND.items() if name != "MODEL"}
    first, second = (settings.read(unnamed, model="uplift", runs_model=False) for _ in range(2))
    assert first.by_hand
    assert re.fullmatch(r"manual-\d{14}-[0-9a-f]{8}", first.execution)
    assert first.execution != second.execution
    assert (first.model, first.image_digest) == ("uplift", None), "--model says what MODEL does not"
    settings.read({k: v for k, v in BY_HAND.items() if k != "MODEL_PYTHON"}, model=None, runs_model=False)


def test_a_commit_that_is_empty_is_refused_on_the_platform() -> None:
    with pytest.raises(BadUsage, match="CODE_COMMIT"):
        settings.read(JOB | {"CODE_COMMIT": ""}, model=None, runs_model=True)


@pytest.mark.parametrize("run_id", ["churn-training-2024-05-01-0a1b2c3d", "churn-application-2024-05-01-ÄÖ", "x" * 80])
def test_a_run_id_of_another_run_is_refused(run_id: str) -> None:
    read = settings.read(JOB | {"RUN_ID": run_id}, model=None, runs_model=True)
    with pytest.raises(BadUsage, match="is not an id of the application of 'churn' for 2024-05-01"):
        read.run_id("application", DAY)


def test_a_run_id_that_is_given_is_kept() -> None:
    given = "churn-training-2024-05-01-0a1b2c3d"
    assert settings.read(JOB | {"RUN_ID": given}, model=None, runs_model=True).run_id("training", DAY) == given


def test_tasks_are_known_by_number_and_count() -> None:
    env = JOB | {"CLOUD_RUN_TASK_COUNT": "3", "CLOUD_RUN_TASK_INDEX": "2"}
    read = settings.read(env, model=None, runs_model=True)
    assert (read.task_index, read.task_count) == (2, 3)
    with pytest.raises(BadUsage, match="CLOUD_RUN_TASK_INDEX is '3' of 3 tasks"):
        settings.read(env | {"CLOUD_RUN_TASK_INDEX": "3"}, model=None, runs_model=True)
    with pytest.raises(BadUsage, match="no CLOUD_RUN_EXECUTION that the tasks could share"):
        settings.read({n: v for n, v in env.items() if n != "CLOUD_RUN_EXECUTION"}, model=None, runs_model=True)


def test_the_model_sees_its_secrets_and_no_identity() -> None:
    env = JOB | {"PATH": "/bin", "GCE_METADATA_HOST": "m", "STORAGE_ENDPOINT": "http://s", "CRM_TOKEN": "hush"}
    read = settings.read(env, model=None, runs_model=True)
    seen = read.for_the_model({"CRM_TOKEN": "crm"}, Path("/work"))
    assert set(seen) == {"PATH", "CRM_TOKEN", "HOME", "TMPDIR", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    assert "hush" not in repr(read), "no secret in a message"
    with pytest.raises(BadUsage, match=r"DB_KEY \(secret 'db' of model.yaml\)"):
        read.for_the_model({"DB_KEY": "db"}, Path("/work"))
