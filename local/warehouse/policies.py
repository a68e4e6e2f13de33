"""IAM policies of tables: kept and given back. Who may do what is decided in local/iam/."""

import base64
import hashlib
import json

import duckdb

from local.warehouse.catalog import Catalog, Ref, Resource
from local.warehouse.database import Database, bound
from local.wire import Answer, Call, CloudError, Method


class Policies:
    """getIamPolicy, setIamPolicy and testIamPermissions of tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        path = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}:"
        rows = [("getIamPolicy", self.get), ("setIamPolicy", self.set), ("testIamPermissions", self.test)]
        return [Method(f"bigquery.tables.{name}", "POST", path + name, handler) for name, handler in rows]

    def get(self, call: Call) -> Answer:
        """The policy of a table."""
        with self._database.reading() as cursor:
            table = Catalog(cursor).table(_ref(call))
            return Answer(body=_presented(stored(cursor, table.ref)))

    def set(self, call: Call) -> Answer:
        """Replace the policy, unless it has changed since the etag in the body was read."""
        given = call.json().get("policy") or {}
        with self._database.writing() as cursor:
            table = Catalog(cursor).table(_ref(call))
            old = _presented(stored(cursor, table.ref))
            if given.get("etag") and given["etag"] != old["etag"]:
                raise CloudError(
                    409, "aborted", f"The policy of {table.ref} has changed since its etag was read; read it again"
                )
            policy = {k: given[k] for k in ("version", "bindings") if k in given}
            cursor.execute(bound("DELETE FROM policies WHERE resource = ?", str(table.ref)))
            cursor.execute(bound("INSERT INTO policies VALUES (?, ?)", str(table.ref), json.dumps(policy)))
        return Answer(body=_presented(policy))

    def test(self, call: Call) -> Answer:
        """For the owner, who may do everything; others are answered by local/iam/gate.py."""
        with self._database.reading() as cursor:
            Catalog(cursor).table(_ref(call))
        return Answer(body={"permissions": call.json().get("permissions", [])})


def _ref(call: Call) -> Ref:
    return Ref.of({"datasetId": call.params["dataset"], "tableId": call.params["table"]}, call.params["project"])


def stored(cursor: duckdb.DuckDBPyConnection, ref: Ref) -> Resource:
    """The policy of a table as it was set, empty if it never was."""
    row = cursor.execute(bound("SELECT policy FROM policies WHERE resource = ?", str(ref))).fetchone()
    return json.loads(row[0]) if row else {}


def _presented(policy: Resource) -> Resource:
    tag = hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).digest()[:8]
    return {"version": 1, **policy, "etag": base64.b64encode(tag).decode()}
