"""Cloud Storage of the local cloud: the JSON API, and of the XML API what the official clients use.

Metadata lies in one SQLite file, the bytes of each version in a file of its own. What was acknowledged survives a kill.
Does not run lifecycle rules, enforce IAM (local/iam/) or keep ACLs. A table row's `refuses` says what is missing.
"""

from collections.abc import Callable
from pathlib import Path

from local.iam.bindings import Binding, of_policy
from local.storage import batch, listing
from local.storage.buckets import Buckets
from local.storage.catalog import Catalog
from local.storage.conditions import Conditions
from local.storage.contents import Contents
from local.storage.copies import Copies
from local.storage.listing import Listing
from local.storage.objects import ACLS, Objects
from local.storage.parts import PartUploads
from local.storage.policies import Policies
from local.storage.records import Bucket, StoredObject
from local.storage.resumable import ResumableUploads
from local.storage.routes import IF, invalid, row
from local.storage.uploads import SimpleUploads
from local.storage.versions import create
from local.storage.xml_api import XmlObjects
from local.storage.xml_listing import XmlListing
from local.wire import Answer, Call, Method

__all__ = ["Bucket", "Storage", "StoredObject"]


class Storage:
    """All of Cloud Storage over one folder.

    Args:
        folder: created when missing. What a killed process left unfinished in it is removed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._contents = Contents(folder / "contents")
        self._catalog = Catalog(folder, self._contents.folder)
        with self._catalog.changing() as rows:
            rows.forget_expired()
        with self._catalog.reading() as rows:
            self._contents.sweep(rows.known_contents())
        self.buckets = Buckets(self._catalog)
        self.objects = Objects(self._catalog, self._contents)
        self._simple = SimpleUploads(self._catalog, self._contents)
        self._resumable = ResumableUploads(self._catalog, self._contents)

    def methods(self) -> list[Method]:
        """The table of methods."""
        copies = Copies(self._catalog, self._contents)
        tables = (self.buckets, Policies(self._catalog), copies, Listing(self._catalog), self.objects)
        xml = XmlObjects(self._catalog, self._contents, self.objects, copies, self._resumable)
        parts = PartUploads(self._catalog, self._contents).handlers()
        json_api = [method for table in tables for method in table.methods()]
        return [
            *json_api,
            *self._uploads(),
            *batch.methods(),
            *XmlListing(self._catalog).methods(),
            *xml.methods(parts),
        ]

    def find(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """A version of an object, the live one by default. Its file never changes, but goes when the version goes.

        Raises:
            CloudError: 404.
        """
        with self._catalog.reading() as rows:
            return rows.find(bucket, name, generation)

    def bucket(self, name: str) -> Bucket | None:
        """The bucket, or None."""
        with self._catalog.reading() as rows:
            return rows.find_bucket(name)

    def bindings_on(self, resource: str) -> list[Binding]:
        """The bindings of the policy of the bucket that a resource is, or lies in."""
        bucket = self._bucket_of(resource)
        return of_policy(bucket.bindings, f"projects/_/buckets/{bucket.name}") if bucket else []

    def project_of(self, resource: str) -> str | None:
        """The project of the bucket that a resource is, or lies in: the names of buckets do not tell it."""
        bucket = self._bucket_of(resource)
        return f"projects/{bucket.project}" if bucket else None

    def _bucket_of(self, resource: str) -> Bucket | None:
        parts = resource.split("/")
        return self.bucket(parts[3]) if parts[:3] == ["projects", "_", "buckets"] else None

    def glob(self, uri: str) -> list[StoredObject]:
        """Live objects that `gs://bucket/name` means, in order of their names; `*` stands for any text.

        Raises:
            CloudError: 400 for another kind of address, 404 without the bucket.
        """
        bucket, _, pattern = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not pattern:
            raise invalid(f"Invalid address {uri!r}: expected gs://BUCKET/NAME")
        with self._catalog.reading() as rows:
            rows.bucket(bucket)
            return list(listing.glob(rows, bucket, pattern))

    def put_file(
        self, bucket: str, name: str, path: Path, *, content_type: str, if_generation_match: int | None = None
    ) -> StoredObject:
        """Move a file in as the live version of an object; it is durable when this returns.

        Raises:
            CloudError: 404 without the bucket, 412 when `if_generation_match` does not hold; the file goes anyway.
        """
        content = self._contents.take(path)
        fields, conditions = {"contentType": content_type}, Conditions(generation_match=if_generation_match)
        return create(self._catalog, self._contents, (bucket, name), content, fields, conditions)

    def close(self) -> None:
        """Close every file."""
        self._catalog.close()
        self._contents.close()

    def _uploads(self) -> list[Method]:
        path, takes = "/storage/v1/b/{bucket}/o", f"upload_id name contentEncoding {IF}"
        insert = "storage.objects.insert"
        supports = "media, multipart, resumable in chunks of any size (Google: multiples of 256 KiB)"
        rows = [("POST", self._insert), ("PUT", self._insert), ("DELETE", self._resumable.cancel)]
        return [
            row(
                insert,
                verb,
                prefix + path,
                handler,
                takes,
                supports=supports,
                refuses=f"{ACLS}, predefined ACLs that open an object",
            )
            for prefix in ("/upload", "/resumable/upload")
            for verb, handler in rows
        ]

    def _insert(self, call: Call) -> Answer:
        if "upload_id" in call.query:
            return self._resumable.proceed(call)
        kinds: dict[str, Callable[[Call], Answer]] = {
            "media": self._simple.media, "multipart": self._simple.multipart, "resumable": self._resumable.start,
        }  # fmt: skip
        kind = call.query.get("uploadType", "")
        if kind not in kinds:
            raise invalid(f"Invalid value {kind!r} for parameter 'uploadType': expected one of {', '.join(kinds)}")
        return kinds[kind](call)
