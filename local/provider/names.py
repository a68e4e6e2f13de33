"""What names and places Google documents for the resources in use: one table, with a source per line.

Does not own labels (kind.py), members and roles (grants.py), or whether a named thing exists, which its kind asks.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.places import BUCKETS, DATASETS, REGIONS
from local.provider.schemas import Fault

WIDER = {
    ("gcp:storage/bucket:Bucket", "location"): BUCKETS,
    ("gcp:bigquery/dataset:Dataset", "location"): DATASETS,
    # https://cloud.google.com/artifact-registry/docs/repositories/repo-locations
    ("gcp:artifactregistry/repository:Repository", "location"): {"asia", "europe", "us"},
    # https://cloud.google.com/run/docs/locations
    ("gcp:cloudrunv2/job:Job", "location"): set[str](),
    # https://cloud.google.com/composer/docs/composer-3/configure-regions
    ("gcp:composer/environment:Environment", "region"): set[str](),
}
# Type, input, form, the rule in words, source.
FORMS = (
    (
        "gcp:artifactregistry/repository:Repository",
        "repositoryId",
        r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
        "1 to 63 lower-case letters, digits and -, beginning with a letter",
        "https://cloud.google.com/artifact-registry/docs/repositories/create-repos",
    ),
    (
        "gcp:bigquery/dataset:Dataset",
        "datasetId",
        r"[A-Za-z0-9_]{1,1024}",
        "letters, digits and _",
        "https://cloud.google.com/bigquery/docs/datasets#dataset-naming",
    ),
    (
        "gcp:bigquery/table:Table",
        "tableId",
        r"[\w \-]{1,1024}",
        "letters, digits, _, - and spaces",
        "https://cloud.google.com/bigquery/docs/tables#table_naming",
    ),
    (
        "gcp:cloudrunv2/job:Job",
        "name",
        r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?",
        "1 to 49 lower-case letters, digits and -, beginning with a letter",
        "https://cloud.google.com/run/docs/create-jobs",
    ),
    (
        "gcp:composer/environment:Environment",
        "name",
        r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
        "1 to 63 lower-case letters, digits and -, beginning with a letter",
        "https://cloud.google.com/composer/docs/reference/rest/v1/projects.locations.environments",
    ),
    (
        "gcp:logging/metric:Metric",
        "name",
        r"[\w.,+!*',()%/-]{1,100}",
        "1 to 100 letters, digits and _-.,+!*',()%/",
        "https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics",
    ),
    (
        "gcp:projects/service:Service",
        "service",
        r"[a-z0-9-]+(\.[a-z0-9-]+)+",
        "the name of an API such as 'run.googleapis.com'",
        "https://cloud.google.com/service-usage/docs/reference/rest/v1/services",
    ),
    (
        "gcp:serviceaccount/account:Account",
        "accountId",
        r"[a-z][-a-z0-9]{4,28}[a-z0-9]",
        "6 to 30 lower-case letters, digits and -, beginning with a letter",
        "https://cloud.google.com/iam/docs/service-accounts-create",
    ),
    (
        "gcp:storage/bucket:Bucket",
        "name",
        # Longer ones have dots, and are domains whose owner must be verified.
        r"(?!goog|.*google|.*\.\.|\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]",
        "3 to 63 lower-case letters, digits and -_., without 'google'",
        "https://cloud.google.com/storage/docs/buckets#naming",
    ),
    (
        "gcp:storage/bucketObject:BucketObject",
        "name",
        r"(?!\.\.?$|\.well-known/acme-challenge/)[^\r\n]{1,1024}",
        "1 to 1024 characters without a line break, not '.' or '..'",
        "https://cloud.google.com/storage/docs/objects#naming",
    ),
)


def faults(token: str, inputs: Mapping[str, Any]) -> Iterator[Fault]:
    """Names without their form and places that do not exist, which Google would refuse in the middle of an `up`."""
    for type, name, form, rule, source in FORMS:
        value = inputs.get(name)
        if type == token and isinstance(value, str) and not re.fullmatch(form, value):
            yield Fault(name, f"{value!r} is no {name} that Google takes. Use {rule} ({source}).")
    for (type, name), wider in WIDER.items():
        value = inputs.get(name)
        if type == token and isinstance(value, str) and value.lower() not in REGIONS | wider:
            yield Fault(
                name, f"{value!r} is no location of Google Cloud here (https://cloud.google.com/about/locations)."
            )
