"""The figures: what each is called, what is asked of it, and how it is measured on a ground."""

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import emulators, services
from bench.delivery import LARGE, ROWS
from bench.ground import Ground

PREVIEWS, PARSES, LOADS = 3, 5, 3
STEP = re.compile(r"^ *([\d.]+) s  (.+): done after ([\d.]+) s$", re.MULTILINE)
# What the parser has imported before it reads a DAG file of ours.
PARSE = """
import sys, time
from airflow.sdk import DAG, CronTriggerTimetable, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
import predictions
seconds = time.perf_counter() - started
print(len({value.dag_id for value in vars(predictions).values() if isinstance(value, DAG)}), seconds)
"""


@dataclass(frozen=True)
class Sample:
    """What was measured, in the figure's unit, and what else there is to know of it."""

    value: float
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """One line of the table; without a target it is for information."""

    name: str
    tells: str
    unit: str
    target: float | None
    measure: Callable[[Ground], Sample]
    at_least: bool = False  # the target is a floor, not a ceiling

    def verdict(self, sample: Sample) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        met = sample.value >= self.target if self.at_least else sample.value <= self.target
        return "met" if met else "MISSED"


def _demo(ground: Ground) -> Sample:
    ground.say("the whole demo, which takes a minute or two")
    started = time.monotonic()
    printed = ground.run(sys.executable, "-m", "local.demo", "--folder", str(ground.folder / "demo"))
    whole = time.monotonic() - started
    return Sample(whole, _steps(printed, whole))


def _steps(printed: str, whole: float) -> str:
    """How long each step of a demo took by its own words; some run side by side."""
    steps = STEP.findall(printed)
    told = [f"{name} {float(seconds):.0f}" for _, name, seconds in steps]
    rest = whole - max((float(at) for at, _, _ in steps), default=0)
    return ", ".join([*told, f"start, report and stop {rest:.0f}"])


def _up(ground: Ground) -> Sample:
    return Sample(ground.up_seconds)


def _preview(ground: Ground) -> Sample:
    _ = ground.up_seconds
    ground.say(f"pulumi preview, {PREVIEWS} times")
    command = ("pulumi", "preview", "--stack", "local", "--expect-no-changes")
    return _median([ground.timed(*command, env=ground.cloud.env) for _ in range(PREVIEWS)])


def _parse(ground: Ground) -> Sample:
    _ = ground.up_seconds
    dags = ground.folder / "dags"
    ground.cloud.fetch_dags(dags)
    ground.say(f"parsing the DAG files in {PARSES} fresh processes")
    env = os.environ | {"AIRFLOW_HOME": str(ground.folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    answers = [ground.run(sys.executable, "-c", PARSE, str(dags), env=env).split() for _ in range(PARSES)]
    return _median([1000 * float(seconds) for *_, seconds in answers], f"{answers[0][-2]} DAGs")


def _cloud_start(ground: Ground) -> Sample:
    return Sample(ground.cloud.start_seconds)


def _cloud_ready(ground: Ground) -> Sample:
    return Sample(ground.cloud.mib_when_ready)


def _cloud_deployed(ground: Ground) -> Sample:
    _ = ground.up_seconds
    return Sample(ground.cloud.mib())


def _delivery(ground: Ground) -> Sample:
    return Sample(ground.delivered.seconds, f"the whole application {ground.delivered.whole_seconds:.1f} s")


def _large_delivery(ground: Ground) -> Sample:
    ours, beside = ground.delivered_large
    bare = f"upload {beside.bare.upload:.1f} s and bare load {beside.bare.load:.1f} s"
    return Sample(beside.ratio(ours), f"{ours.seconds:.1f} s; {bare}; the whole application {ours.whole_seconds:.1f} s")


def _large_memory(ground: Ground) -> Sample:
    return Sample(ground.delivered_large[0].own_mib)


def _recipe(ground: Ground) -> Sample:
    ours, beside = ground.delivered_large
    if beside.recipe_seconds is None:
        raise RuntimeError("gcloud and bq are not installed here.")
    told = f"{beside.recipe_seconds:.1f} s as CSV by gcloud and bq --replace"
    return Sample(beside.recipe_seconds / ours.seconds, told)


def _delivery_memory(ground: Ground) -> Sample:
    return Sample(ground.delivered.own_mib)


def _rollback(ground: Ground) -> Sample:
    return Sample(ground.delivered.rollback_seconds)


def _query(ground: Ground) -> Sample:
    ground.say(f"{services.QUERIES} small queries")
    return _median(services.query_milliseconds(ground.cloud.warehouse))


def _uploads(ground: Ground) -> Sample:
    ground.say(f"{services.UPLOADS} small uploads")
    return Sample(
        services.uploads_per_second(ground.cloud.storage, "bench-uploads"), f"{services.WRITERS} threads of one client"
    )


def _writers(ground: Ground) -> Sample:
    ground.say(f"{services.WRITERS} concurrent writers")
    return Sample(services.writes_per_second(ground.cloud), f"{services.WRITERS} threads, none lost")


def _load(ground: Ground) -> Sample:
    ground.say("loading a million rows")
    return _median([services.load_seconds(ground.cloud, 1_000_000) for _ in range(LOADS)])


def _load_memory(ground: Ground) -> Sample:
    ground.say("loading ten million rows")
    peak, before, seconds = services.peak_mib(ground.cloud, lambda: services.load_seconds(ground.cloud, 10_000_000))
    return Sample(peak, f"{before:.0f} MiB before; {seconds:.1f} s")


def _listing(ground: Ground) -> Sample:
    ground.say(f"listing {services.LISTED} rows")
    return Sample(services.listed_per_second(ground.cloud))


def _object_memory(ground: Ground) -> Sample:
    ground.say("a large object up and down")
    peak, before, seconds = services.peak_mib(ground.cloud, lambda: services.object_up_and_down(ground.cloud))
    return Sample(peak - before, f"{services.OBJECT_BYTES >> 20} MiB up and down in {seconds:.1f} s")


def _beside_storage(ground: Ground) -> Sample:
    """One after the other in one run, so that the machine is the same."""
    ground.say("uploads beside gcp-storage-emulator")
    with emulators.served(ground.emulators, "gcp-storage-emulator") as client:
        theirs = services.uploads_per_second(client, "bench-beside")
    ours = services.uploads_per_second(ground.cloud.storage, "bench-beside")
    return Sample(ours / theirs, f"{ours:.0f} and {theirs:.0f} uploads a second")


def _beside_warehouse(ground: Ground) -> Sample:
    ground.say("queries beside bqemulator")
    with emulators.served(ground.emulators, "bqemulator") as client:
        theirs = statistics.median(services.query_milliseconds(client))
    ours = statistics.median(services.query_milliseconds(ground.cloud.warehouse))
    return Sample(theirs / ours, f"{ours:.1f} and {theirs:.1f} ms a query")


def _median(values: list[float], note: str = "") -> Sample:
    spread = f"median of {len(values)}, {min(values):.3g} to {max(values):.3g}"
    return Sample(statistics.median(values), f"{note}; {spread}" if note else spread)


FIGURES = (
    Figure("cloud-start", "the local cloud, from command to ready", "s", None, _cloud_start),
    Figure("cloud-ready", "memory of the local cloud when it is ready (PSS)", "MiB", 250, _cloud_ready),
    Figure("up", "`pulumi up` from nothing", "s", None, _up),
    Figure("preview", "`pulumi preview` without a change", "s", 10, _preview),
    Figure("cloud-deployed", "memory of the local cloud with a stack on it (PSS)", "MiB", 250, _cloud_deployed),
    Figure("parse", "the stack's DAG files, beyond importing Airflow", "ms", 150, _parse),
    Figure("query", "round trip of a small query", "ms", 20, _query),
    Figure("uploads", "small uploads", "a second", 300, _uploads, at_least=True),
    Figure("writers", "streaming inserts into one table", "a second", None, _writers, at_least=True),
    Figure("object-memory", "what a large object adds to the server's memory", "MiB", 64, _object_memory),
    Figure("load", "1,000,000 rows of Parquet from a bucket", "s", 1, _load),
    Figure("listing", "rows of a table, listed", "a second", 25_000, _listing, at_least=True),
    Figure("load-memory", "the server's peak, loading 10,000,000 rows", "MiB", 1500, _load_memory),
    Figure("beside-storage", "uploads, times as fast as gcp-storage-emulator", "x", None, _beside_storage),
    Figure("beside-warehouse", "a small query, times as fast as bqemulator", "x", None, _beside_warehouse),
    Figure("delivery", f"gate and delivery of {ROWS} rows", "s", 10, _delivery),
    Figure("delivery-memory", "the service's own peak in that", "MiB", 512, _delivery_memory),
    Figure("rollback", "`python -m service rollback`, from start to end", "s", 5, _rollback),
    Figure("large-delivery", f"{LARGE:,} predictions to receipt, less 2 s, to a bare load", "x", 1.3, _large_delivery),
    Figure("large-delivery-memory", "the service's own peak in that", "MiB", 512, _large_memory),
    Figure("beside-recipe", "the old recipe's way, which checks nothing, to ours", "x", None, _recipe),
    Figure("demo", "`make demo`, everything cached", "s", 120, _demo),
)
