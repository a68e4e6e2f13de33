"""Versions and promotions in a bucket of the local cloud."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket

from service import objects, promotions, versions
from service.errors import BadData, UpstreamFailed
from service.promotions import Promotion

ORIGIN: dict[str, Any] = {
    "model": "churn",
    "run_date": "2024-05-01",
    "run_id": "churn-training-2024-05-01-0a1b2c3d",
    "execution": "x-1",
    "code_commit": "abc",
    "image_digest": None,
    "input_rows": 3,
    "input_fingerprint": "3-a-b",
    "metrics": {"auc": 0.7},
}


def learnt(folder: Path, **files: str) -> Path:
    """A folder as a training leaves it."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_version_comes_back_as_it_was_made(bucket: Bucket, tmp_path: Path) -> None:
    made = versions.publish(bucket, "v1", learnt(tmp_path / "a", weights="1 2", deep__er="3"), **ORIGIN)
    assert made.files["weights"]["size"] == 3
    read = versions.read(bucket, "v1")
    assert read == made
    versions.fetch(bucket, read, tmp_path / "b")
    found = {
        p.relative_to(tmp_path / "b").as_posix(): p.read_text() for p in (tmp_path / "b").rglob("*") if p.is_file()
    }
    assert found == {"weights": "1 2", "deep/er": "3"}
    assert [m.version for m in versions.all_of(bucket)] == ["v1"]


def test_a_version_that_was_half_uploaded_is_no_version(bucket: Bucket, tmp_path: Path) -> None:
    versions.publish(bucket, "v1", learnt(tmp_path, weights="1"), **ORIGIN)
    bucket.blob("versions/v2/weights").upload_from_string("2")
    assert [m.version for m in versions.all_of(bucket)] == ["v1"]
    with pytest.raises(BadData, match=r"'v2' has no manifest .* not complete"):
        versions.read(bucket, "v2")


def test_a_version_is_never_changed(bucket: Bucket, tmp_path: Path) -> None:
    folder = learnt(tmp_path, weights="1")
    versions.publish(bucket, "v1", folder, **ORIGIN)
    with pytest.raises(UpstreamFailed, match="'v1' exists already"):
        versions.publish(bucket, "v1", folder, **ORIGIN | {"execution": "x-2"})
    learnt(tmp_path, weights="other")
    with pytest.raises(PreconditionFailed):
        versions.publish(bucket, "v1", folder, **ORIGIN)


@pytest.mark.parametrize("again", ["1", "x"])
def test_a_file_that_was_replaced_is_not_used(bucket: Bucket, tmp_path: Path, again: str) -> None:
    made = versions.publish(bucket, "v1", learnt(tmp_path, weights="1"), **ORIGIN)
    bucket.blob("versions/v1/weights").upload_from_string(again)
    with pytest.raises(BadData, match=r"File 'weights' of version 'v1' .* was deleted or replaced"):
        versions.fetch(bucket, made, tmp_path / "b")


def test_a_file_that_is_not_what_the_manifest_says_is_not_used(bucket: Bucket, tmp_path: Path) -> None:
    made = versions.publish(bucket, "v1", learnt(tmp_path, weights="1"), **ORIGIN)
    made.files["weights"]["sha256"] = "0" * 64
    with pytest.raises(BadData, match="is not what the training made"):
        versions.fetch(bucket, made, tmp_path / "b")


@pytest.mark.parametrize(
    ("files", "said"), [({}, "left no file"), ({"manifest.json": "{}"}, "'manifest.json', a name")]
)
def test_a_training_must_leave_files_of_its_own(
    bucket: Bucket, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    with pytest.raises(BadData, match=said):
        versions.publish(bucket, "v1", learnt(tmp_path, **files), **ORIGIN)
    assert not list(bucket.list_blobs())


def test_no_two_attempts_make_the_same_version() -> None:
    ids = {versions.new_id(date(2024, 5, 1), attempt) for attempt in ("job-a", "job-a-1", "job-b")}
    assert len(ids) == 3
    assert all(made.startswith("2024-05-01-") for made in ids)


def live(promoted: list[tuple[str, str]], run_date: str) -> str | None:
    """The version that is live after promotions of (version, effective date)."""
    made = [
        Promotion(effective_date=on, recorded_time="", who="", from_version=None, to_version=version, why="")
        for version, on in promoted
    ]
    found = promotions.live_on(made, date.fromisoformat(run_date))
    return found.to_version if found else None


def test_the_last_promotion_in_effect_is_live() -> None:
    history = [("may", "2024-05-01"), ("july", "2024-07-01"), ("june, done late", "2024-06-01")]
    assert live(history, "2024-04-30") is None, "a backfill before the first version has none"
    assert live(history, "2024-05-01") == "may"
    assert live(history, "2024-06-30") == "june, done late"
    assert live(history, "2024-07-01") == "july", "a late training of an earlier month does not displace a later one"
    assert live([*history, ("july again", "2024-07-01")], "2024-08-01") == "july again"


def test_a_promotion_is_recorded_once_with_what_it_replaced(bucket: Bucket) -> None:
    assert promotions.history(bucket) == []
    for version in ("v1", "v2", "v2"):
        promotions.promote(bucket, version, effective_date=date(2024, 5, 1), who="ann", why="training")
    stored = json.loads(bucket.blob("live.json").download_as_bytes())["promotions"]
    assert [(p["from"], p["to"], p["who"], p["effective_date"]) for p in stored] == [
        (None, "v1", "ann", "2024-05-01"),
        ("v1", "v2", "ann", "2024-05-01"),
    ]


def test_promotions_at_the_same_time_are_all_recorded(bucket: Bucket) -> None:
    names = [f"v{at}" for at in range(4)]

    def promote(name: str) -> None:
        promotions.promote(bucket, name, effective_date=date(2024, 5, 1), who="x", why="y")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(promote, names))
    history = promotions.history(bucket)
    assert sorted(p.to_version for p in history) == names
    assert [p.from_version for p in history] == [None, *(p.to_version for p in history[:-1])]


def test_an_object_changes_only_from_what_was_read(bucket: Bucket) -> None:
    assert objects.read_json(bucket, "o") == (None, objects.ABSENT)
    assert objects.swap_json(bucket, "o", {"n": 1}, generation=objects.ABSENT)
    value, generation = objects.read_json(bucket, "o")
    assert objects.swap_json(bucket, "o", {"n": 2}, generation=generation)
    assert not objects.swap_json(bucket, "o", {"n": 3}, generation=generation), "somebody else was faster"
    assert objects.swap_json(bucket, "o", {"n": 2}, generation=generation), (
        "a repeated request of our own is no conflict"
    )
    assert (value, objects.read_json(bucket, "o")[0]) == ({"n": 1}, {"n": 2})


def test_a_repeated_upload_of_the_same_file_is_the_same_object(bucket: Bucket, tmp_path: Path) -> None:
    path = learnt(tmp_path, f="same") / "f"
    generation = objects.create_file(bucket, "f", path)
    assert objects.create_file(bucket, "f", path) == generation
    path.write_text("other")
    with pytest.raises(PreconditionFailed):
        objects.create_file(bucket, "f", path)
