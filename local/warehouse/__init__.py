"""BigQuery v2 of the local cloud: datasets, tables, jobs, queries and rows, on one DuckDB file.

GoogleSQL is read by sqlglot and run by DuckDB. What is not supported is refused by name. What a job may do is asked of local/iam/.
"""

import re
from pathlib import Path

from local.iam.bindings import Binding, of_policy
from local.warehouse import policies
from local.warehouse.access import Authority, bindings_of_dataset
from local.warehouse.catalog import Catalog, Ref
from local.warehouse.database import Database
from local.warehouse.datasets import Datasets, canonical_location
from local.warehouse.discovery import Discovery
from local.warehouse.exports import Files
from local.warehouse.job_routes import JobRoutes
from local.warehouse.jobs import Jobs
from local.warehouse.policies import Policies
from local.warehouse.projects import Projects
from local.warehouse.sizes import Sizes
from local.warehouse.tabledata import TableData
from local.warehouse.tables import Tables
from local.warehouse.uploads import Uploads
from local.warehouse.work import Work
from local.wire import CloudError, Method


class Warehouse:
    """The whole service.

    Args:
        folder: created when missing; holds all its state.
        storage: objects to load from and export to.
        authority: decides what an account may do; without one everybody may do everything.
    """

    def __init__(self, folder: Path, storage: Files, authority: Authority | None = None) -> None:
        uploads = folder / "uploads"
        self._database = Database(folder)
        sizes = Sizes()
        work = Work(self._database, storage, sizes, uploads, authority)
        self._jobs = Jobs(self._database, work, uploads)
        routes = JobRoutes(self._database, self._jobs, work)
        self._parts = (
            Policies(self._database),
            Uploads(uploads, routes),
            routes,
            TableData(self._database),
            Tables(self._database, sizes, work.check_view),
            Datasets(self._database),
            Projects(self._database),
            Discovery(self.methods),
        )
        self._jobs.resume()

    def methods(self) -> list[Method]:
        """Every method of the service."""
        return [method for part in self._parts for method in part.methods()]

    def bindings_on(self, resource: str) -> list[Binding]:
        """The bindings of the policies of the table and the dataset that a resource is or lies in."""
        match = re.match(r"projects/([^/]+)/datasets/([^/]+)(?:/tables/([^/]+))?", resource)
        if not match:
            return []
        project, dataset, table = match.groups()
        place = f"projects/{project}/datasets/{dataset}"
        with self._database.reading() as cursor:
            access = (Catalog(cursor).find_dataset(project, dataset) or {}).get("access", [])
            policy = policies.stored(cursor, Ref(project, dataset, table)) if table else {}
        found = of_policy(bindings_of_dataset(access), place)
        return found + of_policy(policy.get("bindings", []), f"{place}/tables/{table}")

    def maker_of(self, project: str, job: str, location: str | None) -> str:
        """Who made a job; nobody, when there is no such job."""
        try:
            found = self._jobs.get(project, job, canonical_location(location) if location else None)
        except CloudError:
            return ""
        return str(found.resource["user_email"])

    def close(self) -> None:
        """Stop jobs and close the file; stopped jobs run again in the next process."""
        self._jobs.close()
        self._database.close()
