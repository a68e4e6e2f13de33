"""`python -m local.method_docs`: writes docs/local-cloud.md from the tables of methods.

Does not own what a method supports or refuses: that stands in each service's table.
"""

import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from local.images import Processes
from local.server import LocalCloud
from local.wire import Method

DOCUMENT = Path(__file__).parent.parent / "docs" / "local-cloud.md"
SERVICES = {
    "storage": "Cloud Storage (JSON API; XML API for single objects and multipart uploads)",
    "bigquery": "BigQuery v2",
    "logging": "Cloud Logging v2",
    "run": "Cloud Run v2 jobs",
    "metadata": "Metadata server",
    "local": "Of the local cloud itself",
}
HEAD = """# What the local cloud answers

Made by `python -m local.method_docs` from the tables of methods; a test compares. Any other call is 501 and names
itself, an unknown parameter or property is refused, and SQL that cannot be done is 400 `invalidQuery` naming the
construct. "Refuses" lists what Google has and this cloud does not; an empty cell means the method does what its
reference says.

Every service answers at both doors: the owner's, which `python -m local env` prints, and that of jobs and Airflow.
"""
CLIENTS = """
## Google's own command lines

Tried with SDK 528, each command in seconds. They ask for a token, so give them any; `STORAGE_ENDPOINT` and its like
come from `python -m local env`:

```sh
export CLOUDSDK_AUTH_ACCESS_TOKEN=none CLOUDSDK_CORE_PROJECT=$GOOGLE_CLOUD_PROJECT
export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=$STORAGE_ENDPOINT/storage/v1/
export CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING=$LOGGING_ENDPOINT/
gcloud storage ls gs://BUCKET
gcloud logging read 'severity>=ERROR'
bq --api $BIGQUERY_ENDPOINT query --use_legacy_sql=false 'SELECT 1'
```

`gcloud run` cannot be pointed here: it calls the v1 API at a host made of the region's name. Neither can gsutil: it
always speaks TLS to the JSON API.

## Other clients

Tried by hand: dbt (1.10) builds, tests, snapshots and documents a project here, materialized views and Python models
excepted. Its profile needs `api_endpoint: "{{ env_var('BIGQUERY_ENDPOINT') }}"`, `method: oauth-secrets` and any
`token`; unset `BIGQUERY_EMULATOR_HOST`. gcsfs, pandas-gbq, polars, obstore, smart_open, cloudpathlib and gcloud-aio
work, too.

Tried by hand with storage 7.22 and bigquery 8.3 for Node, and with storage and bigquery for Go. With
`STORAGE_EMULATOR_HOST` and `BIGQUERY_EMULATOR_HOST`, which `python -m local env` prints, both clients for Node and the
one for Storage in Go find the local cloud by themselves. For Node, pass an `authClient` that holds any token; its
transfer manager cannot be pointed here, because it makes its own `https://` address. For BigQuery in Go, pass
`option.WithEndpoint(url + "/bigquery/v2/")` and `option.WithoutAuthentication()`.
"""


def rendered(methods: list[Method]) -> str:
    """The document."""
    order = list(SERVICES)
    rows = sorted(methods, key=lambda m: order.index(m.name.partition(".")[0]))
    text = HEAD
    for service, group in groupby(rows, key=lambda m: m.name.partition(".")[0]):
        text += f"\n## {SERVICES[service]}\n\n| method | request | supports | refuses |\n| --- | --- | --- | --- |\n"
        text += "".join(f"{row}\n" for row in _rows(list(group)))
    return text + CLIENTS


def _rows(methods: list[Method]) -> list[str]:
    """One row for each method: several requests of the same name stand in one."""
    named: dict[str, list[Method]] = {}
    for method in methods:
        named.setdefault(method.name, []).append(method)
    return [
        f"| {name} | {'<br>'.join(f'`{m.verb} {m.path}`' for m in same)} | {_told(m.supports for m in same)} "
        f"| {_told(m.refuses for m in same)} |"
        for name, same in named.items()
    ]


def _told(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text)).replace("|", "\\|")


def main() -> None:
    """Write the document."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = LocalCloud(Path(folder), "any-project", Processes(Path(folder), "nothing runs"))
        DOCUMENT.write_text(rendered(cloud.methods()))
        cloud.close()


if __name__ == "__main__":
    main()
