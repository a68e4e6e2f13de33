"""The image registry, and each model's image as a digest.

Does not own what is in an image (container/Dockerfile) or the right to pull: in one project Cloud Run needs no grant.
"""

from dataclasses import dataclass

import build_recipe
import pulumi
import pulumi_docker_build as docker_build
import pulumi_gcp as gcp
from settings import ROOT, StackSettings

from service.spec import ModelSpec

KEPT_IMAGES = 10  # releases of a model that one can roll back to
UNTAGGED_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class ImageRegistryArgs:
    """Where the repository is."""

    stack: StackSettings


class ImageRegistry(pulumi.ComponentResource):
    """One Docker repository for the images of all models, and how to push to it."""

    login: docker_build.RegistryArgs
    uri: pulumi.Output[str]

    def __init__(self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ImageRegistry", name, None, opts)
        repository = gcp.artifactregistry.Repository(
            name,
            repository_id=f"predictions-{args.stack.name}",
            format="DOCKER",
            location=args.stack.region,
            description=f"Images of the models of the stack {args.stack.name}",
            cleanup_policies=[_keep_recent(), _delete_untagged()],
            cleanup_policy_dry_run=False,
            labels=args.stack.labels(),
            # Without its images no earlier release can be rolled back to.
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.protect_data),
        )
        self.uri = repository.registry_uri
        # Whoever runs `up` pushes as themselves; the token is theirs and ends within the hour.
        deployer = gcp.organizations.get_client_config_output(pulumi.InvokeOptions(parent=self))
        self.login = docker_build.RegistryArgs(
            address=self.uri, username="oauth2accesstoken", password=pulumi.Output.secret(deployer.access_token)
        )
        self.register_outputs({"uri": self.uri})


def _keep_recent() -> gcp.artifactregistry.RepositoryCleanupPolicyArgs:
    versions = gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=KEPT_IMAGES)
    return gcp.artifactregistry.RepositoryCleanupPolicyArgs(
        id="keep-recent", action="KEEP", most_recent_versions=versions
    )


def _delete_untagged() -> gcp.artifactregistry.RepositoryCleanupPolicyArgs:
    # KEEP wins over DELETE, and the image in use carries the stack's tag: neither can go.
    condition = gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(
        tag_state="UNTAGGED", older_than=f"{UNTAGGED_DAYS * 24 * 3600}s"
    )
    return gcp.artifactregistry.RepositoryCleanupPolicyArgs(id="delete-untagged", action="DELETE", condition=condition)


@dataclass(frozen=True, kw_only=True)
class ModelImageArgs:
    """The model, and where its image goes."""

    stack: StackSettings
    model: ModelSpec
    registry: ImageRegistry


class ModelImage(pulumi.ComponentResource):
    """A model's image, by digest: built and pushed by `up`, or built elsewhere."""

    reference: pulumi.Output[str]
    digest: pulumi.Output[str]

    def __init__(self, name: str, args: ModelImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelImage", name, None, opts)
        prebuilt = args.stack.prebuilt_images.get(args.model.name)
        if prebuilt:
            self.reference = pulumi.Output.from_input(prebuilt)
            self.digest = pulumi.Output.from_input(prebuilt.partition("@")[2])
        else:
            self.digest = self._create_image(name, args).digest
            # `ref` of the image names a tag as well, and not always the same one (pulumi-docker-build#242).
            self.reference = pulumi.Output.concat(args.registry.uri, "/", args.model.name, "@", self.digest)
        self.register_outputs({"reference": self.reference})

    def _create_image(self, name: str, args: ModelImageArgs) -> docker_build.Image:
        return docker_build.Image(
            name,
            # Paths are compared as text, so a relative one does not differ between two clones. Pulumi runs in infra/.
            context=docker_build.BuildContextArgs(location=".."),
            # container/Dockerfile, with an ignore file that keeps other models out (docs/decisions/0010-containers.md).
            dockerfile=docker_build.DockerfileArgs(location=f"../{build_recipe.written(ROOT, args.model.name)}"),
            build_args={"MODEL": args.model.name},
            platforms=[docker_build.Platform.LINUX_AMD64],  # Cloud Run's; an Apple laptop would build its own
            # One tag that moves: a tag per commit or day would rebuild an image whose content did not change.
            tags=[pulumi.Output.concat(args.registry.uri, "/", args.model.name, ":", args.stack.name)],
            push=True,
            build_on_preview=False,  # a preview must be quick, and change nothing
            registries=[args.registry.login],
            # Deleting one would remove its digest from the registry, even where the next image has the same
            # (pulumi-docker-build#581, #606). The repository's own policies clean up.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
