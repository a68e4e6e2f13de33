"""Single versions of objects: metadata and content read, metadata changed, versions deleted and restored."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from local.storage.catalog import Catalog, Rows
from local.storage.conditions import Conditions, check
from local.storage.contents import Contents
from local.storage.downloads import answer_media
from local.storage.records import StoredObject, rfc3339
from local.storage.resources import DEFAULT_TYPE, accepted, changed, object_resource
from local.storage.routes import IF, LISTED, invalid, number, row
from local.storage.versions import duplicate, retire
from local.wire import Answer, Call, Method, flag

ACLS = "ACLs and IAM policies of objects, customer-supplied and KMS keys, object retention, contexts"


class Objects:
    """The methods that act on one version of an object."""

    def __init__(self, catalog: Catalog, contents: Contents) -> None:
        self._catalog, self._contents = catalog, contents

    def methods(self) -> list[Method]:
        """The table of methods."""
        one = "/storage/v1/b/{bucket}/o/{object}"
        takes, get = f"generation {IF}", "storage.objects.get"
        ranges = "one range at a time; gzip is unpacked for clients that do not take it"
        return [
            row(get, "GET", one, self._get, f"softDeleted {takes}", supports=ranges, refuses=ACLS),
            row(get, "HEAD", one, self._get, f"softDeleted {takes}"),
            row(get, "GET", "/download" + one, self._media, takes, supports=ranges),
            row(get, "HEAD", "/download" + one, self._media, takes),
            row("storage.objects.patch", "PATCH", one, partial(self._change, changed), takes, refuses=ACLS),
            row("storage.objects.update", "PUT", one, partial(self._change, _replaced), takes, refuses=ACLS),
            # The client for Node deletes what it has listed with the parameters of the listing.
            row("storage.objects.delete", "DELETE", one, self.delete, f"{takes} {LISTED}"),
            row("storage.objects.restore", "POST", one + "/restore", self._restore, f"copySourceAcl {takes}"),
        ]

    def delete(self, call: Call) -> Answer:
        """Delete the live version, or for good the one of a generation."""
        generation = number(call.query, "generation")
        with self._catalog.changing() as rows:
            version = rows.find(call.params["bucket"], call.params["object"], generation)
            check(call, version)
            retire(rows, rows.bucket(version.bucket), version, for_good=generation is not None)
        return Answer(status=204)

    def _get(self, call: Call) -> Answer:
        if call.query.get("alt") == "media":
            return self._media(call)
        with self._catalog.reading() as rows:
            version = _find(call, rows)
        check(call, version, reading=True)
        return Answer(body=object_resource(version, call.base_url))

    def _media(self, call: Call) -> Answer:
        return answer_media(call, self._catalog, partial(_find, call), _nothing)

    def _change(self, change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]], call: Call) -> Answer:
        given = accepted(call.json())
        with self._catalog.changing() as rows:
            version = _find(call, rows)
            check(call, version)
            fields, metageneration = change(version.fields, given), version.metageneration + 1
            version = replace(version, fields=fields, metageneration=metageneration, updated=rfc3339())
            rows.save(version)
        return Answer(body=object_resource(version, call.base_url))

    def _restore(self, call: Call) -> Answer:
        bucket, name = call.params["bucket"], call.params["object"]
        generation = number(call.query, "generation")
        if generation is None:
            raise invalid("Required parameter: generation")
        with self._catalog.changing() as rows:
            Conditions.of(call.query).check(rows.live(bucket, name))
            old = rows.find(bucket, name, generation, soft=True)
            version = duplicate(rows, self._contents, old, rows.bucket(bucket), name, old.fields)
        return Answer(body=object_resource(version, call.base_url))


def _find(call: Call, rows: Rows) -> StoredObject:
    generation, soft = number(call.query, "generation"), flag(call.query, "softDeleted")
    if soft and generation is None:
        raise invalid("A soft-deleted object is found by its generation only")
    return rows.find(call.params["bucket"], call.params["object"], generation, soft=soft)


def _nothing(_: StoredObject) -> dict[str, str]:
    return {}


def _replaced(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields after an update: those of the request, and of the old ones only what cannot change."""
    cleared: dict[str, Any] = dict.fromkeys(old.keys() - given.keys() - {"storageClass", "componentCount"})
    kept = changed(old, cleared | given)
    if isinstance(given.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in given["metadata"].items() if value is not None}
    return {"contentType": DEFAULT_TYPE} | kept
