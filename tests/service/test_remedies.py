"""Each row of service/remedies.py, on the body behind its link: served over HTTP, raised by Google's own clients."""

import re
from collections.abc import Callable

import pytest
from google.cloud.bigquery.retry import DEFAULT_RETRY as BIGQUERY_RETRY
from google.cloud.storage.retry import DEFAULT_RETRY as STORAGE_RETRY

from local.fault_rules import Rule
from local.fault_verbs import FaultRules
from service import remedies, upstream
from tests.conftest import ROOT
from tests.service.deployments import Deployment, deployed
from tests.service.recorded_errors import RECORDED, Recorded

pytestmark = pytest.mark.client

METHODS = {"read": "objects.get", "write": "objects.insert", "job": "jobs.insert", "token": "metadata.account"}
VERBS = {"read": ("versions",), "token": ("versions",)}
TRAIN = ("train", "--run-date", "2024-05-01")
ROWS = {row.name: row for row in remedies.TABLE}
# Those of Cloud Run are met by Airflow's tasks: tests/dags/test_known_errors.py.
OF_SERVICE = [recorded for recorded in RECORDED if not recorded.at.startswith("run")]
AT_ONCE = [recorded for recorded in OF_SERVICE if "repeated" not in recorded.at]
REPEATED = [recorded for recorded in OF_SERVICE if "repeated" in recorded.at]


@pytest.fixture(scope="module")
def mine(owner: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return deployed(owner, tmp_path_factory.mktemp("mine"))


def rule(recorded: Recorded) -> Rule:
    if recorded.at.startswith("download"):
        return Rule(action="truncate", method="objects.get", path="/download/*")
    return Rule(
        action="status", method=METHODS[recorded.at.partition(",")[0]], status=recorded.status, body=recorded.body
    )


def command(recorded: Recorded, mine: Deployment) -> str:
    """The command that has to be named, with the names of this deployment."""
    names = {
        "project": mine.env["GOOGLE_CLOUD_PROJECT"],
        "runs": mine.env["RUNS_BUCKET"],
        "models": mine.env["MODELS_BUCKET"],
    }
    text = recorded.run
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("recorded", AT_ONCE, ids=str)
def test_a_known_error_names_the_command_that_mends_it(
    mine: Deployment, faults: FaultRules, recorded: Recorded
) -> None:
    with faults.during(rule(recorded)):
        ended = mine.main(*VERBS.get(recorded.at, TRAIN))
    last = ended.lines[-1]["message"]
    assert ended.code == recorded.code, ended.said
    assert recorded.message in last, "Google's own words are not told"
    pattern = re.escape(command(recorded, mine)).replace(r"\{member\}", r"(?:user|serviceAccount):\S+?")
    assert re.search(rf"Run `{pattern}`", last), last


@pytest.mark.parametrize("recorded", REPEATED, ids=str)
def test_what_the_clients_repeat_names_its_command_once_they_give_up(
    mine: Deployment, faults: FaultRules, recorded: Recorded
) -> None:
    """With a shorter patience than the service's, which is minutes."""
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: mine.clients.runs.blob("a").upload_from_string(
            "a", retry=STORAGE_RETRY.with_timeout(0.2).with_delay(0.1, 0.1)
        ),
        "download": lambda: mine.clients.runs.blob("long").download_as_bytes(
            retry=STORAGE_RETRY.with_timeout(0.2).with_delay(0.1, 0.1)
        ),
        "job": lambda: mine.clients.bigquery.query(
            "SELECT 1", retry=BIGQUERY_RETRY.with_timeout(0.2).with_delay(0.1, 0.1), job_retry=None
        ),
    }
    mine.clients.runs.blob("long").upload_from_string("a long story")
    with faults.during(rule(recorded)), pytest.raises(upstream.FAILURES) as raised:
        calls[recorded.at.partition(",")[0]]()
    shown = upstream.translated(raised.value, {"again": recorded.run})
    assert shown
    assert shown.exit_code == recorded.code
    assert recorded.message in str(shown)
    assert f"Run `{recorded.run}`." in str(shown)


def test_each_row_has_its_body_and_each_body_is_found_by_its_own_row() -> None:
    assert len(ROWS) == len(remedies.TABLE) >= 25
    assert sorted(recorded.row for recorded in RECORDED) == sorted(ROWS)
    for recorded in RECORDED:
        if recorded.row not in ("deadline", "account gone", "answers cut"):  # these are words of the clients
            first = next(row.name for row in remedies.TABLE if re.search(row.says, recorded.message, re.DOTALL))
            assert first == recorded.row
    assert all(row.body.startswith("https://") for row in remedies.TABLE)


def test_the_operations_page_shows_the_table() -> None:
    lines = ["| error | means | mended by |", "| --- | --- | --- |"]
    for row in remedies.TABLE:
        names = {name: name.upper() for name in re.findall(r"\{(\w+)\}", row.means + row.run)}
        means, run = (text.format_map(names).replace("|", "\\|") for text in (row.means, row.run))
        run = run.replace("KNOWN_PROJECT", "PROJECT").replace("AGAIN", "the same command again")
        lines.append(f"| [{row.name}]({row.body}) | {means} | `` {run} `` |")
    table = "\n".join(lines)
    assert table in (ROOT / "docs" / "operations.md").read_text(), f"docs/operations.md must show:\n{table}"
