"""docs/local-cloud.md says what the tables of methods say."""

from pathlib import Path

from local.images import Processes
from local.method_docs import DOCUMENT, SERVICES, rendered
from local.server import LocalCloud


def test_the_document_is_what_the_tables_of_methods_say(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path, "any-project", Processes(tmp_path, "nothing runs"))
    methods = cloud.methods()
    cloud.close()
    assert {method.name.partition(".")[0] for method in methods} == set(SERVICES)
    assert DOCUMENT.read_text() == rendered(methods), "write it anew: python -m local.method_docs"
