"""The words of methods.toml: which resources a request is about, by their full names.

A bucket that does not exist gives none, because Cloud Storage answers 404 to everybody then.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from local.storage import Storage
from local.storage.routes import number
from local.storage.uploads import read_related
from local.storage.xml_api import OTHER_APIS, header_conditions
from local.storage.xml_copies import copied_from
from local.warehouse import Warehouse
from local.wire import Call, CloudError

ABSENT = "0"  # a generation: the upload is for a name that is free, so it overwrites nothing


class Resources:
    """Names the resources of a call.

    Args:
        storage: tells whether there is something to overwrite.
        warehouse: tells who made a job.
    """

    def __init__(self, storage: Storage, warehouse: Warehouse) -> None:
        self._storage, self._warehouse = storage, warehouse
        self.words: dict[str, Callable[[Call], list[str]]] = {
            "project": lambda call: [named(call, "project")],
            "named project": lambda call: [f"projects/{call.query.get('project', '')}"],
            "billed project": _billed,
            "dataset": lambda call: [named(call, "project", "dataset")],
            "table": lambda call: [named(call, "project", "dataset", "table").partition("$")[0]],
            "another's job": self._others_job,
            "location": lambda call: [named(call, "project", "location")],
            "operation": lambda call: [named(call, "project", "location")],
            "job": lambda call: [named(call, "project", "location", "job")],
            "execution": lambda call: [named(call, "project", "location", "job", "execution")],
            "account of the job": _account,
            "logs": _log_projects,
            "bucket": self._bucket,
            "bucket without it": self._bucket_without_it,
            "object": lambda call: self._objects(call, [object_name(call)]),
            "sources": lambda call: self._objects(call, [str(s.get("name")) for s in _sources(call)]),
            "target": lambda call: self._objects(call, [object_name(call, target=True)], target=True),
            "copy source": self._copy_source,
            "overwritten": self._overwritten,
        }

    def of(self, word: str, call: Call) -> list[str]:
        """The resources that a word means in a call."""
        return self.words[word](call)

    def _exists(self, bucket: str) -> bool:
        return not OTHER_APIS.fullmatch(bucket) and self._storage.bucket(bucket) is not None

    def _bucket(self, call: Call) -> list[str]:
        bucket = call.params["bucket"]
        return [bucket_name(bucket)] if self._exists(bucket) else []

    def _bucket_without_it(self, call: Call) -> list[str]:
        return [] if self._is_live(call, target=False) else self._bucket(call)

    def _objects(self, call: Call, names: list[str], *, target: bool = False) -> list[str]:
        bucket = _bucket_of(call, target=target)
        return [f"{bucket_name(bucket)}/objects/{name}" for name in names] if self._exists(bucket) else []

    def _copy_source(self, call: Call) -> list[str]:
        bucket, name = copied_from(call.headers)
        return [f"{bucket_name(bucket)}/objects/{name}"] if self._exists(bucket) else []

    def _overwritten(self, call: Call) -> list[str]:
        absent = {**call.query, **header_conditions(call.headers)}.get("ifGenerationMatch") == ABSENT
        if absent or not self._is_live(call, target=True):
            return []
        return self._objects(call, [object_name(call, target=True)], target=True)

    def _is_live(self, call: Call, *, target: bool) -> bool:
        bucket = _bucket_of(call, target=target)
        if not self._exists(bucket):
            return False
        generation = None if target else number(call.query, "generation")
        try:
            self._storage.find(bucket, object_name(call, target=target), generation)
        except CloudError:
            return False
        return True

    def _others_job(self, call: Call) -> list[str]:
        project, job = call.params["project"], call.params["job"]
        maker = self._warehouse.maker_of(project, job, call.query.get("location"))
        return [] if maker == call.caller else [f"projects/{project}"]


def bucket_name(bucket: str) -> str:
    """The full name of a bucket."""
    return f"projects/_/buckets/{bucket}"


def named(call: Call, *kinds: str) -> str:
    """The full name of a resource from the parts of the path: `projects/P/datasets/D` and so on."""
    return "/".join(f"{kind}s/{call.params[kind]}" for kind in kinds)


def object_name(call: Call, *, target: bool = False) -> str:
    """The object that a call reads or writes; of an upload the name is in the query or in the metadata."""
    if target and "object2" in call.params:
        return call.params["object2"]
    if "object" in call.params:
        return call.params["object"]
    return call.query.get("name") or str(_metadata(call).get("name", ""))


def _bucket_of(call: Call, *, target: bool) -> str:
    return call.params.get("bucket2", call.params["bucket"]) if target else call.params["bucket"]


def _metadata(call: Call) -> Mapping[str, Any]:
    """The JSON that comes with an upload; the body is left rewound."""
    if call.query.get("uploadType") == "resumable":
        return call.json()
    try:
        given, _ = read_related(call.headers.get("content-type", ""), call.body)
    finally:
        call.body.seek(0)
    return given


def _billed(call: Call) -> list[str]:
    """The project of the address, and the one that the job itself names."""
    try:
        reference = _metadata(call) if call.path.startswith(("/upload", "/resumable")) else call.json()
    except CloudError:  # the method itself says what is wrong
        reference = {}
    given = (reference.get("jobReference") or {}).get("projectId") or call.params["project"]
    return sorted({named(call, "project"), f"projects/{given}"})


def _account(call: Call) -> list[str]:
    found = re.findall(r'"service_?[aA]ccount":\s*"([^"]+)"', json.dumps(call.json()))
    return [f"{named(call, 'project')}/serviceAccounts/{email}" for email in found]


def _sources(call: Call) -> list[Mapping[str, Any]]:
    return [source for source in call.json().get("sourceObjects") or [] if isinstance(source, dict)]


def _log_projects(call: Call) -> list[str]:
    body = call.json()
    entries = body.get("entries")
    given = [body, *(entries if isinstance(entries, list) else [])]
    names = [entry.get("logName") for entry in given if isinstance(entry, dict)]
    told = [str(name) for name in [*names, *(body.get("resourceNames") or [])] if name]
    return sorted({"/".join(name.split("/")[:2]) for name in told})
