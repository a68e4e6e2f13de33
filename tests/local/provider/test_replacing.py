"""The table of what replaces, held against the installed SDK and the types that the provider answers."""

import re
from typing import Any

import pytest

from local.provider import replacing, schemas

# As the SDK's texts say it, where they do.
SAYS = re.compile(r"forces? (a )?new|forces? re-?creation|cannot be changed after|can't be changed after", re.I)
TYPES = sorted({type for type, _, _ in replacing.TABLE})


def _texts(token: str) -> dict[str, str]:
    """What the SDK says of each input of a type."""
    file = schemas._resource_file(token)
    assert file
    name = token.rpartition(":")[2]
    body: Any = re.search(rf"^class {name}Args:\n(.*?)(?=^class |^@|\Z)", file.read_text(), re.DOTALL | re.MULTILINE)
    getter = r'@pulumi\.getter(?:\(name="(\w+)"\))?\n    def (\w+)\(self\) -> [^\n]+:\n        r?"""(.*?)"""'
    return {camel or snake: text for camel, snake, text in re.findall(getter, body.group(1), re.DOTALL)}


@pytest.mark.parametrize("token", TYPES)
def test_every_line_names_an_input_and_a_source(token: str) -> None:
    inputs = schemas.inputs(token)
    for type, path, source in replacing.TABLE:
        if type == token:
            assert path.partition(".")[0] in inputs, path
            assert re.fullmatch(r"services/\w+/\w+\.go|https://github\.com/\S+", source), path


@pytest.mark.parametrize("token", TYPES)
def test_what_the_sdk_says_forces_a_new_resource_is_in_the_table(token: str) -> None:
    said = {name for name, text in _texts(token).items() if SAYS.search(text)}
    assert said <= {path.partition(".")[0] for path in replacing.paths(token)}


def test_every_part_of_a_grant_replaces_it() -> None:
    paths = replacing.paths("gcp:bigquery/iamMember:IamMember")
    assert set(paths) == {"project", "datasetId", "tableId", "role", "member", "condition"}
