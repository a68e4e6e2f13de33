"""One service account per role, and the roles that exist on a project only.

Does not own grants on a bucket, table or job: they stand beside the resource they open. There are no keys.
"""

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import VERBS, StackSettings

from service.spec import ACTIONS, ModelSpec

LONGEST_ID = 30  # https://cloud.google.com/iam/docs/service-accounts-create


@dataclass(frozen=True, kw_only=True)
class ModelIdentitiesArgs:
    """The model, and where its accounts live."""

    stack: StackSettings
    model: ModelSpec


class ModelIdentities(pulumi.ComponentResource):
    """Who a model's training and its application are; neither can do the other's work."""

    members: dict[str, pulumi.Output[str]]
    emails: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ModelIdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:ModelIdentities", name, None, opts)
        accounts = {action: self._create_account(action, args) for action in ACTIONS}
        for action, account in accounts.items():
            gcp.projects.IAMMember(
                f"{args.model.name}-{action}-runs-queries",
                project=args.stack.project,
                # On the project, because a BigQuery job belongs to no dataset. Of data it opens nothing.
                role="roles/bigquery.jobUser",
                member=account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.members = {action: account.member for action, account in accounts.items()}
        self.emails = {action: account.email for action, account in accounts.items()}
        self.register_outputs({"emails": self.emails})

    def _create_account(self, action: str, args: ModelIdentitiesArgs) -> gcp.serviceaccount.Account:
        model, stack = args.model.name, args.stack.name
        return gcp.serviceaccount.Account(
            f"{model}-{action}",
            account_id=account_id(model, VERBS[action], stack),
            display_name=f"{model}: {action} ({stack})",
            description=f"Runs the {action} of the model {model} in the stack {stack}.",
            opts=pulumi.ResourceOptions(parent=self),
        )


@dataclass(frozen=True, kw_only=True)
class AirflowIdentityArgs:
    """Where the account lives."""

    stack: StackSettings


class AirflowIdentity(pulumi.ComponentResource):
    """Who the stack's own Airflow environment is. It starts jobs, and is never the account of one."""

    member: pulumi.Output[str]
    email: pulumi.Output[str]

    def __init__(self, name: str, args: AirflowIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:AirflowIdentity", name, None, opts)
        stack = args.stack.name
        account = gcp.serviceaccount.Account(
            name,
            account_id=_shortened(f"airflow-{stack}", "airflow"),
            display_name=f"Airflow ({stack})",
            description=f"Runs the Airflow environment of the stack {stack}.",
            opts=pulumi.ResourceOptions(parent=self),
        )
        gcp.projects.IAMMember(
            "airflow-works-for-composer",
            project=args.stack.project,
            # Composer demands this role, and on the project. It is broad: it reads and writes every object, image and
            # build of the project, which is why stacks that must be kept apart need projects of their own.
            role="roles/composer.worker",
            member=account.member,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.member = account.member
        self.email = account.email
        self.register_outputs({"email": self.email})


def account_id(model: str, role: str, stack: str) -> str:
    """An account's id, unique per model, role and stack: `customer-value-train-dev`, shortened where it is too long."""
    model = model.replace("_", "-")
    return _shortened(f"{model}-{role}-{stack}", f"{model[:17]}-{role}")


def _shortened(full: str, short: str) -> str:
    if len(full) <= LONGEST_ID:
        return full
    return f"{short}-{hashlib.sha256(full.encode()).hexdigest()[:6]}"
