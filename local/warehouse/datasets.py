"""bigquery.datasets.* and the few bigquery.projects methods.

Access entries are kept and given back; they are not enforced here.
"""

import re
from typing import Any

from local.places import DATASETS
from local.warehouse.catalog import Catalog, Resource, check_etag, etag, now_ms
from local.warehouse.database import Database
from local.warehouse.paging import page
from local.wire import Answer, Call, CloudError, Method, flag

DEFAULT_LOCATION = "US"
MULTI_REGIONS = {"us": "US", "eu": "EU"}
CHANGEABLE = {
    "friendlyName", "description", "labels", "access", "defaultTableExpirationMs", "defaultPartitionExpirationMs",
    "maxTimeTravelHours", "storageBillingModel", "resourceTags", "defaultRoundingMode",
}  # fmt: skip
FIXED = {
    "kind", "etag", "id", "selfLink", "datasetReference", "creationTime", "lastModifiedTime", "location", "type",
    "projectId",  # that the client for Node repeats here
}  # fmt: skip
REFUSED = (
    "isCaseInsensitive", "defaultCollation", "defaultEncryptionConfiguration", "externalDatasetReference",
    "linkedDatasetSource", "externalCatalogDatasetOptions",
)  # fmt: skip


def canonical_location(given: str | None) -> str:
    """`US`, `EU` or the name of a region, as the API writes it."""
    lower = (given or DEFAULT_LOCATION).lower()
    return MULTI_REGIONS.get(lower, lower)


def known_location(given: str | None) -> str:
    """Where a dataset may lie.

    Raises:
        CloudError: 400 for no location of BigQuery.
    """
    place = canonical_location(given)
    if place.lower() not in DATASETS:
        fault = f"Invalid location {given!r}: none of https://cloud.google.com/bigquery/docs/locations"
        raise CloudError(400, "invalid", fault)
    return place


class Datasets:
    """The methods on datasets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        base = "/bigquery/v2/projects/{project}/datasets"
        one = base + "/{dataset}"
        no = "case-insensitive, linked, external and encrypted datasets"
        return [
            Method("bigquery.datasets.insert", "POST", base, self.insert, refuses=no),
            Method("bigquery.datasets.list", "GET", base, self.listed),
            Method("bigquery.datasets.get", "GET", one, self.get),
            Method("bigquery.datasets.patch", "PATCH", one, self.patch),
            Method("bigquery.datasets.update", "PUT", one, self.update),
            Method("bigquery.datasets.delete", "DELETE", one, self.delete),
        ]

    def insert(self, call: Call) -> Answer:
        """Create a dataset."""
        body, project = call.json(), call.params["project"]
        reference = body.get("datasetReference") or {}
        dataset = str(reference.get("datasetId", ""))
        check_id(dataset)
        return Answer(body=self.create(call, reference.get("projectId") or project, dataset, body))

    def create(self, call: Call, project: str, dataset: str, body: Resource) -> Resource:
        """Create and answer the resource; 409 when it exists."""
        now = str(now_ms())
        resource = {
            "datasetReference": {"projectId": project, "datasetId": dataset},
            "access": default_access(call.caller),
            "creationTime": now,
            "lastModifiedTime": now,
            "type": "DEFAULT",
            **{k: v for k, v in _changes(body).items() if v is not None},
            "location": known_location(body.get("location")),
        }
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            if catalog.find_dataset(project, dataset):
                raise CloudError(409, "duplicate", f"Already Exists: Dataset {project}:{dataset}")
            catalog.put_dataset(resource)
        return presented(resource, call.base_url)

    def get(self, call: Call) -> Answer:
        """One dataset."""
        with self._database.reading() as cursor:
            resource = Catalog(cursor).dataset(call.params["project"], call.params["dataset"])
        return Answer(body=presented(resource, call.base_url))

    def listed(self, call: Call) -> Answer:
        """A page of the datasets of a project; hidden ones only with `all`."""
        with self._database.reading() as cursor:
            found = Catalog(cursor).datasets(call.params["project"])
        if not flag(call.query, "all"):
            found = [r for r in found if not r["datasetReference"]["datasetId"].startswith("_")]
        found = [r for r in found if _passes(r, call.query.get("filter", ""))]
        items, token = page(found, call.query)
        keys = ("datasetReference", "labels", "friendlyName", "location")
        listed = [{"kind": "bigquery#dataset", "id": _id(r)} | {key: r[key] for key in keys if key in r} for r in items]
        return Answer(body={"kind": "bigquery#datasetList", "etag": etag({"": listed}), "datasets": listed} | token)

    def patch(self, call: Call) -> Answer:
        """Change what the body names; null removes."""
        return self._change(call, lambda old, new: merged(old, new))

    def update(self, call: Call) -> Answer:
        """Replace all that can change."""
        return self._change(call, lambda old, new: merged({k: v for k, v in old.items() if k not in CHANGEABLE}, new))

    def _change(self, call: Call, change: Any) -> Answer:
        body = call.json()
        with self._database.writing() as cursor:
            catalog = Catalog(cursor)
            old = catalog.dataset(call.params["project"], call.params["dataset"])
            check_etag(old, call.headers.get("if-match"))
            if body.get("location") and canonical_location(body["location"]) != old["location"]:
                raise CloudError(400, "invalid", f"Cannot change the location of dataset {_id(old)}")
            resource = change(old, _changes(body))
            resource["lastModifiedTime"] = str(max(now_ms(), int(old["lastModifiedTime"]) + 1))
            catalog.put_dataset(resource)
        return Answer(body=presented(resource, call.base_url))

    def delete(self, call: Call) -> Answer:
        """Remove a dataset; with tables in it only when `deleteContents` is true."""
        with self._database.writing() as cursor:
            project, dataset = call.params["project"], call.params["dataset"]
            remove(Catalog(cursor), project, dataset, contents=flag(call.query, "deleteContents"))
        return Answer(status=204)


def remove(catalog: Catalog, project: str, dataset: str, *, contents: bool) -> None:
    """Drop a dataset, its tables only when `contents` is true."""
    catalog.dataset(project, dataset)
    if not contents and catalog.tables(project, dataset):
        raise CloudError(400, "resourceInUse", f"Dataset {project}:{dataset} is still in use")
    catalog.drop_dataset(project, dataset)


def check_id(dataset: str) -> None:
    """Refuse an id that BigQuery refuses."""
    if not re.fullmatch(r"[A-Za-z0-9_]{1,1024}", dataset):
        rule = "Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long."
        raise CloudError(400, "invalid", f'Invalid dataset ID "{dataset}". {rule}')


# https://cloud.google.com/bigquery/docs/labels-intro#requirements
LABEL_KEY, LABEL_VALUE = re.compile(r"[^\W\d_][\w-]{0,62}"), re.compile(r"[\w-]{0,63}")


def check_labels(body: Resource) -> None:
    """Refuse labels that BigQuery refuses; a value that is None takes its label away."""
    for key, value in (body.get("labels") or {}).items():
        text = str(value or "")
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(text) or f"{key}{text}" != f"{key}{text}".lower():
            rule = "lower-case letters, digits, underscores and dashes, at most 63; a key begins with a letter"
            raise CloudError(400, "invalid", f"Invalid label {key!r}: {value!r}. Labels are {rule}.")


def merged(old: Resource, new: Resource) -> Resource:
    """`old` with the properties of `new`; null removes; labels are merged one by one."""
    result = {**old, **new}
    if "labels" in new and new["labels"] is not None:
        result["labels"] = {**old.get("labels", {}), **new["labels"]}
        result["labels"] = {k: v for k, v in result["labels"].items() if v is not None}
    return {k: v for k, v in result.items() if v is not None}


def presented(resource: Resource, base_url: str) -> Resource:
    """The resource as a request answers it."""
    ref = resource["datasetReference"]
    link = f"{base_url}/bigquery/v2/projects/{ref['projectId']}/datasets/{ref['datasetId']}"
    return {"kind": "bigquery#dataset", "etag": etag(resource), "id": _id(resource), "selfLink": link, **resource}


def _id(resource: Resource) -> str:
    ref = resource["datasetReference"]
    return f"{ref['projectId']}:{ref['datasetId']}"


def _changes(body: Resource) -> Resource:
    refused = [key for key in REFUSED if body.get(key)] + [
        key for key in body if key not in CHANGEABLE | FIXED | set(REFUSED)
    ]
    if refused:
        raise CloudError(501, "notImplemented", f"The local warehouse does not support {refused[0]!r} of a dataset")
    check_labels(body)
    return {k: v for k, v in body.items() if k in CHANGEABLE}


def default_access(caller: str) -> list[Resource]:
    """The access entries of a dataset for which none were given."""
    groups = [("WRITER", "projectWriters"), ("OWNER", "projectOwners"), ("READER", "projectReaders")]
    entries: list[Resource] = [{"role": role, "specialGroup": group} for role, group in groups]
    return [*entries, {"role": "OWNER", "userByEmail": caller if "@" in caller else f"{caller}@example.com"}]


def _passes(resource: Resource, expression: str) -> bool:
    """`labels.key:value` terms, all of which must hold; a key alone means it is there."""
    labels = resource.get("labels", {})
    for term in expression.split():
        match = re.fullmatch(r"labels\.([^:]+)(?::(.*))?", term)
        if not match:
            raise CloudError(400, "invalid", f"Invalid filter term {term!r}; expected labels.<key>:<value>")
        key, value = match.groups()
        if key not in labels or (value and labels[key] != value):
            return False
    return True
