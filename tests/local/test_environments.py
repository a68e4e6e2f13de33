"""Environments are built once from their locks, whole or not at all."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local import environments
from local.pip_settings import uv_environment


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


def lock(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "requirements.txt"
    file.write_text(text)
    return file


def test_an_empty_lock_gives_an_interpreter_without_packages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    python = environments.ensure(lock(tmp_path))
    code = "import sys; print(sys.prefix, sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{python.parent.parent} {sys.version_info[:2]}"
    out, err = capfd.readouterr()
    assert not out, "stdout belongs to data"
    assert "building the environment of" in err


def test_equal_locks_share_an_environment_and_others_do_not(tmp_path: Path) -> None:
    first = environments.ensure(lock(tmp_path / "a", "# no packages\n"))
    inode = first.parent.stat().st_ino
    assert environments.ensure(lock(tmp_path / "b", "# no packages\n")) == first
    assert first.parent.stat().st_ino == inode, "the second call must not build again"
    assert environments.location(lock(tmp_path / "c", "# nothing at all\n")) != first


def test_many_callers_at_once_get_one_whole_environment(tmp_path: Path) -> None:
    requirements, found = lock(tmp_path), []
    threads = [threading.Thread(target=lambda: found.append(environments.ensure(requirements))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert not list(found[0].parent.parent.parent.glob("*.new"))


def test_what_a_killed_build_left_does_not_count(tmp_path: Path) -> None:
    requirements = lock(tmp_path)
    folder = environments.location(requirements).parent.parent
    (folder.with_suffix(".new") / "bin").mkdir(parents=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(tmp_path / "removed-python")
    assert environments.ensure(requirements).resolve().exists()
    assert not folder.with_suffix(".new").exists()


def test_a_missing_lock_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(environments.EnvironmentFailed, match="make lock"):
        environments.ensure(tmp_path / "requirements.txt")


def test_a_lock_without_hashes_is_refused_with_the_package(tmp_path: Path) -> None:
    requirements = lock(tmp_path, "iniconfig==2.0.0\n")
    with pytest.raises(environments.EnvironmentFailed, match=r"(?s)iniconfig.*make lock"):
        environments.ensure(requirements)
    assert not environments.location(requirements).exists(), "a failed build leaves nothing behind"


def test_the_locks_are_the_services_and_each_models(tmp_path: Path) -> None:
    for name in ("churn", "demand"):
        (tmp_path / "service" / "models" / name).mkdir(parents=True)
        (tmp_path / "service" / "models" / name / "model.yaml").touch()
    (tmp_path / "service" / "models" / "__pycache__").mkdir()
    names = [str(path.relative_to(tmp_path).parent) for path in environments.locks(tmp_path)]
    assert names == ["container", "service/models/churn", "service/models/demand"]


def test_pips_variables_become_uvs(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:8/a\nhttp://127.0.0.1:8/b",
        "PIP_FIND_LINKS": "/wheels /more",
    }
    found = uv_environment(environ)
    assert found["UV_DEFAULT_INDEX"] == "http://127.0.0.1:9/simple"
    assert found["UV_INDEX"] == "http://127.0.0.1:8/a http://127.0.0.1:8/b"
    assert found["UV_FIND_LINKS"] == "/wheels,/more"
    assert "UV_DEFAULT_INDEX" not in uv_environment(environ | {"UV_DEFAULT_INDEX": "x"}), "uv's own variables win"


def test_pips_files_count_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = http://127.0.0.1:7/simple\n[install]\nfind-links = /shared\n")
    found = uv_environment({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(file), "PIP_FIND_LINKS": "/mine"})
    assert found["UV_DEFAULT_INDEX"] == "http://127.0.0.1:7/simple"
    assert found["UV_FIND_LINKS"] == "/mine"
    assert uv_environment({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}) == {}
