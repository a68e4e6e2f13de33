"""Programs run by the real engine against the local cloud: deployed, read again, changed, removed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import RunningCloud, serve

from .program import Program

pytestmark = pytest.mark.engine

WHOLE = """
    data = gcp.storage.Bucket("data", location="EUROPE-WEST6", force_destroy=True, labels={"team": "science"},
        versioning={"enabled": True}, soft_delete_policy={"retention_duration_seconds": 0},
        lifecycle_rules=[{"action": {"type": "Delete"}, "condition": {"age": 14, "matches_prefixes": ["input/"]}}])
    gcp.storage.BucketObject("text", bucket=data.name, name="dags/a.py", source=pulumi.StringAsset("print(1)"))
    gcp.storage.BucketObject("file", bucket=data.name, name="dags/b.py", source=pulumi.FileAsset("b.py"))
    gcp.storage.BucketObject("content", bucket=data.name, name="dags/c.json", content="{}")
    account = gcp.serviceaccount.Account("who", account_id="whole-train")
    gcp.storage.BucketIAMMember("may", bucket=data.name, role="roles/storage.objectUser", member=account.member)
    gcp.projects.Service("run", service="run.googleapis.com", disable_on_destroy=False)
    pulumi.export("bucket", data.name)
    pulumi.export("member", account.member)
"""


def test_a_program_comes_up_stays_as_it_is_and_leaves_nothing(program: Program, cloud: RunningCloud) -> None:
    (program.folder / "infra" / "b.py").write_text("print(2)")
    program.write(WHOLE)
    program.up()
    bucket = program.outputs()["bucket"]
    objects = f"{cloud.url}/storage/v1/b/{bucket}/o"
    contents = [httpx.get(f"{objects}/dags%2F{name}?alt=media").text for name in ("a.py", "b.py", "c.json")]
    assert contents == ["print(1)", "print(2)", "{}"], "a relative path starts at the program's folder"
    program("preview", "-s", "local", "--expect-no-changes")
    program.refresh("--expect-no-changes")
    program.destroy()
    assert httpx.get(f"{cloud.url}/storage/v1/b/{bucket}").status_code == 404
    left = json.loads(program("stack", "export", "-s", "local"))["deployment"].get("resources", [])
    assert left == []


def test_a_preview_shows_what_it_cannot_know_and_makes_nothing(program: Program, cloud: RunningCloud) -> None:
    program.write("""
        data = gcp.storage.Bucket("data", name="only-previewed", location="EU")
        gcp.storage.BucketObject("next", bucket=data.url, name=data.self_link, content="x")
        pulumi.export("url", data.url)
    """)
    shown = program("preview", "-s", "local", "--diff")
    assert "url: [unknown]" in shown
    assert '"only-previewed"' in shown
    assert httpx.get(f"{cloud.url}/storage/v1/b/only-previewed").status_code == 404


def test_a_misspelt_property_stops_the_preview_and_names_the_right_one(program: Program) -> None:
    program.write("""
        gcp.storage.Bucket("data", location="EU", lifecycle_rules=[{"action": {"tpye": "Delete"}, "condition": {}}])
    """)
    shown = program("preview", "-s", "local", fails=True)
    assert "resource 'data' has a problem" in shown
    assert "lifecycleRules[0].action.tpye: There is no property 'tpye' here. Did you mean 'type'?" in shown


def test_a_misspelt_setting_of_the_provider_is_refused(program: Program) -> None:
    program("config", "set", "-s", "local", "gcp:projekt", "x")
    program.write('gcp.projects.Service("run", service="run.googleapis.com")')
    assert "Did you mean 'project'?" in program("preview", "-s", "local", fails=True)


def test_a_type_that_the_local_cloud_lacks_is_a_readable_error(program: Program) -> None:
    program.write('gcp.pubsub.Topic("events")')
    assert "error: The local cloud does not offer 'gcp:pubsub/topic:Topic'" in program(
        "preview", "-s", "local", fails=True
    )


def test_a_bucket_that_moves_is_replaced_with_what_is_in_it(program: Program, cloud: RunningCloud) -> None:
    source = """
        data = gcp.storage.Bucket("data", name="moving", location="{}", force_destroy=True)
        gcp.storage.BucketObject("inside", bucket=data.name, name="a", content="x")
    """
    program.write(source.format("EU"))
    program.up()
    program.write(source.format("US"))
    assert program.planned() == {
        f"{program.name}-local": "same",
        "data": "replace",
        "inside": "replace",
    }
    program.up()
    assert httpx.get(f"{cloud.url}/storage/v1/b/moving").json()["location"] == "US"
    assert httpx.get(f"{cloud.url}/storage/v1/b/moving/o/a?alt=media").text == "x"
    program.destroy()


def test_what_somebody_else_changed_is_shown_and_put_right(program: Program, cloud: RunningCloud) -> None:
    program.write("""
        data = gcp.storage.Bucket("data", name="touched", location="EU",
            versioning={"enabled": True}, force_destroy=True)
        gcp.storage.BucketObject("lost", bucket=data.name, name="lost", content="x")
        gcp.storage.BucketObject("overwritten", bucket=data.name, name="overwritten", content="mine")
    """)
    program.up()
    httpx.patch(f"{cloud.url}/storage/v1/b/touched", json={"versioning": {"enabled": False}})
    httpx.delete(f"{cloud.url}/storage/v1/b/touched/o/lost")
    theirs = {"uploadType": "media", "name": "overwritten"}
    httpx.post(f"{cloud.url}/upload/storage/v1/b/touched/o", params=theirs, content=b"theirs")
    shown = program.refresh("--diff")
    assert "enabled: true => false" in shown
    assert "detectMd5hash" in shown
    assert "1 deleted" in shown
    program.up()
    assert httpx.get(f"{cloud.url}/storage/v1/b/touched").json()["versioning"] == {"enabled": True}
    contents = [
        httpx.get(f"{cloud.url}/storage/v1/b/touched/o/{name}?alt=media").text for name in ("lost", "overwritten")
    ]
    assert contents == ["x", "mine"]
    program("preview", "-s", "local", "--expect-no-changes")
    program.destroy()


def test_a_secret_is_in_no_output_and_in_no_file(program: Program, cloud: RunningCloud) -> None:
    program.write("""
        hidden = pulumi.Output.secret("correct horse")
        account = gcp.serviceaccount.Account("who", account_id="secretive", description=hidden)
        pulumi.export("hidden", account.description)
    """)
    shown = (
        program.up() + program("preview", "-s", "local", "--diff") + program.refresh("--diff", "--expect-no-changes")
    )
    assert "correct horse" not in shown
    assert program.outputs()["hidden"] == "[secret]"
    files = [file for file in cloud.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if b"correct horse" in file.read_bytes()]
    program.destroy()


def test_what_is_protected_is_not_destroyed(program: Program) -> None:
    program.write('gcp.storage.Bucket("data", name="protected", location="EU", deletion_policy="PREVENT")')
    program.up()
    shown = program("destroy", "-s", "local", "--yes", "--skip-preview", fails=True)
    assert "error: Bucket 'protected' has deletionPolicy PREVENT" in shown


def test_a_killed_local_cloud_comes_back_with_everything(
    new_program: Callable[[dict[str, str]], Program], tmp_path: Path
) -> None:
    folder = tmp_path / "cloud"
    first = serve(folder)
    assert first.stdout
    program = new_program(json.loads(first.stdout.readline())["env"])
    (program.folder / "infra" / "b.py").write_text("print(2)")
    program.write(WHOLE)
    program.up()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = serve(folder)
    assert second.stdout
    program.env.update(json.loads(second.stdout.readline())["env"])
    program.refresh("--expect-no-changes")
    program.destroy()
    second.terminate()
    second.wait()
