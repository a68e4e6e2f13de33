"""The recipe of an image brings all that a run needs, the adapter for `package: module:Class` among it."""

import re
from fnmatch import fnmatchcase

from local import build_context
from service import model_process, remedies
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "container" / "Dockerfile").read_text()


def test_every_file_of_the_service_passes_the_allow_list_and_is_copied() -> None:
    allowed = {str(path) for path in build_context.files(ROOT, ROOT / "container" / "Dockerfile")}
    (line,) = re.findall(r"^COPY .*?(service/\S+(?: service/\S+)*) /app/service/$", DOCKERFILE, re.MULTILINE)
    copied = {path for path in allowed if any(fnmatchcase(path, pattern) for pattern in line.split())}
    own = {f"service/{file.name}" for file in (ROOT / "service").iterdir() if file.is_file()}
    assert own <= allowed, "the build context lacks a file"
    assert own <= copied, "the Dockerfile copies another kind of file"
    needed = {model_process.ADAPTER.name, str(remedies.__file__).rpartition("/")[2], "model.schema.json"}
    assert needed <= {path.removeprefix("service/") for path in own}


def test_a_model_folder_is_copied_whole_and_its_lock_is_installed() -> None:
    assert "COPY --chmod=755 service/models/${MODEL} /app/service/models/${MODEL}" in DOCKERFILE
    assert "--requirement /locks/model.txt" in DOCKERFILE
