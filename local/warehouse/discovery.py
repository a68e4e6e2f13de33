"""The discovery document of BigQuery, made of the table of methods: `bq --api` and other generated clients begin with it.

Names of parameters are the API's; resources are not described, since clients send them as they are.
"""

import re
from collections.abc import Callable
from typing import Any

from local.storage.routes import words
from local.wire import Answer, Call, Method

BASE = "/bigquery/v2/"
QUERY = words(
    "accessPolicyVersion all allUsers autodetect_schema datasetView deleteContents filter location maxCreationTime"
    " maxResults minCreationTime pageToken parentJobId projection selectedFields skipParse startIndex stateFilter"
    " timeoutMs updateMode view formatOptions.useInt64Timestamp formatOptions.timestampOutputFormat"
)
COMMON = words("alt fields key oauth_token prettyPrint quotaUser userIp")
TEXT = {"type": "string", "location": "query"}
BODY = {"$ref": "Resource"}


class Discovery:
    """One method, about all others.

    Args:
        methods: of the service.
    """

    def __init__(self, methods: Callable[[], list[Method]]) -> None:
        self._methods = methods

    def methods(self) -> list[Method]:
        """The row of the method table."""
        return [Method("bigquery.discovery", "GET", "/$discovery/rest", self._document, "version v2", open=True)]

    def _document(self, call: Call) -> Answer:
        resources: dict[str, Any] = {}
        for method in self._methods():
            _, _, short = method.name.partition(".")
            resource, _, name = short.partition(".")
            if method.path.startswith(BASE) and name:
                resources.setdefault(resource, {"methods": {}})["methods"][name] = _described(method)
        head = {"kind": "discovery#restDescription", "name": "bigquery", "version": "v2", "id": "bigquery:v2"}
        urls = {
            "rootUrl": f"{call.base_url}/",
            "servicePath": BASE[1:],
            "basePath": BASE,
            "baseUrl": call.base_url + BASE,
            "batchPath": "batch/bigquery/v2",
        }
        parts: dict[str, Any] = {"parameters": dict.fromkeys(sorted(COMMON), TEXT), "resources": resources}
        return Answer(body={**head, **urls, **parts, "schemas": {"Resource": {"id": "Resource", "type": "object"}}})


def _described(method: Method) -> dict[str, Any]:
    path = re.sub(r"\{(\w+)\}", r"{+\1Id}", method.path.removeprefix(BASE))
    order = re.findall(r"\{\+(\w+)\}", path)
    inside = {name: {"type": "string", "required": True, "location": "path"} for name in order}
    described: dict[str, Any] = {
        "id": method.name,
        "path": path,
        "httpMethod": method.verb,
        "parameters": {**dict.fromkeys(sorted(QUERY), TEXT), **inside},
        "parameterOrder": order,
        "response": BODY,
    }
    if method.verb in ("POST", "PUT", "PATCH"):
        described["request"] = BODY
    if method.name == "bigquery.jobs.insert":
        upload = f"/upload{BASE}{path}"
        protocols = {kind: {"multipart": True, "path": prefix + upload} for kind, prefix in (("simple", ""), ("resumable", "/resumable"))}  # fmt: skip
        described |= {"supportsMediaUpload": True, "mediaUpload": {"accept": ["*/*"], "protocols": protocols}}
    return described
