"""bigquery.jobs.*: the requests about jobs, and the rows of a query."""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from local.warehouse import rows
from local.warehouse.catalog import Catalog, Ref, Resource
from local.warehouse.database import Database
from local.warehouse.datasets import canonical_location
from local.warehouse.job_records import Job, Plan, presented
from local.warehouse.jobs import Jobs
from local.warehouse.paging import number, page, start_of
from local.warehouse.parameters import as_texts
from local.warehouse.partitions import rows_of
from local.warehouse.statements import unsupported
from local.warehouse.work import KINDS, QUERY_KEYS, Work
from local.wire import Answer, Call, CloudError, Method

DEFAULT_WAIT_MS = 10_000  # https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
GRACE_SECONDS = 2.0  # that an insert waits for its job, so that a quick one is seen done at once
REQUEST_KEYS = {
    "kind", "query", "maxResults", "timeoutMs", "dryRun", "location", "formatOptions", "connectionProperties", "labels",
    "requestId", "createSession", "jobTimeoutMs", "jobCreationMode", "queryResultsFormat",
}  # fmt: skip
MESSAGES = {"schema", "destinationTable", "timePartitioning", "rangePartitioning", "clustering"}
# The HTTP status of a failed job, by the reason of its error: https://cloud.google.com/bigquery/docs/error-messages
STATUSES = {
    "notFound": 404, "duplicate": 409, "accessDenied": 403, "internalError": 500, "notImplemented": 501, "stopped": 499,
    "conditionNotMet": 412,
}  # fmt: skip


def failure(job: Job) -> CloudError:
    """The error of a failed job, as a request that asked for its rows answers it."""
    error = job.error or {}
    status = STATUSES.get(error["reason"], 400)
    return CloudError(
        status,
        error["reason"],
        error["message"],
        errors=[{"domain": "global", **e} for e in job.resource["status"]["errors"]],
    )


class JobRoutes:
    """The methods on jobs."""

    def __init__(self, database: Database, jobs: Jobs, work: Work) -> None:
        self._database, self._jobs, self._work = database, jobs, work

    def methods(self) -> list[Method]:
        """The rows of the method table."""
        base = "/bigquery/v2/projects/{project}"
        one = base + "/jobs/{job}"
        formats = "CSV, NEWLINE_DELIMITED_JSON, PARQUET"
        return [
            Method(
                "bigquery.jobs.query",
                "POST",
                base + "/queries",
                self.query,
                refuses="legacy SQL, sessions, ARROW results",
            ),
            Method("bigquery.jobs.getQueryResults", "GET", base + "/queries/{job}", self.results),
            Method(
                "bigquery.jobs.insert",
                "POST",
                base + "/jobs",
                self.insert,
                supports=f"query, load and extract ({formats}), copy",
            ),
            Method("bigquery.jobs.list", "GET", base + "/jobs", self.listed),
            Method("bigquery.jobs.cancel", "POST", one + "/cancel", self.cancel),
            Method("bigquery.jobs.delete", "DELETE", one + "/delete", self.delete),
            Method("bigquery.jobs.get", "GET", one, self.get),
        ]

    def insert(self, call: Call) -> Answer:
        """Start a job."""
        body = call.json()
        return Answer(body=self.start(call, body))

    def start(self, call: Call, body: Resource, uploaded: str | None = None) -> Resource:
        """Start a job whose files, if it is an upload, lie at `uploaded`; answers its resource."""
        project = (body.get("jobReference") or {}).get("projectId") or call.params["project"]
        resource = {
            "jobReference": body.get("jobReference") or {},
            "configuration": _typed(body.get("configuration") or {}),
        }
        given = resource["jobReference"].get("location")
        configuration = resource["configuration"]
        plan = self._work.plan(project, resource, canonical_location(given) if given else None)
        if configuration.get("dryRun"):
            return self._dry_run(call, project, configuration, plan.location)
        if uploaded:
            resource["local"] = {"uploaded": uploaded}
        job = self._submit(project, plan, resource, call.caller)
        job.done.wait(GRACE_SECONDS)
        return presented(job.resource, call.base_url)

    def _submit(self, project: str, plan: Plan, resource: Resource, caller: str, *, brief: bool = False) -> Job:
        job = self._jobs.submit(project, plan, resource, caller, brief=brief)
        timeout = resource["configuration"].get("jobTimeoutMs")
        if timeout and int(timeout) > 0:
            timer = threading.Timer(int(timeout) / 1000, self._jobs.cancel, [job])
            timer.daemon = True
            timer.start()
        return job

    def _dry_run(self, call: Call, project: str, configuration: Resource, location: str) -> Resource:
        if configuration["jobType"] != "QUERY":
            raise CloudError(400, "invalid", f"Dry runs are for queries, not for {configuration['jobType']} jobs")
        query = self._work.dry_run(project, configuration["query"], call.caller, location)
        now = str(int(time.time() * 1000))
        statistics = {"creationTime": now, "totalBytesProcessed": query["totalBytesProcessed"], "query": query}
        resource = {
            "jobReference": {"projectId": project, "location": location, "jobId": ""},
            "configuration": configuration,
            "statistics": statistics,
            "status": {"state": "DONE"},
            "user_email": call.caller,
        }
        return presented(resource, call.base_url)

    def query(self, call: Call) -> Answer:
        """Run a query and answer its first page, if it ends in time."""
        body, project = call.json(), call.params["project"]
        strange = [
            k for k, v in body.items() if k not in REQUEST_KEYS | QUERY_KEYS and v not in (None, "", [], {}, False)
        ]
        if strange or body.get("createSession") or body.get("connectionProperties"):
            raise CloudError(
                501,
                "notImplemented",
                f"The local warehouse does not support {(strange or ['sessions'])[0]!r} of a query",
            )
        _check_format(body)
        query = _with_texts({k: v for k, v in _given(body).items() if k in QUERY_KEYS})
        outer = {k: body[k] for k in ("labels", "jobTimeoutMs", "dryRun") if body.get(k)}
        resource: Resource = {"configuration": {"jobType": "QUERY", "query": query, **outer}}
        given = body.get("location")
        plan = self._work.plan(project, resource, canonical_location(given) if given else None)
        if body.get("dryRun"):
            statistics = self._work.dry_run(project, query, call.caller, plan.location)
            reference = {"projectId": project, "location": plan.location}
            keys = ("totalBytesProcessed", "schema", "cacheHit")
            answer = {
                "kind": "bigquery#queryResponse",
                "jobComplete": True,
                "jobReference": reference,
                "totalRows": "0",
            }
            return Answer(body=answer | {k: statistics[k] for k in keys if k in statistics})
        job = self._once(project, plan, resource, call.caller, body.get("requestId"))
        return self._answer(job, "bigquery#queryResponse", body, body.get("formatOptions") or {})

    def _once(self, project: str, plan: Plan, resource: Resource, caller: str, request: str | None) -> Job:
        """Start the job of a request, or find the one that the same request started before its answer was lost."""
        brief = not plan.writes
        if not request:
            return self._submit(project, plan, resource, caller, brief=brief)
        asked = f"{caller} {request} {resource['configuration']['query']['query']}"
        id = f"job_{uuid.uuid5(uuid.NAMESPACE_OID, asked).hex}"
        if brief and (found := self._jobs.find(project, id, plan.location)):
            return found
        try:
            return self._submit(project, plan, resource | {"jobReference": {"jobId": id}}, caller, brief=brief)
        except CloudError as error:
            if error.reason != "duplicate":
                raise
        return self._jobs.get(project, id, plan.location)

    def results(self, call: Call) -> Answer:
        """A page of the rows of a query job."""
        job = self._find(call)
        if job.resource["configuration"]["jobType"] != "QUERY":
            raise CloudError(
                400, "invalid", f"Cannot list a table of type {job.resource['configuration']['jobType']}: no query job"
            )
        _check_format(call.query)
        options = {k.removeprefix("formatOptions."): v for k, v in call.query.items() if k.startswith("formatOptions.")}
        return self._answer(job, "bigquery#getQueryResultsResponse", call.query, options)

    def _answer(self, job: Job, kind: str, request: Mapping[str, Any], options: Mapping[str, Any]) -> Answer:
        job.done.wait(number(request, "timeoutMs", DEFAULT_WAIT_MS) / 1000)
        head: Resource = {"kind": kind, "jobReference": job.resource["jobReference"], "jobComplete": job.done.is_set()}
        head["location"] = job.key[1]
        if not job.done.is_set():
            return Answer(body=head)
        if job.error:
            raise failure(job)
        statistics = job.resource["statistics"]
        query = statistics["query"]
        for key in ("creationTime", "startTime", "endTime", "totalSlotMs"):
            head[key] = statistics[key]
        for key in ("totalBytesProcessed", "totalBytesBilled", "cacheHit", "numDmlAffectedRows", "dmlStats"):
            if key in query:
                head[key] = query[key]
        if "schema" not in query:
            return Answer(body=head | ({"totalRows": "0"} if "numDmlAffectedRows" in query else {}))
        return self._page(job, head, request, options)

    def _page(self, job: Job, head: Resource, request: Mapping[str, Any], options: Mapping[str, Any]) -> Answer:
        start = start_of(request)
        size = min(number(request, "maxResults", rows.MAX_PAGE), rows.MAX_PAGE)
        int64 = str(options.get("useInt64Timestamp", "")).lower() == "true"
        with self._database.reading() as cursor:
            table = Catalog(cursor).table(Ref.of(job.configuration["destinationTable"], job.key[0]))
            where = rows_of(table)  # a query may write one partition
            source = table.physical or ""
            found, total = rows.page(
                cursor, source, table.fields, start=start, size=size, condition=where, int64_timestamps=int64
            )
        head |= {"schema": {"fields": table.fields}, "totalRows": str(total)}
        if size and start + len(found) < total:
            head["pageToken"] = str(start + len(found))
        return rows.answer(head, found)

    def get(self, call: Call) -> Answer:
        """One job."""
        return Answer(body=presented(self._find(call).resource, call.base_url))

    def listed(self, call: Call) -> Answer:
        """A page of jobs, newest first."""
        states = {value.upper() for key, value in call.query_pairs if key == "stateFilter"}
        parent = call.query.get("parentJobId")
        earliest, latest = number(call.query, "minCreationTime", 0), number(call.query, "maxCreationTime", 1 << 62)
        found = []
        for resource in self._jobs.all(call.params["project"]):
            statistics = resource["statistics"]
            if states and resource["status"]["state"] not in states:
                continue
            if statistics.get("parentJobId") != parent or not earliest <= int(statistics["creationTime"]) <= latest:
                continue
            found.append(resource)
        items, token = page(found, call.query)
        shown = [_shown(r, call) for r in items]
        return Answer(body={"kind": "bigquery#jobList", "jobs": shown} | token)

    def cancel(self, call: Call) -> Answer:
        """Ask a job to stop."""
        job = self._find(call)
        self._jobs.cancel(job)
        job.done.wait(GRACE_SECONDS)
        return Answer(body={"kind": "bigquery#jobCancelResponse", "job": presented(job.resource, call.base_url)})

    def delete(self, call: Call) -> Answer:
        """Forget a job."""
        self._jobs.delete(self._find(call))
        return Answer(status=204)

    def _find(self, call: Call) -> Job:
        location = call.query.get("location")
        return self._jobs.get(
            call.params["project"], call.params["job"], canonical_location(location) if location else None
        )


def _typed(configuration: Resource) -> Resource:
    """A configuration with its jobType, and its query's parameters as texts.

    Raises:
        CloudError: 400 unless it names exactly one kind of job, and messages are where it must have messages.
    """
    kinds = [k for k in KINDS if configuration.get(k) is not None]
    if len(kinds) != 1:
        raise CloudError(400, "required", f"Required parameter is missing: one of configuration.{{{', '.join(KINDS)}}}")
    [kind] = kinds
    own = _given(configuration[kind])
    for key in MESSAGES & own.keys():
        if not isinstance(own[key], dict):
            raise CloudError(400, "invalid", f"Invalid value at 'job.configuration.{kind}.{key}': not an object")
    return {**configuration, kind: _with_texts(own), "jobType": kind.upper()}


def _given(message: Resource) -> Resource:
    """The properties that are there: to Google's parser null is the same as none, and clients do send it."""
    return {k: v for k, v in message.items() if v is not None}


def _with_texts(own: Resource) -> Resource:
    given = own.get("queryParameters")  # of a query; other kinds of jobs have none
    return own | {"queryParameters": as_texts(given)} if given else own


def _shown(resource: Resource, call: Call) -> Resource:
    shown = presented(resource, call.base_url)
    shown["state"] = resource["status"]["state"]
    if resource["status"].get("errorResult"):
        shown["errorResult"] = resource["status"]["errorResult"]
    return shown


def _check_format(request: Mapping[str, Any]) -> None:
    if str(request.get("queryResultsFormat") or "").upper() == "ARROW":
        raise unsupported("results in ARROW format; read them over REST")
