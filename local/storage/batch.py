"""Many calls in one request: multipart/mixed in, multipart/mixed out, each call answered on its own."""

import json
import re
import uuid
from dataclasses import replace
from email.message import Message
from email.parser import BytesParser, HeaderParser
from http import HTTPStatus
from io import BytesIO
from urllib.parse import parse_qsl, urlsplit

from local.storage.routes import invalid, row, unsupported
from local.wire import Answer, Call, CloudError, Method

MAXIMUM_CALLS = 1000  # what the Python client sends; Google documents 100
BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def methods() -> list[Method]:
    """The table of methods."""
    texts = {"supports": "up to 1000 calls", "refuses": "uploads and downloads in a batch, as Google does"}
    return [row("storage.batch", "POST", path, answer, **texts) for path in ("/batch/storage/v1", "/batch")]


def answer(call: Call) -> Answer:
    """Run the calls in order; one that fails does not stop the others."""
    head = b"Content-Type: " + call.headers.get("content-type", "").encode() + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + call.body.read())
    parts = message.get_payload()
    if not isinstance(parts, list):
        raise invalid("The body of a batch must be multipart/mixed")
    if len(parts) > MAXIMUM_CALLS:
        raise invalid(f"A batch may have {MAXIMUM_CALLS} calls, not {len(parts)}")
    boundary = f"batch_{uuid.uuid4().hex}"
    body = b"".join(_part(boundary, part, _run(call, part)) for part in parts if isinstance(part, Message))
    headers = {"content-type": f'multipart/mixed; boundary="{boundary}"'}
    return Answer(body=body + f"--{boundary}--\r\n".encode(), headers=headers)


def _run(call: Call, part: Message) -> Answer:
    if call.dispatch is None:
        raise invalid("A batch cannot be part of a batch")
    try:
        return call.dispatch(_inner(call, part))
    except CloudError as error:
        return Answer(status=error.status, body=error.body())


def _inner(call: Call, part: Message) -> Call:
    payload = part.get_payload(decode=True)
    head, *rest = BLANK_LINE.split(payload if isinstance(payload, bytes) else b"", maxsplit=1)
    line, _, header_lines = head.decode("latin-1").partition("\n")
    words = line.split()
    if len(words) < 2:
        raise invalid(f"A part of the batch does not begin with a request line: {line!r}")
    address = urlsplit(words[1])
    pairs = tuple(parse_qsl(address.query, keep_blank_values=True))
    if not address.path.startswith("/storage/v1/") or dict(pairs).get("alt") == "media":
        raise unsupported(f"call {words[0]} {address.path} in a batch")
    headers = {name.lower(): value for name, value in HeaderParser().parsestr(header_lines).items()}
    if "authorization" in call.headers:
        headers.setdefault("authorization", call.headers["authorization"])
    body = BytesIO(rest[0].strip() if rest else b"")
    return replace(
        call, verb=words[0], path=address.path, query=dict(pairs), query_pairs=pairs, headers=headers, body=body
    )


def _part(boundary: str, asked: Message, answer: Answer) -> bytes:
    content = answer.body or b""
    if isinstance(content, dict | list):
        content = json.dumps(content).encode()
    body = content if isinstance(content, bytes) else b"".join(content)
    phrase = HTTPStatus(answer.status).phrase
    lines = [
        f"--{boundary}",
        "Content-Type: application/http",
        f"Content-ID: <response-{(asked.get('Content-ID') or '').strip('<>')}>",
        "",
        f"HTTP/1.1 {answer.status} {phrase}",
        "Content-Type: application/json; charset=UTF-8",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body + b"\r\n"
