"""Listing objects: order, pages, prefixes, globs."""

from xml.etree import ElementTree

import httpx
import pytest
from google.cloud import storage

from local.storage.listing import after, glob_pattern
from tests.conftest import RunningCloud

pytest_plugins = ["tests.local.storage_fixtures"]
pytestmark = pytest.mark.client

TREE = ("a", "a/", "a/1", "a/2", "a/b/3", "b/4", "b.txt", "ä", "z")


@pytest.fixture
def tree(bucket: storage.Bucket) -> storage.Bucket:
    for name in TREE:
        bucket.blob(name).upload_from_string(name)
    return bucket


def names(bucket: storage.Bucket, **options: object) -> tuple[list[str], list[str]]:
    found = bucket.list_blobs(**options)
    return [blob.name for blob in found], sorted(found.prefixes)


def test_names_come_in_the_order_of_their_bytes(tree: storage.Bucket) -> None:
    assert names(tree)[0] == sorted(TREE, key=str.encode)


def test_a_delimiter_folds_names_into_prefixes(tree: storage.Bucket) -> None:
    assert names(tree, delimiter="/") == (["a", "b.txt", "z", "ä"], ["a/", "b/"])
    assert names(tree, delimiter="/", prefix="a/") == (["a/", "a/1", "a/2"], ["a/b/"])
    assert names(tree, delimiter="/", include_trailing_delimiter=True) == (["a", "a/", "b.txt", "z", "ä"], ["a/", "b/"])


def test_offsets_include_the_start_and_exclude_the_end(tree: storage.Bucket) -> None:
    assert names(tree, start_offset="a/1", end_offset="b/4")[0] == ["a/1", "a/2", "a/b/3", "b.txt"]
    assert names(tree, prefix="a/", start_offset="a/2")[0] == ["a/2", "a/b/3"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("a/*", ["a/", "a/1", "a/2"]),
        ("a/**", ["a/", "a/1", "a/2", "a/b/3"]),
        ("?", ["a", "z", "ä"]),
        ("**/[34]", ["a/b/3", "b/4"]),
        ("a/[!1]", ["a/2"]),
        ("{b.*,a/{1,b/3}}", ["a/1", "a/b/3", "b.txt"]),
        ("a/b/3", ["a/b/3"]),
        ("nothing*", []),
    ],
)
def test_a_glob_selects_names(tree: storage.Bucket, glob: str, expected: list[str]) -> None:
    assert names(tree, match_glob=glob)[0] == expected


@pytest.mark.parametrize("glob", ["{a", "[z-a]"])
def test_a_broken_glob_is_refused(tree: storage.Bucket, http: httpx.Client, glob: str) -> None:
    answer = http.get(f"/storage/v1/b/{tree.name}/o", params={"matchGlob": glob})
    assert (answer.status_code, "matchGlob" in answer.text) == (400, True)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_any_size_show_everything_once(
    tree: storage.Bucket, http: httpx.Client, size: int, delimiter: str
) -> None:
    shown: list[str] = []
    query = {"maxResults": str(size), "delimiter": delimiter}
    while True:
        page = http.get(f"/storage/v1/b/{tree.name}/o", params=query).json()
        entries = [item["name"] for item in page.get("items", [])] + page.get("prefixes", [])
        assert len(entries) <= size
        shown += entries
        if "nextPageToken" not in page:
            break
        query["pageToken"] = page["nextPageToken"]
    items, prefixes = names(tree, delimiter=delimiter or None)
    assert sorted(shown) == sorted(items + prefixes)


def test_versions_of_one_name_are_paged_as_well(bucket: storage.Bucket, http: httpx.Client) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    for number in range(3):
        bucket.blob("it").upload_from_string(str(number))
    generations = [blob.generation for blob in bucket.list_blobs(versions=True, page_size=1)]
    assert len(generations) == 3
    assert generations == sorted(generations)


def test_a_forged_page_token_is_refused(bucket: storage.Bucket, http: httpx.Client) -> None:
    assert http.get(f"/storage/v1/b/{bucket.name}/o?pageToken=x").status_code == 400


def test_an_empty_bucket_lists_nothing(bucket: storage.Bucket) -> None:
    assert names(bucket, delimiter="/") == ([], [])


@pytest.mark.parametrize(("prefix", "bound"), [("a/", "a0"), ("a\ud7ff", "a\ue000"), ("b\U0010ffff", "c"), ("", "")])
def test_the_bound_of_a_prefix_lies_after_all_its_names(prefix: str, bound: str) -> None:
    assert after(prefix) == bound


def test_a_glob_takes_other_characters_literally() -> None:
    assert glob_pattern("a.b+(c)").fullmatch("a.b+(c)")
    assert not glob_pattern("a.b").fullmatch("axb")


@pytest.mark.parametrize(
    ("mask", "keys", "item"),
    [
        ("items(name,size),nextPageToken", {"items", "nextPageToken"}, {"name", "size"}),
        ("items/name", {"items"}, {"name"}),
        ("kind, items(generation)", {"kind", "items"}, {"generation"}),
        ("*(name)", {"items", "kind", "nextPageToken"}, {"name"}),
    ],
)
def test_only_the_fields_asked_for_are_answered(
    tree: storage.Bucket, http: httpx.Client, mask: str, keys: set[str], item: set[str]
) -> None:
    found = http.get(f"/storage/v1/b/{tree.name}/o", params={"fields": mask, "maxResults": 2}).json()
    assert set(found) == keys
    assert set(found["items"][0]) == item


@pytest.mark.parametrize("mask", ["items(name", "items)", "a,,b", "items/", "a b;c"])
def test_a_broken_field_selection_is_refused(tree: storage.Bucket, http: httpx.Client, mask: str) -> None:
    answer = http.get(f"/storage/v1/b/{tree.name}/o", params={"fields": mask})
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalidParameter")


def test_the_xml_api_lists_the_same_in_pages(tree: storage.Bucket, cloud: RunningCloud) -> None:
    url, query = f"{cloud.url}/{tree.name}", {"list-type": "2", "delimiter": "/", "max-keys": "2"}
    found: list[str | None] = []
    while True:
        root = ElementTree.fromstring(httpx.get(url, params=query).raise_for_status().content)  # noqa: S314 (ours)
        place = {"": root.tag.partition("}")[0].strip("{")}
        found += [key.text for path in ("Contents/Key", "CommonPrefixes/Prefix") for key in root.findall(path, place)]
        if root.findtext("IsTruncated", None, place) == "false":
            break
        query["continuation-token"] = str(root.findtext("NextContinuationToken", None, place))
    assert sorted(map(str, found)) == ["a", "a/", "b.txt", "b/", "z", "ä"]
    after = httpx.get(url, params={"list-type": "2", "start-after": "b.txt", "prefix": "b"}).text
    assert ("b.txt" in after, "b/4" in after) == (False, True)
    assert httpx.get(url).status_code == 501, "version 1 is refused"
    assert "NoSuchBucket" in httpx.get(f"{cloud.url}/no-such-bucket", params=query).text
