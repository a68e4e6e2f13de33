"""`make recover`: an `up` that was killed goes on as if nothing had been, and nobody's lock is stolen."""

import json
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, serve
from tests.local.provider.conftest import cli as cli  # a fixture
from tests.local.provider.program import Program

from . import cut_up

pytestmark = pytest.mark.engine
SEED = 20261122
SMALL = """
    data = gcp.storage.Bucket("data", name="cut-data", location="EUROPE-WEST6", force_destroy=True)
    box = gcp.bigquery.Dataset("box", dataset_id="cut_box", location="europe-west6")
    rows = gcp.bigquery.Table("rows", dataset_id=box.dataset_id, table_id="rows", deletion_protection=False,
        schema='[{"name": "a", "type": "STRING"}]')
    who = gcp.serviceaccount.Account("who", account_id="cut-account")
    gcp.storage.BucketIAMMember("may", bucket=data.name, role="roles/storage.objectUser", member=who.member)
    gcp.storage.BucketObject("text", bucket=data.name, name="a.txt", source=pulumi.StringAsset("a"))
    mail = gcp.monitoring.NotificationChannel("mail", type="email", labels={"email_address": "a@b.example"},
        display_name="cut mail", opts=pulumi.ResourceOptions(depends_on=[rows]))
"""


class Cloud:
    """A local cloud of a test's own, and the environment of a shell that uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = serve(folder, "--project", "local-project", "--jobs", "processes")
        assert self._process.stdout
        self.env = cut_up.environment(json.loads(self._process.stdout.readline())["env"])

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def own_cloud(cli: None, tmp_path: Path) -> Iterator[Cloud]:
    served = Cloud(tmp_path / "cloud")
    yield served
    served.close()


@pytest.fixture
def small(own_cloud: Cloud, tmp_path: Path) -> Program:
    (tmp_path / "project").mkdir()
    program = Program(tmp_path / "project", own_cloud.env, "cut-short")
    program.write(SMALL)
    return program


def recover(folder: Path, env: dict[str, str], *, code: int = 0) -> str:
    """What `make recover STACK=local` runs, on the project of a folder."""
    command = (sys.executable, "-m", "tools.recover", "--stack", "local", "--cwd", str(folder))
    return cut_up.typed(ROOT, env, *command, code=code)


def lock_of(cloud: Cloud, project: str) -> Path:
    return next((cloud.folder / "pulumi" / ".pulumi" / "locks" / "organization" / project / "local").glob("*.json"))


def rewritten(lock: Path, **values: Any) -> None:
    lock.write_text(json.dumps(json.loads(lock.read_text()) | values))


def test_a_killed_up_goes_on_once_its_lock_is_given_back_and_no_live_lock_is(small: Program, own_cloud: Cloud) -> None:
    cut_up.kill_up(small.folder, small.env, "local", 7, "after")
    lock = lock_of(own_cloud, "cut-short")
    killed = json.loads(lock.read_text())
    rewritten(lock, pid=os.getpid())  # older than the lock, and it runs
    assert f"kill -INT {os.getpid()}" in recover(small.folder, small.env, code=2)
    rewritten(lock, hostname="build-7")
    assert "Run this on 'build-7'" in recover(small.folder, small.env, code=2)
    assert lock.exists()
    # Numbers are given again: a process that began after the lock was taken did not take it.
    rewritten(lock, hostname=socket.gethostname(), timestamp="2020-01-01T00:00:00.123456789Z")
    state = own_cloud.folder / "pulumi" / ".pulumi" / "stacks" / "cut-short" / "local.json.attrs"
    state.write_text("")  # as a kill leaves it when it comes between two writes
    told = recover(small.folder, small.env)
    assert f"lock given back: process {killed['pid']}" not in told
    assert "lock given back: process" in told
    assert "half-written note removed: local.json.attrs" in told
    assert "NotificationChannel 'mail': exists; adopted" in told
    small.up()
    small.refresh("--expect-no-changes")
    mails = [id for token, id, _ in cut_up.declared(own_cloud.folder) if token.endswith(":NotificationChannel")]
    assert len(mails) == 1, "the platform would have made a second one of the same name"


@pytest.mark.soak
def test_the_whole_stack_survives_ten_kills(cli: None, tmp_path: Path) -> None:
    with closing(Cloud(tmp_path / "undisturbed")) as undisturbed:
        cut_up.up(ROOT, undisturbed.env, "local")
        wanted = cut_up.state(ROOT, undisturbed.env, "local"), cut_up.declared(undisturbed.folder)
    creates = sum(1 for resource in wanted[0].values() if resource["custom"]) - 2  # without the providers
    for place, nth in enumerate(sorted(random.Random(SEED).sample(range(1, creates), 10))):  # noqa: S311 (no secret)
        when = ("before", "after")[place % 2]
        with closing(Cloud(tmp_path / f"cut-{nth}")) as cloud:
            cut = cut_up.kill_up(ROOT, cloud.env, "local", nth, when)
            recover(ROOT, cloud.env)
            cut_up.up(ROOT, cloud.env, "local")
            found = cut_up.state(ROOT, cloud.env, "local"), cut_up.declared(cloud.folder)
        assert found[0].keys() == wanted[0].keys(), f"killed {when} create {nth}, {cut}"
        different = [f"{found[0][urn]}\n{state}" for urn, state in wanted[0].items() if found[0][urn] != state]
        assert different == [], f"killed {when} create {nth}, {cut}"
        assert set(found[1]) ^ set(wanted[1]) == set(), f"killed {when} create {nth}, {cut}"
