"""Objects made from objects: compose, copy, rewrite, move. Copies share their bytes on disk."""

import hashlib
from typing import Any

from local.storage.catalog import Catalog
from local.storage.conditions import Conditions
from local.storage.contents import Contents
from local.storage.records import StoredObject
from local.storage.resources import accepted, object_resource
from local.storage.routes import IF, IF_SOURCE, invalid, number, row
from local.storage.versions import HOLDS, check_unprotected, duplicate, new_version, place, retire
from local.wire import Answer, Call, Method

REWRITE = "maxBytesRewrittenPerCall rewriteToken"
MEBIBYTE = 1 << 20  # of which maxBytesRewrittenPerCall is a multiple
MAXIMUM_SOURCES = 32  # of one compose, https://cloud.google.com/storage/docs/composite-objects


class Copies:
    """The methods that make an object from others."""

    def __init__(self, catalog: Catalog, contents: Contents) -> None:
        self._catalog, self._contents = catalog, contents

    def methods(self) -> list[Method]:
        """The table of methods."""
        one, target = "/storage/v1/b/{bucket}/o/{object}", "/b/{bucket2}/o/{object2}"
        takes = f"sourceGeneration {IF} {IF_SOURCE}"
        keys = "KMS and customer-supplied keys, predefined ACLs"
        copy, rewrite = "storage.objects.copy", "storage.objects.rewrite"
        several = "done in one call, unless maxBytesRewrittenPerCall asks for several between locations or classes"
        return [
            row("storage.objects.compose", "POST", one + "/compose", self._compose, IF, refuses=keys),
            row(copy, "POST", one + "/copyTo" + target, self._copy, takes, refuses=keys),
            row(rewrite, "POST", one + "/rewriteTo" + target, self._rewrite, f"{REWRITE} {takes}",
                supports=several, refuses=keys),
            row("storage.objects.move", "POST", one + "/moveTo/o/{object2}", self._move, f"{IF} {IF_SOURCE}"),
        ]  # fmt: skip

    def _compose(self, call: Call) -> Answer:
        bucket, name, given = call.params["bucket"], call.params["object"], call.json()
        wanted = given.get("sourceObjects") or []
        if not 0 < len(wanted) <= MAXIMUM_SOURCES:
            raise invalid(f"Compose needs 1 to {MAXIMUM_SOURCES} source objects, not {len(wanted)}")
        fields = accepted(given.get("destination") or {})
        with self._catalog.reading() as rows:
            sources = [rows.find(bucket, s.get("name", ""), number(s, "generation")) for s in wanted]
        for source, asked in zip(sources, wanted, strict=True):
            Conditions.of(asked.get("objectPreconditions") or {}).check(source)
        fields["componentCount"] = sum(source.fields.get("componentCount", 1) for source in sources)
        content = self._contents.join(source.path for source in sources)
        with self._contents.unless_kept(content.path), self._catalog.changing() as rows:
            home = rows.bucket(bucket)
            Conditions.of(call.query).check(rows.live(bucket, name))
            version = new_version(rows, home, name, content, fields, composed=True)
            if given.get("deleteSourceObjects"):
                for source in {source.generation: source for source in sources}.values():
                    retire(rows, home, rows.find(bucket, source.name, source.generation))
            place(rows, home, version)
        return Answer(body=object_resource(version, call.base_url))

    def _copy(self, call: Call) -> Answer:
        return Answer(body=object_resource(self.duplicated(call), call.base_url))

    def _rewrite(self, call: Call) -> Answer:
        """All at once; a client that asks for several calls goes through them, and the last one makes the object."""
        unfinished = self._step(call)
        if unfinished:
            return Answer(body={"kind": "storage#rewriteResponse", "done": False} | unfinished)
        version = self.duplicated(call)
        size = str(version.size)
        answer = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
        return Answer(body=answer | {"resource": object_resource(version, call.base_url)})

    def _step(self, call: Call) -> dict[str, str] | None:
        """How far a rewrite is after this call, None when it is the last. The token tells whose and how far it was."""
        limit, given = number(call.query, "maxBytesRewrittenPerCall"), call.query.get("rewriteToken")
        with self._catalog.reading() as rows:
            source = rows.find(call.params["bucket"], call.params["object"], number(call.query, "sourceGeneration"))
            homes = rows.bucket(source.bucket).fields, rows.bucket(call.params["bucket2"]).fields
        kind = call.json().get("storageClass", homes[1]["storageClass"])
        whose = hashlib.sha256(f"{call.path}#{source.generation}".encode()).hexdigest()
        owner, _, before = (given or f"{whose}-0").partition("-")
        if owner != whose or not before.isdigit():
            raise invalid(f"Invalid rewriteToken {given!r}: it belongs to another source, version or destination")
        if limit is not None and (limit < MEBIBYTE or limit % MEBIBYTE):
            raise invalid(f"Invalid maxBytesRewrittenPerCall {limit}: it must be a multiple of 1 MiB")
        alike = homes[0]["location"] == homes[1]["location"] and kind == source.fields["storageClass"]
        done = int(before) + (source.size if alike or not limit else limit)
        if done >= source.size:
            return None
        return {"totalBytesRewritten": str(done), "objectSize": str(source.size), "rewriteToken": f"{whose}-{done}"}

    def duplicated(self, call: Call) -> StoredObject:
        """The version that a call of storage.objects.copy makes."""
        given, generation = accepted(call.json()), number(call.query, "sourceGeneration")
        bucket, name = call.params["bucket2"], call.params["object2"]
        with self._catalog.changing() as rows:
            source = rows.find(call.params["bucket"], call.params["object"], generation)
            Conditions.of(call.query, "ifSource").check(source)
            home = rows.bucket(bucket)
            Conditions.of(call.query).check(rows.live(bucket, name))
            return duplicate(rows, self._contents, source, home, name, _copied(source.fields, given))

    def _move(self, call: Call) -> Answer:
        bucket, name, target = call.params["bucket"], call.params["object"], call.params["object2"]
        if name == target:
            raise invalid(f"An object cannot be moved to its own name {name!r}")
        with self._catalog.changing() as rows:
            source, home = rows.find(bucket, name), rows.bucket(bucket)
            Conditions.of(call.query, "ifSource").check(source)
            Conditions.of(call.query).check(rows.live(bucket, target))
            check_unprotected(source)
            version = duplicate(rows, self._contents, source, home, target, source.fields)
            if home.fields.get("versioning", {}).get("enabled"):
                retire(rows, home, source)
            else:
                rows.remove(source)  # soft deletion does not apply to a move
        return Answer(body=object_resource(version, call.base_url))


def _copied(source: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a copy: those of the source, unless the request sets any; then only those of the request.

    The storage class is never copied: it is the request's or the bucket's. Neither are holds.
    """
    not_copied = {"storageClass", *HOLDS}
    overridden = {name for name, value in given.items() if value is not None} - {"storageClass"}
    kept = {} if overridden else {name: value for name, value in source.items() if name not in not_copied}
    count = {"componentCount": source["componentCount"]} if "componentCount" in source else {}
    return kept | count | given
