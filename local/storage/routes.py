"""Rows of the table of methods that refuse what they do not understand, so that no parameter is silently ignored."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import Any

from local.storage.fields import selected
from local.wire import Answer, Call, CloudError, Method

# They change nothing here: no quotas, no billing, no ACLs to project; `fields` is served for every method alike.
HARMLESS = "alt fields key prettyPrint projection quotaUser uploadType userIp userProject"
IF = "ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch ifMetagenerationNotMatch ifMetaGenerationNotMatch"
IF_SOURCE = IF.replace("if", "ifSource")
LISTED = (
    "prefix delimiter includeTrailingDelimiter includeFoldersAsPrefixes pageToken maxResults startOffset endOffset "
    "matchGlob versions softDeleted force"  # the last is of the client for Node, which sends it along
)
WHOLE = re.compile(r"-?\d{1,18}")  # fits 64 bits
UNSUPPORTED_HEADERS = ("x-goog-encryption-", "x-goog-copy-source")

Handler = Callable[[Call], Answer]


def words(text: str) -> frozenset[str]:
    """The words of a text: a short way to write a set of names."""
    return frozenset(text.split())


# There are no ACLs here, so those may be asked for that let nobody in from outside the project.
ACLS = words("predefinedAcl predefinedDefaultObjectAcl destinationPredefinedAcl")
CLOSED_ACLS = words("private projectPrivate bucketOwnerRead bucketOwnerFullControl")


def row(
    name: str,
    verb: str,
    path: str,
    handler: Handler,
    takes: str = "",
    *,
    heeds: str = "",
    supports: str = "",
    refuses: str = "",
) -> Method:
    """A row of the table whose handler takes these query parameters, and refuses others with 501.

    Args:
        takes: names, separated by spaces, beside the harmless ones.
        heeds: headers that it understands of those that other methods refuse, separated by spaces.
    """
    known, heeded = words(f"{HARMLESS} {takes}"), words(heeds)

    @wraps(handler)
    def checked(call: Call) -> Answer:
        for parameter, value in call.query.items():
            closed = parameter in ACLS and value in CLOSED_ACLS
            if parameter not in known and not closed and value.lower() != "false":
                raise unsupported(f"query parameter {parameter!r} of {name}")
        for header in call.headers:
            if header.startswith(UNSUPPORTED_HEADERS) and header not in heeded:
                raise unsupported(f"header {header!r}")
        return _partial(handler(call), call.query.get("fields"))

    return Method(name, verb, path, checked, supports, refuses)


def _partial(answer: Answer, mask: str | None) -> Answer:
    """The answer, or of a resource the parts that were asked for."""
    if not mask or not isinstance(answer.body, dict) or answer.status >= HTTPStatus.BAD_REQUEST:
        return answer
    return replace(answer, body=selected(answer.body, mask))


def unsupported(what: str) -> CloudError:
    """501: Google may do this, this cloud does not."""
    return CloudError(501, "notImplemented", f"The local cloud does not support the {what}")


def invalid(message: str) -> CloudError:
    """400: Google refuses this, too."""
    return CloudError(400, "invalid", message)


def number(query: Mapping[str, Any], name: str) -> int | None:
    """A whole number among query parameters or headers, or None.

    Raises:
        CloudError: 400 when it is none.
    """
    value = query.get(name)
    if value is None:
        return None
    if not WHOLE.fullmatch(str(value)):
        raise CloudError(400, "invalidParameter", f"Invalid value {value!r} for parameter {name!r}")
    return int(value)
