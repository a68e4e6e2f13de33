"""Image registries and container images, answered by the local cloud's images.

Does not own what is in an image (local/images.py, local/build_context.py).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local import build_context
from local.declared import Declared
from local.provider.changes import Change
from local.provider.declared_kind import DeclaredKind, now
from local.provider.kind import Kind, Scope, State
from local.provider.schemas import Fault
from local.provider.values import Properties, known, plain
from local.runtime import Runtime
from local.wire import CloudError

UNTAGGED = "image:latest"  # Docker's name for what has none


class Repository(DeclaredKind):
    """An image registry.

    Args:
        runtime: has the images.
    """

    type = "gcp:artifactregistry/repository:Repository"
    id = "projects/{project}/locations/{location}/repositories/{repositoryId}"
    placed = "location"
    remade = ("updateTime",)

    def __init__(self, declared: Declared, runtime: Runtime) -> None:
        super().__init__(declared)
        self.runtime = runtime
        registry = "{location}-docker.pkg.dev/{project}/{repositoryId}"
        self.computed = {"name": "{repositoryId}", "registryUri": registry, "createTime": now, "updateTime": now}

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any], outputs: Properties, scope: Scope) -> list[Change]:
        """Besides the inputs, ages that the platform writes another way: those differ in every preview.

        It answers in seconds, and the policies are a set, so that nothing tells `90d` from `7776000s`:
        https://github.com/e2b-dev/infra/pull/2738
        """
        changes = super().diff(old, new, outputs, scope)
        seen = {change.path for change in changes}
        policies = plain(new).get("cleanupPolicies")
        for number, policy in enumerate(policies if isinstance(policies, list) else []):
            for age in ("olderThan", "newerThan"):
                given = (policy.get("condition") or {}).get(age)
                path = f"cleanupPolicies[{number}].condition.{age}"
                if isinstance(given, str) and not given.endswith("s") and path not in seen:
                    changes.append(Change(path, "update"))
        return changes

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Its images go with it, those too that the program retained; with the last one goes every snapshot."""
        uri = f"{outputs['registryUri']}/"
        declared = self.declared.of_type(Image.type)
        gone = [image for image in declared if str(image.properties.get("ref", "")).startswith(uri)]
        for image in gone:
            self.declared.remove(Image.type, image.id)
        if gone and len(gone) == len(declared):
            self.runtime.clear()


class Image(Kind):
    """An image built from a context on this machine.

    Args:
        runtime: has the images.
    """

    type = "docker-build:index:Image"
    remade = ("contextHash", "digest", "ref")

    def __init__(self, declared: Declared, runtime: Runtime) -> None:
        super().__init__(declared)
        self.runtime = runtime

    def faults(self, inputs: Mapping[str, Any]) -> Iterator[Fault]:
        """A context on this machine, and a Dockerfile in a file."""
        if not (plain(inputs.get("context")) or {}).get("location"):
            yield Fault("context.location", "The local cloud builds from a folder: set context.location.")
        if (plain(inputs.get("dockerfile")) or {}).get("inline"):
            yield Fault("dockerfile.inline", "The local cloud reads Dockerfiles from files: set dockerfile.location.")

    def same(self, name: str, old: Any, new: Any) -> bool:
        """A new token for the same registry is no change: it has a new one at each run."""
        if name != "registries" or not (isinstance(old, list) and isinstance(new, list)):
            return False
        return [_without_password(r) for r in old] == [_without_password(r) for r in new]

    def diff(self, old: Mapping[str, Any], new: Mapping[str, Any], outputs: Properties, scope: Scope) -> list[Change]:
        """Besides the inputs, the content of the context."""
        changes = super().diff(old, new, outputs, scope)
        inputs = plain(new)
        if known({"context": inputs.get("context"), "buildArgs": inputs.get("buildArgs")}):
            context, dockerfile = _paths(inputs, scope)
            if _hash(context, dockerfile, _arguments(inputs)) != outputs.get("contextHash"):
                changes.append(Change("contextHash", "update"))
            elif not self.runtime.has(_reference(outputs)):  # such as one built before jobs ran the other way
                changes.append(Change("digest", "update"))
        return changes

    def create(self, inputs: Properties, scope: Scope) -> State:
        """Build the image."""
        outputs = self._build(inputs, scope)
        return State(outputs["digest"], outputs)

    def read(self, id: str, inputs: Properties, outputs: Properties, scope: Scope) -> tuple[Properties, State] | None:
        """An image is what it was, or it is gone."""
        return (inputs, State(id, outputs)) if self.runtime.has(_reference(outputs)) else None

    def update(self, id: str, old: Properties, inputs: Properties, outputs: Properties, scope: Scope) -> Properties:
        """Build again."""
        return self._build(inputs, scope)

    def delete(self, id: str, outputs: Properties, scope: Scope) -> None:
        """Remove the image, unless another declared one is the same."""
        digest = outputs.get("digest", id)
        owners = [image for image in self.declared.of_type(self.type) if image.properties.get("digest") == digest]
        if len(owners) <= 1:
            self.runtime.remove(_reference(outputs))

    def _build(self, inputs: Properties, scope: Scope) -> Properties:
        context, dockerfile = _paths(inputs, scope)
        arguments = _arguments(inputs)
        before = _hash(context, dockerfile, arguments)
        tags = inputs.get("tags") or []
        digest = self.runtime.build(
            context=context, dockerfile=dockerfile, build_args=arguments, tag=tags[0] if tags else UNTAGGED
        )
        scope.say(f"Built {digest}. Jobs run as {self.runtime.description}.")
        return {**inputs, "contextHash": before, "digest": digest, "ref": f"{tags[0]}@{digest}" if tags else digest}


def _reference(outputs: Mapping[str, Any]) -> str:
    """An image as a job names it: by its digest, without a tag."""
    tag = (outputs.get("tags") or [UNTAGGED])[0]
    return f"{tag.rpartition(':')[0]}@{outputs['digest']}"


def _paths(inputs: Mapping[str, Any], scope: Scope) -> tuple[Path, Path]:
    """The context's folder and the Dockerfile, which Docker looks for in the context if none is named."""
    context = scope.path(inputs["context"]["location"]).resolve()
    named = (inputs.get("dockerfile") or {}).get("location")
    dockerfile = scope.path(named).resolve() if named else context / "Dockerfile"
    if not dockerfile.is_file():
        raise CloudError(400, "invalidBuild", f"There is no Dockerfile {str(dockerfile)!r}. Set dockerfile.location.")
    return context, dockerfile


def _arguments(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in (inputs.get("buildArgs") or {}).items()}


def _hash(context: Path, dockerfile: Path, arguments: Mapping[str, str]) -> str:
    recipe = {**arguments, "Dockerfile": dockerfile.read_text()}
    return build_context.digest(context, build_context.files(context, dockerfile), recipe)


def _without_password(registry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in registry.items() if name != "password"}
