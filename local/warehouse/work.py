"""What each kind of job does, and what must be known of it before it is written down: where it runs, what it may change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import duckdb
from sqlglot import exp

from local.warehouse import copies, dml, loads, option_values, queries
from local.warehouse.access import Access, Authority
from local.warehouse.catalog import Catalog, Ref, Resource, now_ms
from local.warehouse.database import Database
from local.warehouse.datasets import DEFAULT_LOCATION, canonical_location
from local.warehouse.ddl import Definitions
from local.warehouse.exports import Exports, Files, split_uri
from local.warehouse.job_records import Job, Plan, add
from local.warehouse.parameters import Parameters
from local.warehouse.queries import Outcome
from local.warehouse.references import Session
from local.warehouse.schema import Field
from local.warehouse.script_syntax import Reader, is_script, leaves
from local.warehouse.scripts import Script
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, parse, parse_tokens, tokens_of, unsupported
from local.wire import CloudError

KINDS = ("query", "load", "copy", "extract")
QUERY_KEYS = {
    "query", "destinationTable", "createDisposition", "writeDisposition", "defaultDataset", "priority", "preserveNulls",
    "allowLargeResults", "useQueryCache", "flattenResults", "maximumBillingTier", "maximumBytesBilled", "useLegacySql",
    "parameterMode", "queryParameters", "schemaUpdateOptions", "timePartitioning", "rangePartitioning", "clustering",
    "destinationEncryptionConfiguration", "writeIncrementalResults",
}  # fmt: skip


class Work:
    """Does jobs.

    Args:
        uploads: where files of upload jobs wait.
        authority: decides what the account that made a job may do.
    """

    def __init__(
        self, database: Database, storage: Files, sizes: Sizes, uploads: Path, authority: Authority | None = None
    ) -> None:
        self._database, self._storage, self._sizes, self._uploads = database, storage, sizes, uploads
        self._authority = authority
        self.exports = Exports(storage, database.scratch)
        self.definitions = Definitions(sizes, self.check_view)

    def check_view(self, catalog: Catalog, ref: Ref, query: str) -> list[Field]:
        """The schema of a view's query; every table in it must be named with its dataset."""
        dataset = catalog.dataset(ref.project, ref.dataset)
        session = Session(catalog=catalog, project=ref.project, caller="", location=dataset["location"])
        tree = parse(query)
        if not isinstance(tree, exp.Query):
            raise invalid("A view must be a query")
        try:
            return queries.compile_select(session, tree, self._sizes).fields
        except CloudError as error:
            if "without a filter over column(s)" not in error.message:
                raise
            # The filter may come with the query of the view: ask as if it did.
            return queries.compile_select(
                session, cast(exp.Query, parse(query)), self._sizes, check_filters=False
            ).fields

    def plan(self, project: str, resource: Resource, location: str | None) -> Plan:
        """Check a job's configuration and find where it runs.

        Raises:
            CloudError: the job is not made then.
        """
        kind = resource["configuration"]["jobType"].lower()
        configuration = resource["configuration"][kind]
        with self._database.reading() as cursor:
            catalog = Catalog(cursor)
            if kind == "query":
                return self._plan_query(catalog, project, configuration, location)
            if kind == "load":
                loads.check(configuration)
                target = Ref.of(configuration.get("destinationTable") or {}, project)
            elif kind == "copy":
                copies.check(configuration)
                target = Ref.of(configuration.get("destinationTable") or {}, project)
            else:
                target = Ref.of(configuration.get("sourceTable") or {}, project)
            dataset = catalog.dataset(target.project, target.dataset, location=location)
        return Plan(dataset["location"], writes=kind != "extract")

    def _plan_query(self, catalog: Catalog, project: str, configuration: Resource, location: str | None) -> Plan:
        strange = [k for k, v in configuration.items() if k not in QUERY_KEYS and v not in (None, "", [], {}, False)]
        if strange:
            raise CloudError(501, "notImplemented", f"The local warehouse does not support {strange[0]!r} of a query")
        if configuration.get("useLegacySql"):
            raise unsupported("legacy SQL; set useLegacySql to false")
        if not configuration.get("query"):
            raise CloudError(400, "required", "Required parameter is missing: query")
        destination = configuration.get("destinationTable")
        try:
            sql = str(configuration["query"])
            tokens = tokens_of(sql)
            script = is_script(tokens)
            steps = leaves(Reader(tokens).script()) if script else []
            trees = [parse_tokens(s.tokens, sql) for s in steps] if script else [parse(sql)]
        except CloudError:
            trees, script = [], False  # the job will say so
        reads_only = all(isinstance(t, exp.Query | exp.Export) for t in trees) and not destination and not script
        if location is None:
            location = self._location_of(catalog, project, configuration, trees)
        return Plan(location, writes=not reads_only, resumes=not script)

    @staticmethod
    def _location_of(catalog: Catalog, project: str, configuration: Resource, trees: list[exp.Expr]) -> str:
        """The location of the first dataset that a query names."""
        session = _session(catalog, project, configuration, "", None)
        names = [(t["projectId"], t["datasetId"]) for t in [configuration.get("destinationTable")] if t]
        for node in (table for tree in trees for table in tree.find_all(exp.Table)):
            try:
                ref = session.ref(node)
            except CloudError:
                continue  # the job will say so
            names.append((ref.project, ref.dataset))
        names += [session.default_dataset] if session.default_dataset else []
        for name in names:
            found = catalog.find_dataset(*name)
            if found:
                return str(found["location"])
        return DEFAULT_LOCATION

    def __call__(self, job: Job, cursor: duckdb.DuckDBPyConnection) -> None:
        """Do a job within its transaction, and write what it did into its statistics."""
        project, location, _ = job.key
        catalog = Catalog(cursor, Access(self._authority, job.resource["user_email"]))
        configuration, statistics = job.configuration, job.resource["statistics"]
        kind = job.resource["configuration"]["jobType"]
        if kind == "QUERY":
            session = _session(catalog, project, configuration, job.resource["user_email"], location)
            outcome = self._query(session, configuration, job)
            statistics["query"] = outcome.statistics
            statistics["totalBytesProcessed"] = outcome.statistics.get("totalBytesProcessed", "0")
            if written := _written(outcome):
                configuration.setdefault("destinationTable", written)
        elif kind == "LOAD":
            files, size = self._load_files(job, catalog.access)
            done = loads.run(catalog, self._sizes, configuration, files, project)
            statistics["load"] = {
                "inputFiles": str(len(files)),
                "inputFileBytes": str(size),
                "outputRows": str(done.rows),
                "outputBytes": str(done.size),
                "badRecords": str(len(done.bad)),
            }
            if done.bad:
                job.resource["status"]["errors"] = [
                    {"reason": "invalid", "message": m} for m in done.bad[: loads.SHOWN_FAULTS]
                ]
        elif kind == "COPY":
            statistics["copy"] = copies.run(catalog, self._sizes, configuration, project)
        else:
            statistics["extract"] = copies.extract(catalog, self._sizes, self.exports, configuration, project)

    def _load_files(self, job: Job, access: Access) -> tuple[Sequence[Path], int]:
        uploaded = job.resource["local"].get("uploaded")
        if uploaded:
            path = self._uploads / uploaded
            return [path], path.stat().st_size
        uris = job.configuration.get("sourceUris") or []
        if not uris:
            raise CloudError(400, "invalid", "Load configuration must specify at least one source URI")
        found: list[Any] = []
        for uri in uris:
            bucket, name = split_uri(uri)
            if name.count("*") > 1:
                raise CloudError(400, "invalid", f"Source URI must have at most one wildcard '*': {uri}")
            if "*" in name:
                access.file("load wildcard", bucket, name, uri, "globbing file pattern")
            objects = self._storage.glob(uri)
            if not objects:
                raise CloudError(404, "notFound", f"Not found: URI {uri}")
            for one in objects:
                access.file("load object", bucket, one.name, uri, "opening file")
            found += objects
        return [o.path for o in found], sum(o.size for o in found)

    def _query(self, session: Session, configuration: Resource, job: Job) -> Outcome:
        sql = str(configuration["query"])
        if not is_script(tokens_of(sql)):
            return self.statement(session, parse(sql), configuration, job.key[2])

        def run(session: Session, tree: exp.Expr, id: str) -> Outcome:
            return self.statement(session, tree, configuration, id)

        def child(done: Resource) -> None:
            self._write_child(job, session, done)

        outcome = Script(session, run, child, self._sizes, sql).execute()
        job.resource["statistics"]["numChildJobs"] = outcome.statistics.pop("numChildJobs")
        return outcome

    def _write_child(self, job: Job, session: Session, done: Resource) -> None:
        """Write down a statement of a script as a job of its own, child of the script's."""
        outcome: Outcome = done["outcome"]
        query = {"query": done["query"], "useLegacySql": False}
        if written := _written(outcome):
            query["destinationTable"] = written
        started, ended = str(done["started"]), str(now_ms())
        statistics: dict[str, Any] = {
            "creationTime": started,
            "startTime": started,
            "endTime": ended,
            "parentJobId": job.key[2],
            "scriptStatistics": {"evaluationKind": "STATEMENT", "stackFrames": [done["frame"]]},
        }
        statistics |= {"query": outcome.statistics, "totalSlotMs": "0"}
        statistics["totalBytesProcessed"] = outcome.statistics.get("totalBytesProcessed", "0")
        resource = {
            "jobReference": {**job.resource["jobReference"], "jobId": done["id"]},
            "configuration": {"jobType": "QUERY", "query": query},
            "user_email": job.resource["user_email"],
            "statistics": statistics,
            "status": {"state": "DONE"},
            "local": {},
        }
        add(session.catalog.cursor, Job(resource, writes=False))

    def statement(self, session: Session, tree: exp.Expr, configuration: Resource, job: str) -> Outcome:
        """Run one statement."""
        if isinstance(tree, exp.Query):
            return queries.select(session, tree, self._sizes, configuration, job)
        if configuration.get("destinationTable"):
            raise CloudError(400, "invalid", "Cannot set destination table in jobs with DML or DDL statements")
        if isinstance(tree, exp.Export):
            return self.exports.statement(session, tree, self._sizes, configuration)
        if isinstance(tree, exp.Create | exp.Drop | exp.Alter):
            option_values.put(session, tree, self._sizes)
            return self.definitions.run(session, tree, configuration)
        return dml.run(session, tree, self._sizes, configuration)

    def dry_run(self, project: str, configuration: Resource, caller: str, location: str) -> Resource:
        """`statistics.query` of a query that is not run.

        Raises:
            CloudError: what running it would raise.
        """
        if is_script(tokens_of(str(configuration["query"]))):
            return {"statementType": "SCRIPT", "totalBytesProcessed": "0"}
        tree = parse(str(configuration["query"]))
        source = tree.this if isinstance(tree, exp.Export) else tree
        if isinstance(source, exp.Query):
            with self._database.reading() as cursor:
                catalog = Catalog(cursor, Access(self._authority, caller))
                session = _session(catalog, project, configuration, caller, location)
                compiled = queries.compile_select(session, source, self._sizes)
            queries.check_cost(compiled, configuration)
            return {"statementType": "EXPORT_DATA" if source is not tree else "SELECT", **compiled.statistics}
        return self._rehearsed(project, tree, configuration, caller, location)

    def _rehearsed(self, project: str, tree: exp.Expr, configuration: Resource, caller: str, location: str) -> Resource:
        """Run a statement and undo it."""
        found: Resource = {}
        try:
            with self._database.writing() as cursor:
                catalog = Catalog(cursor, Access(self._authority, caller))
                session = _session(catalog, project, configuration, caller, location)
                found = self.statement(session, tree, configuration, "dry_run").statistics
                raise _Undo
        except _Undo:
            return {
                k: v for k, v in found.items() if k not in ("numDmlAffectedRows", "dmlStats", "ddlOperationPerformed")
            }


class _Undo(Exception):
    """Ends a transaction without keeping it."""


def _written(outcome: Outcome) -> Resource | None:
    """The table that holds a statement's rows, as the `destinationTable` of its job names it."""
    if outcome.result is not None:
        return outcome.result.ref.resource
    made = outcome.statistics.get("statementType") == "CREATE_TABLE_AS_SELECT"
    return outcome.statistics.get("ddlTargetTable") if made else None


def _session(catalog: Catalog, project: str, configuration: Resource, caller: str, location: str | None) -> Session:
    default: Any = configuration.get("defaultDataset")
    dataset = (default.get("projectId") or project, default["datasetId"]) if default else None
    return Session(
        catalog=catalog,
        project=project,
        caller=caller,
        location=canonical_location(location) if location else None,
        default_dataset=dataset,
        parameters=Parameters(configuration.get("queryParameters")),
        variables={"@@project_id": exp.Literal.string(project), "@@time_zone": exp.Literal.string("UTC")},
    )
