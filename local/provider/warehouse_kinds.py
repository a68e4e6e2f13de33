"""Datasets and tables of BigQuery."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.provider.changes import Change
from local.provider.kind import Scope
from local.provider.rest_kind import Field, RestKind
from local.provider.schemas import Fault
from local.provider.table_schema import changeable, dropped, equivalent
from local.provider.values import UNKNOWN, Properties, plain
from local.wire import CloudError

API = "https://bigquery.googleapis.com/bigquery/v2"  # where the platform says its resources are


def _whole(value: Any) -> int:
    return int(value)


class Dataset(RestKind):
    """A dataset; without a location it is in the US, as on the platform."""

    type = "gcp:bigquery/dataset:Dataset"
    remade = ("etag", "lastModifiedTime")
    fields = (
        Field("location", fixed=True),
        Field("friendlyName"),
        Field("description"),
        Field("defaultTableExpirationMs", send=str, read=_whole),
        Field("defaultPartitionExpirationMs", send=str, read=_whole),
        Field("maxTimeTravelHours"),
        Field("storageBillingModel"),
        Field("isCaseInsensitive"),
        Field("defaultCollation"),
        Field("defaultEncryptionConfiguration"),
    )

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Locations are the same in capitals, and none is the US."""
        return name == "location" and str(old or "US").upper() == str(new or "US").upper()

    def complete(self, inputs: Mapping[str, Any], scope: Scope) -> Properties:
        """Adds the platform's own default, which is not the provider's region."""
        return {"location": "US", **super().complete(inputs, scope)}

    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """A dataset's id is its resource name."""
        return f"/bigquery/v2/{id}"

    def insert(self, facts: Properties, scope: Scope) -> str:
        """Make the dataset."""
        reference = {"projectId": facts["project"], "datasetId": facts["datasetId"]}
        place = f"projects/{facts['project']}/datasets"
        self.rest.call("POST", f"/bigquery/v2/{place}", {"datasetReference": reference, **self.body(facts)})
        return f"{place}/{facts['datasetId']}"

    def computed(self, found: Mapping[str, Any]) -> Properties:
        """Reference, times and address."""
        reference = found["datasetReference"]
        name = f"projects/{reference['projectId']}/datasets/{reference['datasetId']}"
        return {
            "project": reference["projectId"],
            "datasetId": reference["datasetId"],
            "etag": found.get("etag"),
            "creationTime": int(found.get("creationTime", 0)),
            "lastModifiedTime": int(found.get("lastModifiedTime", 0)),
            "selfLink": f"{API}/{name}",
        }

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the dataset; its tables only with `deleteContentsOnDestroy`."""
        contents = "true" if outputs.get("deleteContentsOnDestroy") else "false"
        self.remove(self.path(id, outputs), deleteContents=contents)


def _partitioning(block: Mapping[str, Any]) -> Properties:
    expires = block.get("expirationMs")
    return {**block, **({} if expires is None else {"expirationMs": str(expires)})}


def _read_partitioning(block: Mapping[str, Any]) -> Properties:
    expires = block.get("expirationMs")
    return {**block, **({} if expires is None else {"expirationMs": int(expires)})}


class Table(RestKind):
    """A table or view; protected from deletion unless the stack says otherwise."""

    type = "gcp:bigquery/table:Table"
    remade = ("etag", "lastModifiedTime")
    protected = True
    fields = (
        Field("schema", "schema.fields", json.loads, json.dumps),
        Field("friendlyName"),
        Field("description"),
        Field("expirationTime", send=str, read=_whole),
        Field("timePartitioning", "", _partitioning, _read_partitioning),
        Field("rangePartitioning"),
        Field("requirePartitionFilter"),
        Field("clusterings", "clustering.fields"),
        Field("view"),
        Field("materializedView"),
        Field("tableConstraints"),
        Field("encryptionConfiguration"),
    )

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """The schema is a JSON array of columns with names; a view is in the dialect that the warehouse speaks."""
        query = inputs.get("view")
        if isinstance(query, Mapping) and query.get("useLegacySql", True) is True:
            reason = "It is true unless set, and the local cloud has no legacy SQL. Set it to false."
            yield Fault("view.useLegacySql", reason)
        text = plain(inputs.get("schema"))
        if text in (None, UNKNOWN):
            return
        try:
            columns = json.loads(text)
        except (TypeError, ValueError) as error:
            yield Fault("schema", f"It is not JSON: {error}.")
            return
        if not isinstance(columns, list) or not all(isinstance(c, dict) and c.get("name") for c in columns):
            yield Fault("schema", "It must be a JSON array of columns, each with a name and a type.")

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Schemas are compared by their columns, not by their text."""
        return name == "schema" and isinstance(old, str) and isinstance(new, str) and equivalent(old, new)

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any], outputs: Properties, scope: Scope) -> list[Change]:
        """A schema that cannot change in place means a new table."""
        changes = super().diff(old, new, outputs, scope)
        before, after = plain(old.get("schema")), plain(new.get("schema"))
        if not (isinstance(before, str) and isinstance(after, str)) or changeable(before, after):
            return changes
        return [Change(c.path, c.kind, replaces=True) if c.path == "schema" else c for c in changes]

    def path(self, id: str, outputs: Mapping[str, Any]) -> str:
        """A table's id is its resource name."""
        return f"/bigquery/v2/{id}"

    def insert(self, facts: Properties, scope: Scope) -> str:
        """Make the table in its dataset."""
        project, dataset, table = facts["project"], facts["datasetId"], facts["tableId"]
        reference = {"projectId": project, "datasetId": dataset, "tableId": table}
        place = f"projects/{project}/datasets/{dataset}/tables"
        self.rest.call("POST", f"/bigquery/v2/{place}", {"tableReference": reference, **self.body(facts)})
        return f"{place}/{table}"

    def patch(self, id: str, body: Properties, before: Properties, facts: Properties, scope: Scope) -> None:
        """Columns that are gone are dropped by a statement first: the API refuses a schema without them."""
        columns = dropped(before.get("schema"), facts.get("schema"))
        if columns:
            name = ".".join((facts["project"], facts["datasetId"], facts["tableId"]))
            statement = f"ALTER TABLE `{name}` " + ", ".join(f"DROP COLUMN IF EXISTS `{column}`" for column in columns)
            query = {"query": statement, "useLegacySql": False}
            answer = self.rest.call("POST", f"/bigquery/v2/projects/{facts['project']}/queries", query)
            if errors := answer.get("errors"):
                raise CloudError(400, "invalidQuery", str(errors[0].get("message")))
        super().patch(id, body, before, facts, scope)

    def computed(self, found: Mapping[str, Any]) -> Properties:
        """Reference, times, sizes and address."""
        reference = found["tableReference"]
        name = "projects/{projectId}/datasets/{datasetId}/tables/{tableId}".format(**reference)
        counts = ("creationTime", "lastModifiedTime", "numBytes", "numLongTermBytes", "numRows")
        computed = {
            "project": reference["projectId"],
            "datasetId": reference["datasetId"],
            "tableId": reference["tableId"],
            "etag": found.get("etag"),
            "location": found.get("location"),
            "type": found.get("type", "TABLE"),
            "selfLink": f"{API}/{name}",
            **{count: int(found.get(count, 0)) for count in counts},
        }
        if "view" in found and "schema" in found:
            computed["schema"] = json.dumps(found["schema"].get("fields", []))
        return computed
