"""The DuckDB file that holds catalogue, jobs and rows: connections, transactions, and the functions DuckDB lacks.

Does not know what a dataset or a job is. Everything that belongs together is written in one transaction, so that a kill
leaves either all of it or none.
"""

import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from local.warehouse import digests
from local.warehouse.macros import MACROS
from local.warehouse.text_forms import READING

MEMORY_LIMIT = "1200MB"  # of DuckDB, which spills to its temporary folder beyond that
THREADS = 2

TABLES = """
CREATE TABLE IF NOT EXISTS datasets (project VARCHAR, dataset VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS tables (project VARCHAR, dataset VARCHAR, name VARCHAR, physical VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS jobs (project VARCHAR, location VARCHAR, id VARCHAR, state VARCHAR, created BIGINT,
    parent VARCHAR, resource VARCHAR);
CREATE TABLE IF NOT EXISTS policies (resource VARCHAR, policy VARCHAR);
"""
# Nothing may be fetched: every extension this needs is compiled into the wheel.
# Nothing of this process may be read as a table: queries come from others.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY_LIMIT,
    "threads": THREADS,
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


class Database:
    """One DuckDB file and its connections.

    Args:
        folder: created when missing; holds `warehouse.duckdb`, its log, and files that outlive no restart in `tmp`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.scratch = folder / "tmp"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        config = CONFIG | {"temp_directory": str(self.scratch / "spill")}
        self._connection = duckdb.connect(str(folder / "warehouse.duckdb"), config=config)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute(TABLES)
        for macro in (*MACROS, *READING):
            self._connection.execute(f"CREATE OR REPLACE MACRO {macro}")
        digests.register(self._connection)
        self._cursors = threading.Lock()
        self._writers = threading.RLock()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own, for one thread; close it."""
        with self._cursors:
            return self._connection.cursor()

    @contextmanager
    def single(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """For one statement, which is a transaction of its own."""
        cursor = self.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees one state of everything, whatever others commit meanwhile."""
        cursor = self.cursor()
        try:
            cursor.execute("BEGIN")
            yield cursor
            cursor.execute("ROLLBACK")
        finally:
            cursor.close()

    @contextmanager
    def adding(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction that only adds rows and tables of its own, and so needs to wait for nobody."""
        cursor = self.cursor()
        try:
            cursor.execute("BEGIN")
            yield cursor
            cursor.execute("COMMIT")
        finally:
            cursor.close()  # rolls back what was not committed

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction that changes what others may change: one at a time, because DuckDB refuses conflicts."""
        with self._writers, self.adding() as cursor:
            yield cursor

    def close(self) -> None:
        """Write the log into the file and close it."""
        with self._cursors:
            self._connection.close()


def quoted(name: str) -> str:
    """A name as a DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string as a DuckDB literal."""
    return "'" + value.replace("'", "''") + "'"


def bound(sql: str, *values: str | int | None) -> str:
    """A statement with its `?` filled in. DuckDB's own binding would load pandas, which takes 90 MB."""
    parts = sql.split("?")
    literals = ["NULL" if v is None else str(v) if isinstance(v, int) else text(v) for v in values]
    return "".join(a + b for a, b in zip(parts, [*literals, ""], strict=True))


def new_name() -> str:
    """A physical table name never used before: BigQuery's names are case-sensitive and DuckDB's are not."""
    return f"t{uuid.uuid4().hex}"
