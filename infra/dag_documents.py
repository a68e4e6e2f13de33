"""What one DAG's JSON file says: the seam between a deployment and dags/predictions.py.

Pure: takes plain values, returns text. Does not own how the factory builds a DAG from it.
"""

import json
from dataclasses import dataclass

from settings import VERBS

from service.spec import ActionSpec, ModelSpec

# Beyond what all attempts of a task may take: the wait for a machine, pulling the image, the pauses between attempts.
START_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What the stack has put in place for one action of a model."""

    stack: str
    job: str
    image_digest: str
    runs_bucket: str
    table: str
    paused: bool
    wait_interval_seconds: int


def dag_id(stack: str, model: str, action: str) -> str:
    """The id of a DAG: it stays the same when image, schedule or size change, so that its history does."""
    return f"{stack}_{model}_{action}"


def render(model: ModelSpec, action: ActionSpec, deployed: Deployed) -> str:
    """The text of `<dag_id>.dag.json`, which the same values always give alike."""
    document = {
        "dag_id": dag_id(deployed.stack, model.name, action.name),
        "model": model.name,
        "action": action.name,
        "owner": model.owner,
        "tags": [deployed.stack, model.name, action.name],
        "doc_md": _doc_md(model, action, deployed),
        "schedule": {"cron": action.schedule.cron, "timezone": action.schedule.timezone},
        "paused": deployed.paused,
        "job": deployed.job,
        "image_digest": deployed.image_digest,
        "args": [VERBS[action.name]],
        "runs_bucket": deployed.runs_bucket,
        "table": deployed.table if action.name == "application" else None,
        "task_timeout_seconds": action.timeout_seconds,
        "max_retries": action.max_retries,
        "wait": {
            # Not "reschedule": the scheduler can fail a healthy sensor of that mode (apache/airflow#71172).
            "mode": "poke",
            "interval_seconds": deployed.wait_interval_seconds,
            "timeout_seconds": action.timeout_seconds * (action.max_retries + 1) + START_SECONDS,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _doc_md(model: ModelSpec, action: ActionSpec, deployed: Deployed) -> str:
    limit = (
        f"An attempt ends after {action.timeout_seconds / 60:g} minutes; after {action.max_retries + 1} it is given up."
    )
    lines = [
        f"# {model.name}: {action.name}",
        "",
        f"Owner: {model.owner}. {limit}",
        "",
        model.triage.strip(),
        "",
        f"* Job: `{deployed.job}`" + (f", in {action.tasks} tasks" if action.tasks > 1 else ""),
        f"* Receipts: `gs://{deployed.runs_bucket}/receipts/{action.name}/`",
        f"* Predictions: `{deployed.table}`",
    ]
    return "\n".join(lines)
