"""Each grant of the program is needed: with all of them a rehearsal passes, without any one it fails and names it.

What no rehearsal here can show is listed in local/iam/unexercised.toml, and the list is held against the program.
"""

import ast
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import Forbidden
from google.cloud import bigquery

from local import reader, rfc3339
from local.declared import Resource
from local.server import read_state
from tests import rehearsed
from tests.conftest import ROOT
from tests.infra.conftest import Clone, Recorded, configuration, run
from tests.rehearsed import DATASET, PROJECT, World

SEED = 20261122
FEW = 2  # beside the one that is left out of the program itself
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"


def leave_out_one_grant(clone: Path, dice: random.Random) -> tuple[Path, str]:
    """Delete one `self._grant(...)` from the program; returns the file and its text as it was."""
    found = []
    for name in ("storage", "warehouse"):
        file = clone / "infra" / "components" / f"{name}.py"
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Expr) and ast.unparse(node).startswith("self._grant('"):
                found.append((file, node))
    file, node = dice.choice([(f, n) for f, n in found if "airflow" not in ast.unparse(n)])
    before = file.read_text()
    lines = before.splitlines(keepends=True)
    file.write_text("".join([*lines[: node.lineno - 1], *lines[node.end_lineno :]]))
    return file, before


@pytest.fixture(scope="module")
def dice() -> random.Random:
    return random.Random(SEED)  # noqa: S311 (the same choice each time)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rehearsed.clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, clone: Path, dice: random.Random) -> Iterator[World]:
    """The program without one grant, deployed; the clone has it again."""
    file, before = leave_out_one_grant(clone, dice)
    with rehearsed.deployed(tmp_path_factory.mktemp("world") / "folder", clone) as made:
        file.write_text(before)
        made.copy_dags(tmp_path_factory.mktemp("dags"))
        yield made


@pytest.fixture(scope="module")
def complete(world: World) -> World:
    """The same with every grant, after a rehearsal that passed."""
    world.complete()
    return world


def failed(world: World) -> tuple[str, list[dict[str, Any]]]:
    """Rehearse, see it fail, and return what the task said and which denials were told meanwhile."""
    before = len(world.denials())
    with pytest.raises(Exception) as caught:  # noqa: PT011 (of any task)
        world.rehearse()
    return str(caught.value), world.denials()[before:]


def printed(world: World) -> str:
    """What a person sees of the denials."""
    command = [sys.executable, "-m", "local", "logs", "--folder", str(world.rehearsal.folder)]
    command += ["--filter", 'log_id("local-iam")']
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def names(denial: dict[str, Any], grant: Resource) -> bool:
    """Whether a denial tells the member, the resource and the role of a grant."""
    resource, properties = denial["resource"], grant.properties
    parts = [properties.get(key) for key in ("bucket", "tableId", "name", "secretId") if properties.get(key)]
    opened = any(part in resource.split("/") for part in parts) or grant.token == PROJECT_GRANT
    return bool(denial["member"] == properties["member"] and opened and properties["role"] in denial["roles"])


def base(world: World, without: Resource) -> list[Resource]:
    """What else to take away, because it would hide what a grant is for.

    composer.worker, which a stack with an Airflow of its own needs, reaches the receipts, too. The program grants the
    receipts for stacks whose Airflow belongs to somebody else.
    """
    hides = without.properties["role"] == "roles/storage.objectViewer"
    return [g for g in world.grants() if hides and g.properties["role"] == "roles/composer.worker"]


@pytest.mark.end_to_end
def test_a_program_without_one_of_its_grants_fails_and_names_it_and_with_it_passes(world: World) -> None:
    """The first test of this module, before `complete`."""
    before = {grant.id for grant in world.grants()}
    said, told = failed(world)
    shown = printed(world)
    world.complete()
    added = [grant for grant in world.grants() if grant.id not in before]
    assert len(added) == 2, "one for each model"
    assert any(names(denial, grant) for denial in told for grant in added), f"{said}\n{told}"
    last = told[-1]
    assert all(word in shown for word in (last["member"].partition(":")[2], last["permission"], last["resource"]))
    assert added[0].properties["role"] in shown


@pytest.mark.end_to_end
def test_without_one_of_a_seeded_few_grants_the_rehearsal_fails_and_names_it(
    complete: World, dice: random.Random
) -> None:
    others = [g for g in complete.grants() if g.properties["role"] != "roles/composer.worker"]
    secret = next(g for g in others if "secretId" in g.properties)  # read by the platform, before any code of ours runs
    for grant in [*dice.sample(others, FEW), secret]:
        with complete.without(grant, *base(complete, grant)):
            said, told = failed(complete)
        assert any(names(denial, grant) for denial in told), f"{grant.id}: {said}\n{told}"


@pytest.mark.end_to_end
def test_without_the_role_that_composer_demands_no_dag_arrives(complete: World, tmp_path: Path) -> None:
    [grant] = [g for g in complete.grants() if g.properties["role"] == "roles/composer.worker"]
    before, began = len(complete.denials()), rfc3339.now()
    with complete.without(grant), pytest.raises(Exception, match=r"storage\.objects\.list"):
        complete.copy_dags(tmp_path)
    assert names(complete.denials()[before:][-1], grant)
    [told] = reader.denials(complete.rehearsal.env, began)
    assert "lacks storage.objects.list on projects/_/buckets/" in told, "a demo that fails ends with this line"


@pytest.mark.end_to_end
def test_training_cannot_write_predictions(complete: World) -> None:
    training = complete.connect("reader-loans-train-local")
    row = {"reader": "eve", "loans_expected": 1.0, "run_date": rehearsed.DATE}
    table, columns = f"{DATASET}.reader_loans", ", ".join(row)
    partition, as_it_is = f"{table}${rehearsed.DATE.replace('-', '')}", bigquery.LoadJobConfig(autodetect=True)
    for write in (
        lambda: training.bigquery.query_and_wait(f"INSERT {table} ({columns}) VALUES ('eve', 1, '{rehearsed.DATE}')"),
        lambda: training.bigquery.load_table_from_json([row], partition, job_config=as_it_is).result(),
        lambda: training.bigquery.insert_rows_json(table, [row]),
        lambda: training.bigquery.delete_table(table),
    ):
        with pytest.raises(Forbidden, match=r"bigquery\.tables\.(updateData|delete)"):
            write()


@pytest.mark.end_to_end
def test_application_cannot_write_versions_or_say_which_one_is_live(complete: World) -> None:
    bucket = complete.connect("reader-loans-apply-local").storage.bucket(f"{PROJECT}-local-reader-loans-models")
    for name in ("versions/2023-02-07-0badcafe/manifest.json", "live.json"):
        with pytest.raises(Forbidden, match=r"storage\.objects\.create"):
            bucket.blob(name).upload_from_string("{}")
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"):
        bucket.delete_blob("live.json")


@pytest.mark.end_to_end
@pytest.mark.parametrize("role", ["train", "apply"])
def test_the_accounts_of_one_model_reach_nothing_of_anothers(complete: World, role: str) -> None:
    other = complete.connect(f"club-loans-{role}-local")
    for bucket in ("models", "runs"):
        name = f"{PROJECT}-local-reader-loans-{bucket}"
        with pytest.raises(Forbidden, match=r"storage\.objects\.list"):
            list(other.storage.list_blobs(name))
        with pytest.raises(Forbidden, match=r"storage\.objects\.get"):
            other.storage.bucket(name).blob("live.json").download_as_bytes()
        with pytest.raises(Forbidden, match=r"storage\.objects\.create"):
            other.storage.bucket(name).blob("x").upload_from_string("x")
    for table in ("reader_loans", "reader_loans_runs", "reader_loans_latest", "runs"):
        with pytest.raises(Forbidden, match="does not have permission to query table"):
            other.bigquery.query_and_wait(f"SELECT COUNT(*) FROM {DATASET}.{table}")
        with pytest.raises(Forbidden, match=r"bigquery\.tables\.get"):
            other.bigquery.get_table(f"{DATASET}.{table}")
    with pytest.raises(Forbidden, match="query table"):
        other.bigquery.query_and_wait("SELECT * FROM lending.loans")


@pytest.mark.end_to_end
def test_airflow_counts_predictions_and_reads_none_though_it_reaches_every_object(complete: World) -> None:
    airflow = complete.connect("airflow-local")
    assert airflow.bigquery.get_table(f"{DATASET}.reader_loans").num_rows, "the tests before this one applied the model"
    with pytest.raises(Forbidden, match=r"bigquery\.tables\.getData"):
        list(airflow.bigquery.list_rows(f"{DATASET}.reader_loans"))
    with pytest.raises(Forbidden, match=r"bigquery\.jobs\.create"):
        airflow.bigquery.query_and_wait(f"SELECT * FROM {DATASET}.reader_loans")
    # composer.worker is a role on the project: docs/decisions/0011 says what that means.
    models = airflow.storage.bucket(f"{PROJECT}-local-reader-loans-models")
    assert models.get_blob("live.json")
    models.blob("notes/airflow.txt").upload_from_string("it may write, too")
    outputs = list(airflow.storage.list_blobs(f"{PROJECT}-local-reader-loans-runs", prefix="output/"))
    assert outputs, "among the objects are the staged predictions of each run"


@pytest.mark.end_to_end
def test_a_job_without_a_token_is_answered_401(complete: World) -> None:
    door = read_state(complete.rehearsal.folder)["airflow_env"]["STORAGE_ENDPOINT"]
    address = f"{door}/storage/v1/b/{PROJECT}-local-reader-loans-models/o"
    forged = complete.connect("airflow-local").token.replace("airflow", "reader-loans-train")
    for headers in ({}, {"authorization": f"Bearer {forged}"}):
        assert httpx.get(address, headers=headers).status_code == 401


@pytest.mark.soak
def test_without_any_one_of_the_grants_the_rehearsal_fails_and_names_it(complete: World) -> None:
    unnoticed = {}
    for grant in complete.grants():
        if grant.properties["role"] == "roles/composer.worker":
            continue  # as above
        with complete.without(grant, *base(complete, grant)):
            try:
                said, told = failed(complete)
            except pytest.fail.Exception:
                unnoticed[grant.id] = "the rehearsal passed"
                continue
        if not any(names(denial, grant) for denial in told):
            unnoticed[grant.id] = f"{said}\n{told}"
    assert not unnoticed
    with complete.without(*base(complete, next(g for g in complete.grants() if "objectViewer" in g.id))):
        complete.rehearse()  # an Airflow of somebody else's, with all that the program grants it


def kind(grant: Recorded) -> str:
    """A grant's name without the model's, and `*` for what the model names."""
    name = re.sub(r"^[a-z0-9_]+_[a-z0-9_]+-", "", grant.name)
    ends = "secret *" if "secretId" in grant.inputs else "*"
    return re.sub(r"(?<=-reads-)(?!its-input|versions|receipts).+", ends, name)


def test_each_grant_is_rehearsed_or_listed_with_its_reason_and_never_both(clone: Path) -> None:
    listed = tomllib.loads((ROOT / "local" / "iam" / "unexercised.toml").read_text())["grants"]
    rehearsed_kinds = {kind(grant) for grant in Clone(clone).run().grants()}
    stacks = [run(configuration(name), stack=name, root=clone) for name in ("dev", "prod")]
    known = rehearsed_kinds | {kind(grant) for stack in stacks for grant in stack.grants()}
    assert {"training-reads-secret *", "application-reads-secret *"} <= rehearsed_kinds
    assert known == rehearsed_kinds | set(listed)
    assert not rehearsed_kinds & set(listed)
    assert all(reason.strip() for reason in listed.values())
