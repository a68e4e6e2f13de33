"""How a request reaches a method of the local cloud, and how its answer or error goes back.

Owns routing by method tables, request bodies, Google's error shape and the two doors. Does not own what a method does.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import parse_qsl, unquote

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

log = logging.getLogger("local")

BODY_IN_MEMORY_BYTES = 1 << 20  # a larger body goes to a temporary file, so that uploads do not fill memory
CHUNK_BYTES = 1 << 20

# With STORAGE_EMULATOR_HOST or BIGQUERY_EMULATOR_HOST set, the clients for Node leave out where a service begins. No
# bucket's name is as short as `b`.
LEFT_OUT = {
    "/storage/v1": re.compile(r"/b(/.*)?"),
    "/bigquery/v2": re.compile(r"/projects/[^/]+/(datasets|jobs|queries)(/.*)?"),
}

# The canonical code of each HTTP status, as in google/rpc/code.proto.
STATUS_NAMES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION", 416: "OUT_OF_RANGE", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
    501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class CloudError(Exception):
    """An error as Google's REST services answer it.

    Args:
        status: HTTP status code.
        reason: the service's own word, as in `errors[].reason` (notFound, conditionNotMet, invalidQuery ...).
        message: what a person reads: what is wrong, where.
    """

    def __init__(self, status: int, reason: str, message: str, *, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.errors = errors or [{"message": message, "domain": "global", "reason": reason}]

    def body(self) -> dict[str, Any]:
        """The JSON error body: `{"error": {code, message, status, errors}}`."""
        name = STATUS_NAMES.get(self.status, "UNKNOWN")
        return {"error": {"code": self.status, "message": self.message, "status": name, "errors": self.errors}}

    def answer(self) -> "Answer":
        """The error as an answer."""
        headers = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        return Answer(status=self.status, body=None if self.status == 304 else self.body(), headers=headers)


class Dropped(Exception):
    """The connection is to be cut, whatever was answered so far."""


OWN = "local."  # what the names of our own methods begin with


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, its body read to the end and rewound."""

    verb: str
    path: str  # as sent, still percent-encoded
    query: Mapping[str, str]
    query_pairs: tuple[tuple[str, str], ...]  # repeated parameters, in order
    headers: Mapping[str, str]  # names in lower case
    body: IO[bytes]
    caller: str  # "owner", or the e-mail of a service account
    base_url: str  # of the door it came through, without a final slash
    params: Mapping[str, str] = field(default_factory=dict)  # of the path template, decoded
    dispatch: "Callable[[Call], Answer] | None" = None  # sends an inner call of a batch the same way

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, `{}` when it is empty.

        Raises:
            CloudError: 400 `parseError` when the body is not a JSON object.
        """
        raw = self.body.read()
        self.body.seek(0)
        try:
            value = json.loads(raw) if raw.strip() else {}
        except ValueError as error:
            raise CloudError(400, "parseError", f"The request body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise CloudError(400, "parseError", "The request body is not a JSON object")
        return value


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method returns: JSON when `body` is a dict or list, else bytes, at once or in pieces."""

    body: dict[str, Any] | list[Any] | bytes | Iterable[bytes] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One row of a service's table of methods.

    `path` is a template: `{name}` matches one segment and is decoded, `{name*}` the rest of the path.
    """

    name: str  # as in the REST reference: storage.objects.insert
    verb: str
    path: str
    handler: Callable[[Call], Answer]
    supports: str = ""
    refuses: str = ""
    open: bool = False  # needs no token on the jobs' door (the metadata server)
    shown: "Callable[[CloudError], Answer] | None" = None  # how this API shows a denial, if not as JSON

    @property
    def own(self) -> bool:
        """No method of Google's but one of ours: it decides itself who may call it, and no fault concerns it."""
        return self.name.startswith(OWN)

    def pattern(self) -> re.Pattern[str]:
        """The template as a regular expression over the encoded path."""
        parts = re.split(r"(\{\w+\*?\})", self.path)
        names = [re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+?)", part)) for part in parts]
        return re.compile(
            "".join(n if n.startswith("(?P") else re.escape(p) for n, p in zip(names, parts, strict=True))
        )


Run = Callable[[Method, Call], Answer]


class Door:
    """An ASGI application over a table of methods; who comes through it is decided by `identify`.

    Args:
        methods: tried in order, so put `x:verb` and longer literal paths before shorter ones.
        identify: turns the Authorization header (or None) into a caller, or raises CloudError 401.
        run: calls a method's handler, in the way that the rules for faults demand.
    """

    def __init__(self, methods: Iterable[Method], identify: Callable[[str | None], str], run: Run) -> None:
        self.table = [(m, m.pattern()) for m in methods]
        self.identify, self.run = identify, run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the method itself runs in a worker thread."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        with SpooledTemporaryFile(max_size=BODY_IN_MEMORY_BYTES) as body:
            try:
                async for chunk in request.stream():
                    body.write(chunk)
            except ClientDisconnect:
                return  # an upload cut in the middle never reaches a method
            body.seek(0)
            raw_query = scope["query_string"].decode("latin-1")
            pairs = tuple(parse_qsl(raw_query, keep_blank_values=True))
            call = Call(
                verb=request.method,
                path=whole(scope["raw_path"].split(b"?")[0].decode("latin-1")),
                query=dict(pairs),
                query_pairs=pairs,
                headers={k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]},
                body=body,
                caller="",
                base_url=f"http://{request.headers.get('host', '127.0.0.1')}",
                dispatch=self.dispatch,
            )
            try:
                answer = await anyio.to_thread.run_sync(self.dispatch, call)
                await _response(answer)(scope, receive, send)
            except Dropped:
                await scope["state"]["drop"]()

    def dispatch(self, call: Call) -> Answer:
        """Find the method, identify the caller, run; every error becomes Google's error body."""
        method: Method | None = None
        try:
            method, params = self._find(call)
            caller = "metadata" if method.open else self.identify(call.headers.get("authorization"))
            return self.run(method, replace(call, params=params, caller=caller))
        except CloudError as error:
            return error.answer()
        except Dropped:
            raise
        except Exception:
            log.exception("%s %s failed inside the local cloud", call.verb, call.path)
            fault = CloudError(
                500, "internalError", f"The local cloud has a bug in {call.verb} {call.path}; see its log"
            )
            return Answer(status=500, body=fault.body())

    def _find(self, call: Call) -> tuple[Method, dict[str, str]]:
        verb = call.headers.get("x-http-method-override", call.verb)
        for method, pattern in self.table:
            if method.verb == verb and (match := pattern.fullmatch(call.path)):
                return method, {k: unquote(v) for k, v in match.groupdict().items()}
        raise unknown_method(call)


def unknown_method(call: Call) -> CloudError:
    """501: no row of any table is meant by a call."""
    return CloudError(501, "notImplemented", f"The local cloud does not support {call.verb} {call.path}")


def flag(query: Mapping[str, str], name: str) -> bool:
    """A true or false among the query parameters; absent is false. `bq` writes True, other clients true."""
    return query.get(name, "false").lower() == "true"


def whole(path: str) -> str:
    """The path of a method, also where a client has left out its service."""
    return next((service + path for service, pattern in LEFT_OUT.items() if pattern.fullmatch(path)), path)


def _response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.body is None or answer.status in (204, 304):
        return Response(status_code=answer.status, headers=headers)
    if isinstance(answer.body, dict | list):
        headers.setdefault("content-type", "application/json; charset=UTF-8")
        return Response(json.dumps(answer.body), status_code=answer.status, headers=headers)
    headers.setdefault("content-type", "application/octet-stream")
    if isinstance(answer.body, bytes):
        return Response(answer.body, status_code=answer.status, headers=headers)
    return StreamingResponse(answer.body, status_code=answer.status, headers=headers)


def file_chunks(path: str | Path, start: int, length: int) -> Iterator[bytes]:
    """Yield `length` bytes of a file from `start`, without holding more than one piece in memory."""
    with Path(path).open("rb") as file:
        file.seek(start)
        while length > 0 and (piece := file.read(min(CHUNK_BYTES, length))):
            length -= len(piece)
            yield piece
