"""The catalogue of failures: how each is injected, and what the service must make of it.

Does not own how a case is run and judged (test_no_false_green.py). A case is injected by rules of the local cloud, by a
model that misbehaves, by somebody else's deed before the run or at one of its requests, or by a signal.
"""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO

import pyarrow.parquet

from local.fault_rules import Rule
from service import promotions, versions
from tests.service.attempts import Trip
from tests.service.deployments import Deployment

DAY, BEFORE, LATER = date(2024, 5, 2), date(2024, 5, 1), date(2024, 5, 3)
TODAY, NEVER_TRAINED = str(DAY), "2024-01-31"
Deed = Callable[[Deployment], object]
PLANS, RECEIPTS, OUTPUT = "*/o/plans/*", "*/o/receipts/*", "*/o/output/*"
UPLOADS = "/upload/storage/v1/b/*-runs/o*"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row of the catalogue.

    Attributes:
        code: exit code of the service.
        cause, remedy: words of the last message.
        rules: faults of the local cloud during the run.
        misdeed: of the model.
        deed: somebody else's, before the run; the deployment is thrown away afterwards.
        at: somebody's deed at a request, told by words of its path and how many such pass before it.
        signals: trips that signal the process itself.
        env: of the run.
        own: deployment, because an earlier failure may have left a plan, which the next run carries out first.
        slow: the client gives up after minutes, so only `make soak` waits for it.
        table: "kept" as it was, "delivered" whole though the run is red, or "touched" by somebody else.
    """

    name: str
    code: int
    cause: str
    remedy: str
    rules: tuple[Rule, ...] = ()
    misdeed: str = ""
    deed: Deed | None = None
    at: tuple[str, int, Deed] | None = None
    signals: tuple[Trip, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    action: str = "application"
    on: str = TODAY
    table: str = "kept"
    own: bool = False
    file_bytes: int | None = None
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def refused(
    method: str, status: int, reason: str, message: str, path: str = "*", nth: int = 0, times: int = 0
) -> tuple[Rule, ...]:
    """A service that answers an error."""
    return (
        Rule(
            action="status",
            method=method,
            path=path,
            status=status,
            reason=reason,
            message=message,
            nth=nth,
            times=times,
        ),
    )


def _sql(deployment: Deployment, text: str) -> None:
    path = deployment.folder / "events.sql"
    path.write_text(path.read_text().replace("seen < @run_date", text))


def _describe(deployment: Deployment, **changes: object) -> None:
    path = deployment.folder / "model.yaml"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _fresh(deployment: Deployment) -> None:
    described = json.loads((deployment.folder / "model.yaml").read_text())
    wanted = {"sql": "events.sql", "fresh_within": {"column": "seen", "days": 1}}
    _describe(deployment, application=described["application"] | {"input": wanted})
    path = deployment.folder / "events.sql"
    path.write_text(
        path.read_text().replace("amount FROM", "amount, seen FROM").replace("< @run_date", "< '2024-04-29'")
    )
    source = described["application"]["reads"][0]
    rows = f"UPDATE `{source}` SET seen = DATE '2024-04-01' WHERE TRUE"
    deployment.clients.bigquery.query_and_wait(rows)


def _version(deployment: Deployment, name: str) -> str:
    live = promotions.live_on(promotions.history(deployment.clients.models), DAY)
    assert live
    return f"versions/{live.to_version}/{name}"


def _overwrite(name: str, text: str) -> Deed:
    return lambda d: d.clients.models.blob(_version(d, name)).upload_from_string(text)


def _delete(name: str) -> Deed:
    return lambda d: d.clients.models.blob(_version(d, name)).delete()


def _half_uploaded(deployment: Deployment) -> None:
    deployment.clients.models.blob("versions/2024-05-02-aaaaaaaa/deep/mean.json").upload_from_string("7")
    promotions.promote(deployment.clients.models, "2024-05-02-aaaaaaaa", effective_date=DAY, who="eve", why="test")


def _trained_later(deployment: Deployment) -> None:
    (manifest,) = versions.all_of(deployment.clients.models)
    promotions.promote(deployment.clients.models, manifest.version, effective_date=date(2024, 1, 1), who="e", why="t")


def _drop_source(deployment: Deployment) -> None:
    deployment.clients.bigquery.delete_table(f"source_{deployment.env['DATASET'].rpartition('_')[2]}.events")


def _drop_staged(deployment: Deployment) -> None:
    for blob in deployment.clients.runs.list_blobs(prefix=f"output/{deployment.env['MODEL']}-application-{DAY}"):
        blob.delete()


def _restage(change: Callable[[bytes], bytes]) -> Deed:
    """Put other bytes where the predictions wait for their load."""

    def deed(deployment: Deployment) -> None:
        prefix = f"output/{deployment.env['MODEL']}-application-{DAY}"
        blob = max(deployment.clients.runs.list_blobs(prefix=prefix), key=lambda blob: blob.time_created)
        blob.upload_from_string(change(blob.download_as_bytes()))

    return deed


def _fewer_rows(parquet: bytes) -> bytes:
    out = BytesIO()
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(BytesIO(parquet)).slice(3), out)
    return out.getvalue()


def _many_rows(deployment: Deployment) -> None:
    path = deployment.folder / "events.sql"
    path.write_text(path.read_text().replace("WHERE", "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 5000)) WHERE"))


def _delete_rows(deployment: Deployment) -> None:
    query = f"DELETE FROM `{deployment.table}` WHERE run_date = '{DAY}' AND {deployment.key} > '006'"
    deployment.clients.bigquery.query_and_wait(query)


def _newer_plan(deployment: Deployment, began: str) -> None:
    """As a run leaves it that began at another time, by its own clock."""
    blob = deployment.clients.runs.blob(f"plans/{DAY}.json")
    plan = json.loads(blob.download_as_bytes()) | {"started_at": began}
    blob.upload_from_string(json.dumps(plan))


def _spoil(bucket: str, name: str, text: str) -> Deed:
    return lambda d: getattr(d.clients, bucket).blob(name).upload_from_string(text)


CUT = (Rule(action="truncate", method="objects.get", path="/download/*input/*"),)
AGAIN = "run the same command again"
GRANT = "Grant the identity of this run the role"
PLATFORM = [
    Failure(name="reading the live version is forbidden", code=4, cause="no such luck", remedy=GRANT,
            rules=refused("objects.get", 403, "forbidden", "no such luck", "*live.json")),
    Failure(name="credentials are refused", code=4, cause="Invalid Credentials",
            remedy="Run `gcloud auth application-default login`",
            rules=refused("objects.get", 401, "authError", "Invalid Credentials")),
    Failure(name="a bucket is gone", code=4, cause="bucket does not exist", remedy="pulumi up",
            rules=refused("objects.get", 404, "notFound", "The specified bucket does not exist.")),
    Failure(name="the quota of BigQuery is used up", code=4, cause="Quota exceeded", remedy="again",
            rules=refused("jobs.insert", 403, "quotaExceeded", "Quota exceeded: too many jobs")),
    Failure(name="the warehouse refuses the export", code=2, cause="Access Denied", remedy="grants",
            rules=refused("jobs.insert", 403, "accessDenied", "Access Denied: Table source", nth=1)),
    Failure(name="the warehouse refuses the load", code=2, cause="Access Denied", remedy="pulumi up",
            rules=refused("jobs.insert", 403, "accessDenied", "Access Denied: Table t", nth=2)),
    Failure(name="the load is over quota", code=4, cause="Quota exceeded", remedy="again",
            rules=refused("jobs.insert", 403, "quotaExceeded", "Quota exceeded: loads", nth=2)),
    Failure(name="the bytes billed exceed the cap", code=2, cause="limit for bytes billed", remedy="model.yaml",
            rules=refused("jobs.insert", 400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed")),
    Failure(name="the check of the partition is refused", code=4, cause="cannot read", remedy=GRANT, table="delivered",
            rules=refused("jobs.query", 403, "accessDenied", "cannot read")),
    Failure(name="the predictions cannot be staged", code=4, cause="stage is dark", remedy=GRANT,
            rules=refused("objects.insert", 403, "forbidden", "stage is dark", nth=1)),
    Failure(name="the plan cannot be written", code=4, cause="no plans", remedy=GRANT, own=True,
            rules=refused("objects.insert", 403, "forbidden", "no plans", nth=2)),
    Failure(name="the plan is always changed by others", code=4, cause="was changed by others", remedy=AGAIN, own=True,
            rules=refused("objects.insert", 412, "conditionNotMet", "lost", nth=2, times=1000)),
    Failure(name="the receipt cannot be written", code=4, cause="no receipts", remedy=GRANT, table="delivered",
            rules=refused("objects.insert", 403, "forbidden", "no receipts", nth=4, times=9)),
    Failure(name="a download of the version is corrupted", code=4, cause="checksum", remedy=AGAIN,
            rules=(Rule(action="corrupt", method="objects.get", path="/download/*mean.json"),)),
    Failure(name="a download of the input is corrupted", code=4, cause="checksum", remedy=AGAIN,
            rules=(Rule(action="corrupt", method="objects.get", path="/download/*input/*"),)),
    Failure(name="every download of the input is cut", code=4, cause="Answers break off, after", slow=True,
            remedy=f"Run `python -m service apply --run-date {TODAY}`", rules=CUT),
    Failure(name="the upload of the predictions is corrupted", code=4, cause="doesn't match", remedy=AGAIN,
            rules=(Rule(action="corrupt", when="before", method="objects.insert", nth=1, times=9),)),
    Failure(name="the load's file vanished before it ran", code=2, cause="Not found", remedy="pulumi up",
            at=("POST /bigquery/v2/projects/test-project/jobs", 1, _drop_staged)),
]  # fmt: skip
INPUT = [
    Failure(name="the input is empty", code=3, cause="is empty", remedy="Check 'events.sql'",
            deed=lambda d: _sql(d, "seen < @run_date AND FALSE")),
    Failure(name="the input is stale", code=3, cause="is stale: the newest 'seen' is '2024-04-01'",
            remedy="up to date", deed=_fresh),
    Failure(name="a table of the input is missing", code=2, cause="Not found", remedy="correct the SQL",
            deed=_drop_source),
    Failure(name="the input is partial", code=3, cause="There are 4 predictions after 10", remedy="gates in model.yaml",
            deed=lambda d: _sql(d, f"seen < @run_date AND {d.key} < '004'")),
    Failure(name="the SQL is wrong", code=2, cause="SQL of 'events.sql' failed", remedy="Correct the SQL",
            deed=lambda d: _sql(d, "seen <")),
    Failure(name="no version is live on the date", code=2, cause="No version of", remedy="train first",
            on=NEVER_TRAINED),
    Failure(name="the version was trained later", code=3, cause="it knows what happened then", remedy="rollback --to",
            deed=_trained_later, on=NEVER_TRAINED),
    Failure(name="a model is half uploaded", code=3, cause="has no manifest", remedy="Train again",
            deed=_half_uploaded),
    Failure(name="the manifest is missing", code=3, cause="has no manifest", remedy="Train again",
            deed=_delete("manifest.json")),
    Failure(name="the manifest is cut", code=3, cause="manifest.json' is not JSON", remedy="last good one",
            deed=_overwrite("manifest.json", '{"version": "2024-')),
    Failure(name="the manifest is of another release", code=3, cause="manifest", remedy="Train again",
            deed=_overwrite("manifest.json", '{"version": "v"}')),
    Failure(name="a file was altered after its manifest", code=3, cause="deleted or replaced after the training",
            remedy="Train again", deed=_overwrite("deep/mean.json", "7")),
    Failure(name="a file of the version was deleted", code=3, cause="deleted or replaced after the training",
            remedy="Train again", deed=_delete("deep/mean.json")),
    Failure(name="the history of promotions is cut", code=3, cause="live.json' is not JSON", remedy="last good one",
            deed=_spoil("models", "live.json", '{"promotions": [')),
    Failure(name="the plan is cut", code=3, cause=f"plans/{DAY}.json' is not JSON", remedy="last good one",
            deed=_spoil("runs", f"plans/{DAY}.json", "{")),
    Failure(name="a secret is not set", code=2, cause="TOKEN", remedy="Set each",
            deed=lambda d: _describe(d, secrets={"TOKEN": "token:1"})),
    Failure(name="the model's interpreter is missing", code=2, cause="does not start", remedy="Set MODEL_PYTHON",
            env={"MODEL_PYTHON": "/no/such/python"}),
    Failure(name="the run id is of another run", code=2, cause="is not an id of the application", remedy="Use '",
            env={"RUN_ID": "tulips-application-2024-05-02-00000000"}),
]  # fmt: skip
MODEL_FAULT = "Correct the model"
MODEL = [
    Failure(name=f"the model {misdeed}", misdeed=misdeed, code=code, cause=cause, remedy=remedy)
    for misdeed, code, cause, remedy in [
        ("exit", 3, "no convergence in 100 steps", MODEL_FAULT),
        ("kill", 4, "signal SIGKILL", "memory_gib"),
        ("no file", 3, "left no predictions", "Make it write"),
        ("empty file", 3, "has no header line", "first line"),
        ("no rows", 3, "but not predicted: 10 values", MODEL_FAULT),
        ("leave out", 3, "In the input, but not predicted: 2 values", MODEL_FAULT),
        ("repeat", 3, "Predicted more than once: 1 values", MODEL_FAULT),
        ("too many", 3, "Predicted, but not in the input: 1 values", MODEL_FAULT),
        ("nan", 3, "NaN or infinite in 1 rows", MODEL_FAULT),
        ("unknown column", 3, "'mood', not in schema.json", MODEL_FAULT),
        ("wrong type", 3, "is not of the type FLOAT64", MODEL_FAULT),
        ("null", 3, "has no value, but is REQUIRED", MODEL_FAULT),
        ("half a line", 3, "cannot be read", "Write a header"),
        ("far off", 3, "drift", MODEL_FAULT),
    ]
]
TIME_UP = "stopped by SIGTERM"
PENDING = (Rule(action="pend", method="jobs.insert", nth=1),)  # so that it has to be asked for
LOAD = "POST /bigquery/v2/projects/test-project/jobs"


def _time_up(match: str, skip: int = 0) -> tuple[Trip, ...]:
    """The platform's limit of time, at a request."""
    return (Trip(do=signal.SIGTERM, match=match, skip=skip, when="after"),)


PROCESS = [
    Failure(name="the load job stays pending", code=4, cause=TIME_UP, remedy="timeout_seconds", table="delivered",
            rules=(Rule(action="pend", method="jobs.insert", nth=2),
                   Rule(action="pend", method="jobs.get", path="*-delivery-*")),
            signals=_time_up("-delivery-", 2)),
    Failure(name="the load job is done but for bad rows", code=2, cause="failed", remedy="pulumi up",
            at=(LOAD, 1, _restage(lambda parquet: parquet[: len(parquet) // 2]))),
    Failure(name="the load job left rows out", code=4, cause="does not hold what job", remedy="See who else writes",
            at=(LOAD, 1, _restage(_fewer_rows)), table="touched"),
    Failure(name="the time is up while 429 is answered to a read", code=4, cause=TIME_UP, remedy="timeout_seconds",
            rules=refused("objects.get", 429, "rateLimitExceeded", "slow down", "/download/*mean.json"),
            signals=_time_up("mean.json")),
    Failure(name="the time is up while 500 is answered to a poll", code=4, cause=TIME_UP, remedy="timeout_seconds",
            rules=(*PENDING, *refused("jobs.get", 500, "internalError", "no answer", "*-input-*")),
            signals=_time_up("-input-")),
    Failure(name="the time is up while no poll is answered", code=4, cause=TIME_UP, remedy="timeout_seconds",
            rules=(*PENDING, Rule(action="drop", method="jobs.get", path="*-input-*")),
            signals=(Trip(do=signal.SIGTERM, match="-input-", skip=1),)),
    Failure(name="the time is up while every download of the input is cut", code=4, cause=TIME_UP,
            remedy="timeout_seconds", rules=CUT, signals=(Trip(do=signal.SIGTERM, match="/o/input/", skip=1),)),
    Failure(name="the container is killed", code=-signal.SIGKILL, cause="", remedy="",
            signals=(Trip(do=signal.SIGKILL, match="/queries", skip=2),), table="delivered"),
    Failure(name="the execution is cancelled or timed out", code=4, cause="stopped by SIGTERM",
            remedy="timeout_seconds", signals=(Trip(do=signal.SIGTERM, match="prefix=input/"),)),
    Failure(name="the time is up while 503 is answered", code=4, cause="stopped by SIGTERM", remedy="timeout_seconds",
            rules=refused("objects.list", 503, "backendError", "try again later"),
            signals=(Trip(do=signal.SIGTERM, match="prefix=input/", when="after"),)),
    Failure(name="the disk is full", code=4, cause="disk", remedy="memory_gib", file_bytes=100_000, deed=_many_rows),
    Failure(name="the partition was changed after the load", code=4, cause="does not hold what job",
            remedy="See who else writes", at=("/queries", 2, _delete_rows), table="touched"),
    Failure(name="a clock is wrong", code=0, cause="is still to come", remedy="Set the clock",
            deed=lambda d: _newer_plan(d, "2199-01-01T00:00:00.000000Z")),
]  # fmt: skip
FAILURES = [*PLATFORM, *INPUT, *MODEL, *PROCESS]
