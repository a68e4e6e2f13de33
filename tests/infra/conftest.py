"""Runs the Pulumi program under mocks that record what it declares; tests then look at plain data."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi.runtime
import pytest
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

ROOT = Path(__file__).parent.parent.parent
DIGEST = "sha256:" + "5e" * 32

# So that tests can import `settings` and `components.x` as the program does.
sys.path.insert(0, str(ROOT / "infra"))


@dataclass(frozen=True)
class Recorded:
    """One resource as the program asked for it: inputs in camelCase, and the options that the engine gets."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    timeouts: dict[str, str]
    ignore_changes: tuple[str, ...]
    dependencies: tuple[str, ...]

    def __getitem__(self, key: str) -> Any:
        return self.inputs[key]


@dataclass
class Declared:
    """Everything that one run declared, by (type, name), and what it exported."""

    resources: dict[tuple[str, str], Recorded] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def of_type(self, type: str) -> list[Recorded]:
        """All resources of a type, by name."""
        return [resource for key, resource in sorted(self.resources.items()) if key[0] == type]

    def one(self, type: str, name: str) -> Recorded:
        """The resource of this type and name."""
        return self.resources[type, name]

    def tables(self) -> list[Recorded]:
        """Every table that holds rows."""
        return [table for table in self.of_type("gcp:bigquery/table:Table") if "view" not in table.inputs]

    def grants(self) -> list[Recorded]:
        """Every grant, on whatever it is."""
        return [r for key, r in sorted(self.resources.items()) if key[0].endswith(("IamMember", "IAMMember"))]


class Recorder(mocks.MockMonitor, mocks.Mocks):
    """Answers as Google Cloud would where the program looks, and records the rest."""

    def __init__(self, *, preview: bool) -> None:
        super().__init__(self)
        self.declared = Declared()
        self._preview = preview

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the name of the call)
        if request.type != "pulumi:pulumi:Stack":
            key = (request.type, request.name)
            assert key not in self.declared.resources, f"{key} is declared twice: the engine would refuse the program"
            self.declared.resources[key] = Recorded(
                request.type,
                request.name,
                _plain(rpc.deserialize_properties(request.object)),
                request.parent,
                request.protect,
                request.retainOnDelete,
                request.deleteBeforeReplace,
                {w: t for w in ("create", "update", "delete") if (t := getattr(request.customTimeouts, w))},
                tuple(sorted(request.ignoreChanges)),
                tuple(sorted(request.dependencies)),
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK has no types here

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The id, and the inputs with what Google Cloud adds to them once a resource exists."""
        state = {"name": args.name, **args.inputs}
        if self._preview:
            return "", dict(args.inputs)  # what it adds is not known yet
        return f"{args.name}-id", state | _added(args.typ, state)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The deployer's token; the program looks nothing else up."""
        assert "getClientConfig" in args.token, f"unexpected look-up {args.token}"
        return {
            "accessToken": "a-token",
            "id": "client",
            "project": "p",
            "region": "r",
            "zone": "z",
            "defaultLabels": {},
        }, []


def _added(type: str, state: Mapping[str, Any]) -> dict[str, Any]:
    if type == "gcp:serviceaccount/account:Account":
        email = f"{state['accountId']}@accounts.example"
        return {"email": email, "member": f"serviceAccount:{email}"}
    if type == "gcp:artifactregistry/repository:Repository":
        return {"registryUri": f"registry.example/{state['repositoryId']}"}
    if type == "gcp:cloudrunv2/job:Job":
        return {"createTime": "2026-10-25T06:30:15.123456789Z"}
    if type == "docker-build:index:Image":
        return {"digest": DIGEST, "ref": f"registry.example/anything:tag@{DIGEST}"}
    if type == "gcp:composer/environment:Environment":
        return {"config": {**state["config"], "airflowUri": "https://airflow.example"}}
    return {}


def _plain(value: Any) -> Any:
    """Recorded values as a reader expects them: whole numbers whole, the text of a file instead of the file."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, pulumi.StringAsset):
        return value.text
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def configuration(stack: str, root: Path = ROOT) -> dict[str, str]:
    """What the command line hands to the program: the stack's file over the defaults of Pulumi.yaml."""
    project = yaml.safe_load((root / "Pulumi.yaml").read_text())
    values = {
        f"{project['name']}:{key}": entry["default"] for key, entry in project["config"].items() if "default" in entry
    }
    values |= yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def run(config: Mapping[str, str], *, stack: str = "local", preview: bool = False, root: Path = ROOT) -> Declared:
    """Run the whole program fresh, as the language host does.

    Args:
        root: the clone whose program, models and DAG files are used.
    """
    for module in _modules_of(root / "infra") & sys.modules.keys():
        del sys.modules[module]
    recorder = Recorder(preview=preview)
    pulumi.runtime.set_mocks(recorder, project="predictions", stack=stack, preview=preview, monitor=recorder)
    pulumi.runtime.set_all_config(dict(config))
    outputs = cast(Stack, get_root_resource()).outputs
    outputs.clear()  # one root serves all runs of a process

    def program() -> pulumi.Output[None]:
        runpy.run_path(str(root / "infra"), run_name="__main__")
        return pulumi.Output.from_input(outputs).apply(recorder.declared.outputs.update)

    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]  # as above
    return recorder.declared


def _modules_of(folder: Path) -> set[str]:
    files = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py")]
    return {".".join(file.parts).removesuffix(".__init__") for file in files} - {"__main__"}  # pytest is that one


@dataclass(frozen=True)
class Clone:
    """A copy of what the program reads, for tests that change it."""

    root: Path

    def add_model(self, name: str, change: Callable[[dict[str, Any]], None] = lambda model: None) -> None:
        """A second model: the example under another name, with changes to its model.yaml."""
        folder = self.root / "service" / "models" / name
        shutil.copytree(ROOT / "service" / "models" / "customer_value", folder)
        model = yaml.safe_load((folder / "model.yaml").read_text())
        model["name"] = name
        change(model)
        (folder / "model.yaml").write_text(yaml.safe_dump(model))

    def run(self, **changes: str) -> Declared:
        """The stack `local`, with changed values of this project's keys."""
        values = {f"predictions:{key}": text for key, text in changes.items()}
        return run(configuration("local") | values, root=self.root)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """The program and its models in a folder of their own."""
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for folder in ("infra", "dags", "service/models", "container"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    return Clone(tmp_path)


@pytest.fixture(scope="session")
def local() -> Declared:
    """The stack `local`, with the values of its file."""
    return run(configuration("local"))


@pytest.fixture(scope="session")
def dev() -> Declared:
    """The stack `dev`, with the values of its file."""
    return run(configuration("dev"), stack="dev")


@pytest.fixture(scope="session")
def protected() -> Declared:
    """The stack `prod`, with the values of its file under names of its own."""
    values = {"gcp:project": "acme-forecasts", "gcp:region": "us-east4", "predictions:dataset": "forecasts"}
    values["predictions:alertEmails"] = '["oncall@acme.example", "data@acme.example"]'
    return run(configuration("prod") | values, stack="prod")
