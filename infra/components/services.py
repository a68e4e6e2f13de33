"""The Google APIs that must be on before anything else can be made.

Does not own `serviceusage.googleapis.com`, by which the others are switched on: it belongs to the bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import Composer, StackSettings

from service.spec import ModelSpec

ALWAYS = (
    "artifactregistry",
    "bigquery",
    "cloudresourcemanager",  # grants on the project go through it
    "iam",
    "logging",
    "monitoring",
    "run",
    "storage",
)


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """What decides on the APIs beyond those that every stack needs."""

    stack: StackSettings
    models: Sequence[ModelSpec]


class Services(pulumi.ComponentResource):
    """Switches APIs on. What depends on this component waits for all of them."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:Services", name, None, opts)
        wanted = {
            "composer": isinstance(args.stack.airflow, Composer),
            "secretmanager": any(m.secrets for m in args.models),
        }
        for api in (*ALWAYS, *(api for api, needed in wanted.items() if needed)):
            gcp.projects.Service(
                api,
                project=args.stack.project,
                service=f"{api}.googleapis.com",
                # Others in the project may use the API, and it may have been on before this stack came.
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
