"""Listing of a bucket by the XML API, version 2: what clients built on Rust's object_store ask, such as Polars.

Does not own how objects are found (listing.py). Fields: https://cloud.google.com/storage/docs/xml-api/get-bucket-list
"""

from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement, tostring

from local.storage.catalog import Catalog
from local.storage.listing import PAGE, Page, next_page, place_of, read_page, selection
from local.storage.records import StoredObject
from local.storage.routes import number, row, unsupported
from local.storage.xml_api import OTHER_APIS, SIGNED, TYPE, shown, xml_etag
from local.wire import Answer, Call, CloudError, Method

NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"
TAKES = f"{SIGNED} list-type prefix delimiter max-keys start-after continuation-token"


class XmlListing:
    """The method of the XML API that lists a bucket."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def methods(self) -> list[Method]:
        """The table of methods; one of the last, because its path is any bucket's."""
        name, path = "storage.objects.list", "/{bucket}"
        checked = row(name, "GET", path, self._list, TAKES).handler

        def answer(call: Call) -> Answer:
            if OTHER_APIS.fullmatch(call.params["bucket"]) or call.query.get("list-type") != "2":
                raise unsupported(f"call {call.verb} {call.path}; it lists with list-type=2")
            try:
                return checked(call)
            except CloudError as error:
                return shown(error)

        return [Method(name, "GET", path, answer, refuses="version 1 of the XML API's listing", shown=shown)]

    def _list(self, call: Call) -> Answer:
        chosen, token = selection(call), call.query.get("continuation-token")
        if call.query.get("start-after"):
            chosen = replace(chosen, first=max(chosen.first, call.query["start-after"] + "\0"))
        limit = number(call.query, "max-keys")
        with self._catalog.reading() as rows:
            rows.bucket(chosen.bucket)
            start = place_of(token) if token else (chosen.first, 0)
            page = read_page(rows, chosen, start, min(PAGE if limit is None else limit, PAGE))
        return Answer(body=tostring(_document(call, page), "utf-8", xml_declaration=True), headers=TYPE)


def _document(call: Call, page: Page) -> Element:
    root = Element("ListBucketResult", xmlns=NAMESPACE)
    token = next_page(page)
    head = {
        "Name": call.params["bucket"],
        "Prefix": call.query.get("prefix", ""),
        "KeyCount": len(page.items) + len(page.prefixes),
        "IsTruncated": str(token is not None).lower(),
    }
    for name, value in (head | ({"NextContinuationToken": token} if token else {})).items():
        SubElement(root, name).text = str(value)
    for version in page.items:
        _described(SubElement(root, "Contents"), version)
    for prefix in page.prefixes:
        SubElement(SubElement(root, "CommonPrefixes"), "Prefix").text = prefix
    return root


def _described(contents: Element, version: StoredObject) -> None:
    for name, value in {
        "Key": version.name,
        "Generation": version.generation,
        "MetaGeneration": version.metageneration,
        "LastModified": version.updated,
        "ETag": xml_etag(version),
        "Size": version.size,
    }.items():
        SubElement(contents, name).text = str(value)
