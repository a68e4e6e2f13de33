"""Airflow's database before its first start: made once, then copied."""

from pathlib import Path

import pytest

from local import airflow_database
from local.composer import installed_airflow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def template(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "predictions" / "airflow" / installed_airflow() / "airflow.db"


def test_a_new_home_gets_a_copy_of_the_template(home: Path, tmp_path: Path) -> None:
    template(tmp_path).parent.mkdir(parents=True)
    template(tmp_path).write_text("tables")
    airflow_database.prepare(home, {})
    assert [p.name for p in home.iterdir()] == ["airflow.db"]
    assert (home / "airflow.db").read_text() == "tables"


def test_the_history_of_a_home_is_kept(home: Path) -> None:
    (home / "airflow.db").write_text("runs of last week")
    airflow_database.prepare(home, {})
    assert (home / "airflow.db").read_text() == "runs of last week"


@pytest.mark.airflow
def test_a_database_that_cannot_be_made_says_why_and_leaves_no_template(home: Path, tmp_path: Path) -> None:
    env = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/airflow.db"}
    with pytest.raises(airflow_database.NotMade, match="unable to open database file"):
        airflow_database.prepare(home, env)
    assert not template(tmp_path).exists()
    assert not (home / "airflow.db").exists()
