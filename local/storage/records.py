"""What the catalog keeps: buckets, versions of objects, uploads. Plain frozen values, no behaviour of the service."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.wire import CloudError

LIVE, NONCURRENT, SOFT_DELETED = "live", "noncurrent", "softDeleted"


class NoBucket(CloudError):
    """404: the bucket does not exist."""

    def __init__(self) -> None:
        super().__init__(404, "notFound", "The specified bucket does not exist.")


def rfc3339(at: datetime | None = None) -> str:
    """A time, now by default, as the JSON API writes it."""
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket; `fields` are those of its resource that a client may set, `bindings` its IAM policy."""

    name: str
    project: str
    metageneration: int
    created: str
    updated: str
    fields: dict[str, Any]
    bindings: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One version of an object. Its bytes at `path` never change; `fields` are those a client may set."""

    bucket: str
    name: str
    generation: int
    state: str = LIVE
    metageneration: int = 1
    folder: Path
    content: str  # the name of its file in the folder
    size: int
    md5: str | None  # base64; None for a composed object
    crc32c: str  # base64
    created: str
    updated: str
    deleted: str | None = None
    expires: str | None = None  # when a soft-deleted version goes for good
    fields: dict[str, Any]
    retention: int | None = None  # seconds, of its bucket's retention policy

    @property
    def retained_until(self) -> datetime | None:
        """When the bucket's retention policy lets go of it; unknown while an event-based hold is on."""
        if not self.retention or self.fields.get("eventBasedHold"):
            return None
        return datetime.fromisoformat(self.created) + timedelta(seconds=self.retention)

    @property
    def path(self) -> Path:
        """The file of its bytes."""
        return self.folder / self.content

    @property
    def content_type(self) -> str:
        """The media type, `application/octet-stream` if nobody said."""
        return str(self.fields["contentType"])


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A resumable or multipart upload: what was asked for, and the finished object's resource once it is done."""

    id: str
    bucket: str
    name: str
    created: str
    content: str | None  # where the bytes of a resumable one gather
    request: dict[str, Any]
    result: dict[str, Any] | None = None
