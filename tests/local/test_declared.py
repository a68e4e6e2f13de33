"""What the provider records outlives the process that recorded it."""

from pathlib import Path

from local.declared import Declared, Resource


def test_a_resource_is_read_back_after_a_restart(tmp_path: Path) -> None:
    first = Declared(tmp_path)
    first.put(Resource("gcp:a/b:B", "id-1", {"name": "x", "nested": {"n": 1}}))
    second = Declared(tmp_path)  # the first is not closed, as after a kill
    assert second.get("gcp:a/b:B", "id-1") == Resource("gcp:a/b:B", "id-1", {"name": "x", "nested": {"n": 1}})
    first.close()
    second.close()


def test_a_second_put_replaces_and_remove_forgets(tmp_path: Path) -> None:
    declared = Declared(tmp_path)
    declared.put(Resource("t", "id", {"v": 1}))
    declared.put(Resource("t", "id", {"v": 2}))
    assert [r.properties for r in declared.of_type("t")] == [{"v": 2}]
    declared.remove("t", "id")
    declared.remove("t", "id")
    assert declared.of_type("t") == []
    declared.close()
