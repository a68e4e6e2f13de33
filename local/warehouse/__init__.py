"""BigQuery v2 of the local cloud: datasets, tables, jobs, queries and rows, on one DuckDB file.

GoogleSQL is read by sqlglot and run by DuckDB. What is not supported is refused by name. Does not enforce IAM.
"""

from pathlib import Path

from local.warehouse.database import Database
from local.warehouse.datasets import Datasets
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
from local.wire import Method


class Warehouse:
    """The whole service.

    Args:
        folder: created when missing; holds all its state.
        storage: objects to load from and export to.
    """

    def __init__(self, folder: Path, storage: Files) -> None:
        uploads = folder / "uploads"
        self._database = Database(folder)
        sizes = Sizes()
        work = Work(self._database, storage, sizes, uploads)
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
        )
        self._jobs.resume()

    def methods(self) -> list[Method]:
        """Every method of the service."""
        return [method for part in self._parts for method in part.methods()]

    def close(self) -> None:
        """Stop jobs and close the file; stopped jobs run again in the next process."""
        self._jobs.close()
        self._database.close()
