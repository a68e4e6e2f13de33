"""Images without Docker: the digest changes with the content and with nothing else."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local import images
from local.wire import CloudError

MAIN = """
import json, os, pathlib, sys
here = pathlib.Path.cwd()
print(json.dumps([sys.argv[1:], str(here), sorted(str(p.relative_to(here)) for p in here.rglob("*"))]))
"""
IGNORED = "*\n!service\n!container\n**/notes\n**/__pycache__\n**/tests\nservice/models/*/data/*.tmp\n"
FILES = {
    ".dockerignore": f"# the allow-list\n{IGNORED}",
    "README.md": "not in the image",
    "container/Dockerfile": "FROM scratch\n",
    "container/Dockerfile.dockerignore": f"{IGNORED}container/*.dockerignore\nservice/models/churn\n",
    "container/requirements.txt": "",
    "service/__init__.py": "",
    "service/__main__.py": MAIN,
    "service/__pycache__/x.pyc": "cache",
    "service/models/demand/requirements.txt": "",
    "service/models/demand/model.yaml": "name: demand\n",
    "service/models/demand/data/keep.csv": "a,b\n",
    "service/models/demand/data/drop.tmp": "scratch",
    "service/models/demand/notes/idea.txt": "private",
    "service/models/demand/tests/test_demand.py": "assert True\n",
    "service/models/churn/requirements.txt": "",
    "service/models/churn/model.yaml": "name: churn\n",
}
IN_IMAGE = [
    "container/Dockerfile",
    "container/requirements.txt",
    "service/__init__.py",
    "service/__main__.py",
    "service/models/demand/data/keep.csv",
    "service/models/demand/model.yaml",
    "service/models/demand/requirements.txt",
]
Build = Callable[..., str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments are built once for the module: all locks here are empty."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def context(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for name, text in FILES.items():
        file = tmp_path / "clone" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "clone"


@pytest.fixture
def build(context: Path, tmp_path: Path) -> Build:
    def build(**build_args: str) -> str:
        dockerfile = context / "container" / "Dockerfile"
        args = build_args or {"MODEL": "demand"}
        return images.build(tmp_path / "images", context=context, dockerfile=dockerfile, build_args=args)

    return build


def contents(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != "image.json")


def test_an_image_holds_the_allowed_files_of_one_model(build: Build, tmp_path: Path) -> None:
    digest = build()
    assert contents(tmp_path / "images" / digest.removeprefix("sha256:")) == IN_IMAGE


def test_the_same_content_has_the_same_digest_whatever_its_modes_and_times(build: Build, context: Path) -> None:
    first = build()
    for file in context.rglob("*.py"):
        file.chmod(0o700)
        os.utime(file, (1, 1))
    (context / "README.md").write_text("changed")
    (context / "service/__pycache__/x.pyc").write_text("changed")
    (context / "service/models/churn/model.yaml").write_text("changed: another model's file\n")
    assert build() == first


@pytest.mark.parametrize("name", ["service/__main__.py", "service/models/demand/data/keep.csv", "container/Dockerfile"])
def test_a_changed_file_of_the_image_changes_the_digest(build: Build, context: Path, name: str) -> None:
    first = build()
    (context / name).write_text((context / name).read_text() + "\n")
    assert build() != first


def test_a_renamed_file_and_another_build_argument_change_the_digest(build: Build, context: Path) -> None:
    digests = {build(), build(MODEL="demand", MODE="x"), build(MODEL="demand", MODE="y")}
    (context / "service/models/demand/data/keep.csv").rename(context / "service/models/demand/data/kept.csv")
    assert len(digests | {build()}) == 4


def test_a_link_is_kept_as_a_link(build: Build, context: Path, tmp_path: Path) -> None:
    (context / "service/models/demand/latest.csv").symlink_to("data/keep.csv")
    digest = build()
    assert (tmp_path / "images" / digest.removeprefix("sha256:") / "service/models/demand/latest.csv").is_symlink()


def test_an_image_starts_as_its_entrypoint_says(build: Build, tmp_path: Path) -> None:
    image = images.command(tmp_path / "images", f"europe-docker.example/acme/demand@{build()}")
    run = subprocess.run(
        [*image.argv, "apply", "--run-date", "2024-05-01"],
        cwd=image.workdir,
        env=dict(image.env),
        capture_output=True,
        check=True,
    )
    arguments, folder, files = json.loads(run.stdout)
    assert arguments == ["apply", "--run-date", "2024-05-01"]
    assert folder == str(image.workdir)
    assert not [name for name in files if "__pycache__" in name], "a running image does not change"
    assert subprocess.run([image.env["MODEL_PYTHON"], "-c", ""], check=True).returncode == 0


def test_a_reference_without_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="not named by its digest") as failure:
        images.command(tmp_path, "europe-docker.example/acme/demand:latest")
    assert failure.value.status == 400


def test_an_unknown_image_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="pulumi up") as failure:
        images.command(tmp_path, f"demand@sha256:{'0' * 64}")
    assert failure.value.status == 404


def test_a_lost_environment_is_named(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = build()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "emptied"))
    with pytest.raises(CloudError, match=r"lost its environment .*emptied.*make setup"):
        images.command(tmp_path / "images", f"demand@{digest}")


@pytest.mark.parametrize("model", ["", "missing", "../models/demand"])
def test_a_model_that_is_not_there_is_refused(build: Build, model: str) -> None:
    with pytest.raises(CloudError, match="names no folder") as failure:
        build(MODEL=model)
    assert failure.value.status == 400


def test_a_model_without_a_lock_is_refused_with_the_way_out(build: Build, context: Path) -> None:
    (context / "service/models/demand/requirements.txt").unlink()
    with pytest.raises(CloudError, match=r"service/models/demand/requirements\.txt.*make lock"):
        build()


def test_a_killed_build_leaves_nothing_that_counts(build: Build, tmp_path: Path) -> None:
    (tmp_path / "images" / ".new-abc" / "service").mkdir(parents=True)
    digest = build()
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert names == {digest.removeprefix("sha256:"), "build.lock"}
