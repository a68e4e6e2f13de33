"""The keys of a stack's configuration: what each one's text may be, and what it means.

Pure. Does not own types, descriptions and defaults (Pulumi.yaml) or which keys are needed together (settings.py).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Reader = Callable[[str], Any]


def _matching(pattern: str, right: str) -> Reader:
    """A text of a certain form; the error says what would be right."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(right)
        return text

    return read


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise ValueError("a whole number from 1 to 9999")
    return int(text)


def _emails(text: str) -> tuple[str, ...]:
    right = """a list of e-mail addresses, such as '["team@example.com"]'"""
    try:
        emails = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(right) from error
    if not isinstance(emails, list) or not all(re.fullmatch(r"[^@\s]+@[^@\s]+", str(email)) for email in emails):
        raise ValueError(right)
    return tuple(dict.fromkeys(emails))


def _images(text: str) -> Mapping[str, str]:
    # A tag can move under a running deployment; a digest cannot.
    reference = re.compile(r"[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}")
    right = (
        "a mapping from model names to images such as 'REGION-docker.pkg.dev/PROJECT/REPOSITORY/MODEL@sha256:DIGEST'"
    )
    try:
        images = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(right) from error
    if not isinstance(images, dict) or not all(reference.fullmatch(str(image)) for image in images.values()):
        raise ValueError(right)
    return images


# By full name: these need a value only when the stack uses an Airflow environment that something else deployed.
EXISTING = ("predictions:existingEnvironment", "predictions:existingDagsBucket", "predictions:existingAirflowAccount")

KEYS: Mapping[str, Reader] = {
    "gcp:project": _matching(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project id, such as 'my-project-123'"),
    "gcp:region": _matching(r"[a-z]+-[a-z]+\d{1,2}", "one region, such as 'europe-west1'"),
    "predictions:dataset": _matching(r"[A-Za-z0-9_]{1,1024}", "letters, digits and _, such as 'predictions'"),
    "predictions:owner": _matching(r"\S.*", "the name or e-mail address of a team"),
    "predictions:protectData": _boolean,
    "predictions:exampleSource": _boolean,
    "predictions:orchestrator": _matching("composer|existing|none", "composer, existing or none"),
    # Only Airflow 3: the DAGs are written for it, and an environment of Airflow 2 cannot be upgraded in place.
    "predictions:composerImageVersion": _matching(
        r"composer-3-airflow-3\.\d+\.\d+-build\.\d+", "a full version, such as 'composer-3-airflow-3.3.1-build.2'"
    ),
    "predictions:existingEnvironment": _matching(r"[a-z][a-z0-9-]{0,62}", "the name of an Airflow environment"),
    "predictions:existingDagsBucket": _matching(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", "a bucket, without 'gs://'"),
    "predictions:existingAirflowAccount": _matching(r"[^@\s:]+@[^@\s:]+", "an e-mail address, without a prefix"),
    "predictions:dagsPaused": _boolean,
    "predictions:waitIntervalSeconds": _seconds,
    "predictions:alertEmails": _emails,
    "predictions:prebuiltImages": _images,
}
