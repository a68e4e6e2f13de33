"""bigquery.projects.*, and the lists of what a dataset here never holds: routines, models, row access policies."""

import hashlib

from local.warehouse.catalog import Catalog
from local.warehouse.database import Database
from local.warehouse.paging import page
from local.wire import Answer, Call, Method


class Projects:
    """Methods on projects: one exists as soon as it has a dataset."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        base = "/bigquery/v2/projects"
        dataset = base + "/{project}/datasets/{dataset}"
        return [
            Method("bigquery.projects.list", "GET", base, self.listed),
            Method(
                "bigquery.projects.getServiceAccount", "GET", base + "/{project}/serviceAccount", self.service_account
            ),
            Method(
                "bigquery.routines.list", "GET", dataset + "/routines", self.none_in_dataset, supports="always empty"
            ),
            Method("bigquery.models.list", "GET", dataset + "/models", self.none_in_dataset, supports="always empty"),
        ]

    def listed(self, call: Call) -> Answer:
        """A page of the projects that have datasets."""
        with self._database.reading() as cursor:
            names = [name for (name,) in cursor.execute("SELECT DISTINCT project FROM datasets ORDER BY 1").fetchall()]
        items, token = page(names, call.query)
        listed = [
            {
                "kind": "bigquery#project",
                "id": name,
                "numericId": str(_number(name)),
                "projectReference": {"projectId": name},
                "friendlyName": name,
            }
            for name in items
        ]
        return Answer(body={"kind": "bigquery#projectList", "projects": listed, "totalItems": len(names)} | token)

    def service_account(self, call: Call) -> Answer:
        """The account that encrypts with customers' keys, which nothing here does."""
        email = f"bq-{_number(call.params['project'])}@bigquery-encryption.iam.gserviceaccount.com"
        return Answer(body={"kind": "bigquery#getServiceAccountResponse", "email": email})

    def none_in_dataset(self, call: Call) -> Answer:
        """An empty list; 404 without the dataset."""
        with self._database.reading() as cursor:
            Catalog(cursor).dataset(call.params["project"], call.params["dataset"])
        return Answer(body={})


def _number(project: str) -> int:
    return int(hashlib.sha256(project.encode()).hexdigest()[:10], 16)
