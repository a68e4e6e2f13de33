"""What an alert asks of Cloud Monitoring, and what it tells the people who get it.

Pure: takes plain values, returns text. Does not own the policies themselves (components/monitoring.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from croniter import croniter
from settings import VERBS

from service.spec import ActionSpec, ModelSpec, Schedule

# What the service writes last, and only after a receipt that says "succeeded": LAST_WORDS in service/run.py.
LAST_WORDS = "Well done."
DAY = timedelta(days=1)
LONGEST_NOTES = 6000  # characters of triage; an alert's documentation holds 8192, and the DAG's page shows the rest


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A job, and the metric that counts its good runs."""

    location: str
    job: str
    metric: str


def good_runs_metric(stack: str) -> str:
    """The name of the metric that counts the good runs of all jobs of a stack."""
    return f"predictions_{stack.replace('-', '_')}_good_runs"


def good_runs_filter(stack: str, location: str) -> str:
    """The log entries that the metric counts; which job they are of is a label of their resource."""
    conditions = (
        'resource.type="cloud_run_job"',
        f'resource.labels.location="{location}"',
        f'resource.labels.job_name=~"^{stack}-"',
        f'jsonPayload.message="{LAST_WORDS}"',
    )
    return " AND ".join(conditions)


def failed_filter(watched: Watched) -> str:
    """Executions that failed for good, whatever ended them; one that a retry saved is not among them."""
    conditions = (
        'resource.type="cloud_run_job"',
        f'resource.labels.location="{watched.location}"',
        f'resource.labels.job_name="{watched.job}"',
        'metric.type="run.googleapis.com/job/completed_execution_count"',
        'metric.labels.result="failed"',
    )
    return " AND ".join(conditions)


def late_query(watched: Watched, window: timedelta, deployed_at: str) -> str:
    """PromQL that is true when no run was good for a whole window, but not before the job is that old.

    Args:
        deployed_at: when the job was made, in RFC 3339: a job that is new owes nothing yet.
    """
    made = datetime.fromisoformat(deployed_at[:19]).replace(tzinfo=UTC)
    labels = f'monitored_resource="cloud_run_job",location="{watched.location}",job_name="{watched.job}"'
    absent = f"absent_over_time(logging_googleapis_com:user_{watched.metric}{{{labels}}}[{_hours(window)}h])"
    return f"{absent} and on() (vector(time()) > {int((made + window).timestamp())})"


def window(action: ActionSpec) -> timedelta:
    """How long an action may be without a good run: the longest pause in its schedule, and time for the run itself."""
    longest_run = timedelta(seconds=action.timeout_seconds * (action.max_retries + 1))
    pause = longest_pause(action.schedule)
    # What runs once a month may be put right within a day; yesterday's predictions are old sooner.
    margin = timedelta(hours=2) if pause <= DAY else DAY
    return pause + max(margin, longest_run)


@cache  # most models share a schedule, and each costs 700 steps of cron
def longest_pause(schedule: Schedule) -> timedelta:
    """The longest time between two ticks of a schedule in a year, a day at least."""
    zone = ZoneInfo(schedule.timezone)
    pause = DAY
    for day in range(366):  # a pause of more than a day has a midnight in it
        midnight = (datetime(2024, 1, 1) + timedelta(days=day)).replace(tzinfo=zone)
        before, after = croniter(schedule.cron, midnight), croniter(schedule.cron, midnight - timedelta(seconds=1))
        gap = after.get_next(datetime).astimezone(UTC) - before.get_prev(datetime).astimezone(UTC)
        # A clock that is set back in autumn makes one day longer than the others.
        pause = max(pause, gap) if gap > timedelta(hours=25) else pause
    return pause


def failed_notes(model: ModelSpec, action: ActionSpec, project: str, watched: Watched) -> str:
    """What to do when a run failed."""
    return _notes(
        model,
        f"An execution of the {action.name} of **{model.name}** failed after all its attempts.",
        f"1. Read why: the last error of job `{watched.job}` in `{watched.location}` names the cause and what to do:\n"
        f"   `gcloud logging read 'resource.labels.job_name=\"{watched.job}\" severity>=ERROR' --project {project}`\n"
        "2. Exit code 2 (configuration) and 3 (data, gate) repeat themselves until that is mended; 4 (upstream) often "
        "passes.\n"
        f"3. Then clear the task `start` of the DAG run, or run `python -m service {VERBS[action.name]}` for its date.",
    )


def late_notes(model: ModelSpec, action: ActionSpec, watched: Watched) -> str:
    """What to do when there was no good run for too long."""
    return _notes(
        model,
        f"The {action.name} of **{model.name}** has not succeeded for {_hours(window(action))} hours.",
        f"1. Did runs fail? Then there is an alert of each; begin with the oldest. If there is none, none began.\n"
        f"2. Look at the DAG in Airflow: is it paused, is the scheduler alive, does it stand under import errors?\n"
        f"3. Was job `{watched.job}` started at all? "
        f"`gcloud run jobs executions list --job {watched.job} --region {watched.location}`\n"
        "4. The predictions of the newest good run stay readable in the meantime.",
    )


def _notes(model: ModelSpec, what: str, to_do: str) -> str:
    triage = model.triage.strip()
    if len(triage) > LONGEST_NOTES:
        triage = triage[:LONGEST_NOTES] + " … (the rest stands on the DAG's page)"
    return f"{what} Owner: {model.owner}.\n\n{to_do}\n\n## What its owner says\n\n{triage}"


def _hours(duration: timedelta) -> int:
    return -(-int(duration.total_seconds()) // 3600)  # rounded up
