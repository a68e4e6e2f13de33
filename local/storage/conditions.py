"""What must hold before a request acts: preconditions on generation and metageneration, and those of HTTP itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from local.storage.records import Bucket, StoredObject
from local.storage.resources import tag_of
from local.storage.routes import invalid, number
from local.wire import Call, CloudError


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Preconditions on generation and metageneration; 0 stands for "no live version"."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], prefix: str = "if") -> "Conditions":
        """Those among the query parameters that begin with `if`, or with `ifSource`."""
        misspelt = number(query, f"{prefix}MetaGenerationNotMatch")  # so the Python client writes it in its uploads
        return cls(
            generation_match=number(query, f"{prefix}GenerationMatch"),
            generation_not_match=number(query, f"{prefix}GenerationNotMatch"),
            metageneration_match=number(query, f"{prefix}MetagenerationMatch"),
            metageneration_not_match=number(query, f"{prefix}MetagenerationNotMatch") if misspelt is None else misspelt,
        )

    def check(self, found: StoredObject | Bucket | None, *, reading: bool = False) -> None:
        """Compare with what is there.

        Raises:
            CloudError: 412, or 304 when a read finds what its caller already has.
        """
        generation = getattr(found, "generation", 0)
        metageneration = found.metageneration if found else 0
        if self.generation_match not in (None, generation) or self.metageneration_match not in (None, metageneration):
            raise not_met()
        if self.generation_not_match is not None and not found:
            raise not_met()  # "If no live object exists, the precondition fails."
        if self.generation_not_match == generation or (found and self.metageneration_not_match == metageneration):
            raise not_modified() if reading else not_met()


def check(call: Call, found: StoredObject | Bucket, *, reading: bool = False, tag: str = "") -> None:
    """All preconditions of a request: those of the query, then those of HTTP in the order of RFC 9110.

    Args:
        tag: what counts as an ETag beside that of the JSON API.

    Raises:
        CloudError: 412, or 304 when a read finds what its caller already has.
    """
    Conditions.of(call.query).check(found, reading=reading)
    headers, current = call.headers, {"*", tag, tag_of(found)}
    updated = datetime.fromisoformat(found.updated).replace(microsecond=0)
    if "if-match" in headers:
        if not _names(headers["if-match"]) & current:
            raise not_met()
    elif "if-unmodified-since" in headers and updated > _moment(headers["if-unmodified-since"]):
        raise not_met()
    if "if-none-match" in headers:
        if _names(headers["if-none-match"]) & current:
            raise not_modified() if reading else not_met()
    elif reading and "if-modified-since" in headers and updated <= _moment(headers["if-modified-since"]):
        raise not_modified()


def not_met() -> CloudError:
    """412: a precondition does not hold."""
    message = "At least one of the pre-conditions you specified did not hold."
    detail = {"message": message, "domain": "global", "reason": "conditionNotMet"}
    place = {"locationType": "header", "location": "If-Match"}
    return CloudError(412, "conditionNotMet", message, errors=[detail | place])


def not_modified() -> CloudError:
    """304: what the client has is current."""
    return CloudError(304, "notModified", "Not modified")


def _names(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}


def _moment(header: str) -> datetime:
    try:
        moment = parsedate_to_datetime(header)
    except ValueError as error:
        raise invalid(f"Invalid date {header!r} in a header") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
