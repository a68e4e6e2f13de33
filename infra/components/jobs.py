"""The Cloud Run jobs, one per action of a model, and who may start them.

Does not own what a job does (service/) or when it runs (orchestration.py). An execution may replace a job's arguments
and add to its environment; its image, account and size change only here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from settings import VERBS, StackSettings

from service.spec import ActionSpec, ModelSpec

LONGEST_NAME = 49  # https://cloud.google.com/run/docs/create-jobs


@dataclass(frozen=True, kw_only=True)
class PredictionJobsArgs:
    """The model, its image, who runs and starts it, and what its environment names."""

    stack: StackSettings
    model: ModelSpec
    image: pulumi.Input[str]
    image_digest: pulumi.Input[str]
    accounts: Mapping[str, pulumi.Input[str]]
    members: Mapping[str, pulumi.Input[str]]
    airflow: pulumi.Input[str] | None
    dataset_id: pulumi.Input[str]
    models_bucket: pulumi.Input[str]
    runs_bucket: pulumi.Input[str]
    code_commit: str


class PredictionJobs(pulumi.ComponentResource):
    """A model's training and application, each with its own size, limits and identity."""

    names: dict[str, pulumi.Output[str]]
    made_at: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: PredictionJobsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("prediction:infra:PredictionJobs", name, None, opts)
        secrets = {action: self._grant_secrets(action, args) for action in args.model.actions}
        jobs = {a: self._create_job(spec, args, secrets[a]) for a, spec in args.model.actions.items()}
        if args.airflow is not None:
            for action, job in jobs.items():
                # Run, override, cancel. If a project still answers 403 to `run`, its caller also needs
                # iam.serviceAccountUser on the job's account (GoogleCloudPlatform/LifeSciences#87).
                self._grant(f"airflow-runs-{action}", job, "run.jobsExecutorWithOverrides", args, args.airflow)
                self._grant(f"airflow-watches-{action}", job, "run.viewer", args, args.airflow)
        self.names = {
            action: pulumi.Output.concat(
                "projects/", args.stack.project, "/locations/", job.location, "/jobs/", job.name
            )
            for action, job in jobs.items()
        }
        self.made_at = {action: job.create_time for action, job in jobs.items()}
        self.register_outputs({"names": self.names})

    def _create_job(
        self, action: ActionSpec, args: PredictionJobsArgs, secret_grants: list[pulumi.Resource]
    ) -> gcp.cloudrunv2.Job:
        container = gcp.cloudrunv2.JobTemplateTemplateContainerArgs(
            image=args.image,
            # A run names its date in arguments of its own; started without any, the service says so and ends.
            args=[VERBS[action.name]],
            envs=[*_environment(args), *_secrets(args.model)],
            resources=gcp.cloudrunv2.JobTemplateTemplateContainerResourcesArgs(
                limits={"cpu": str(action.cpu), "memory": f"{int(action.memory_gib * 1024)}Mi"}
            ),
        )
        task = gcp.cloudrunv2.JobTemplateTemplateArgs(
            containers=[container],
            service_account=args.accounts[action.name],
            timeout=f"{action.timeout_seconds}s",  # of one attempt; Google's default of ten minutes ends many trainings
            max_retries=action.max_retries,  # Google's default of 3 would repeat a failing run for hours
        )
        return gcp.cloudrunv2.Job(
            f"{args.model.name}-{action.name}",
            name=job_name(args.stack.name, args.model.name, action.name),
            location=args.stack.region,
            template=gcp.cloudrunv2.JobTemplateArgs(
                template=task,
                task_count=action.tasks,
                # All at once: none waits for another, and the last to finish delivers.
                parallelism=action.tasks if action.tasks > 1 else None,
            ),
            deletion_protection=args.stack.protect_data,
            labels={**args.stack.labels(args.model), "action": action.name},
            # Cloud Run refuses a job whose account cannot read its secrets.
            opts=pulumi.ResourceOptions(parent=self, depends_on=secret_grants),
        )

    def _grant(
        self, what: str, job: gcp.cloudrunv2.Job, role: str, args: PredictionJobsArgs, member: pulumi.Input[str]
    ) -> None:
        gcp.cloudrunv2.JobIamMember(
            f"{args.model.name}-{what}",
            project=args.stack.project,
            location=job.location,
            name=job.name,
            role=f"roles/{role}",
            member=member,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _grant_secrets(self, action: str, args: PredictionJobsArgs) -> list[pulumi.Resource]:
        """The secrets are not the stack's, only the right of this job's account to read them."""
        return [
            gcp.secretmanager.SecretIamMember(
                f"{args.model.name}-{action}-reads-{secret}",
                project=args.stack.project,
                secret_id=secret,
                role="roles/secretmanager.secretAccessor",
                member=args.members[action],
                opts=pulumi.ResourceOptions(parent=self),
            )
            for secret in sorted({secret.partition(":")[0] for secret in args.model.secrets.values()})
        ]


def job_name(stack: str, model: str, action: str) -> str:
    """The name of a job, unique in a project's region.

    Raises:
        RunError: it is longer than Cloud Run allows.
    """
    name = f"{stack}-{model.replace('_', '-')}-{action}"
    if len(name) > LONGEST_NAME:
        text = f"Job '{name}' has {len(name)} characters, of which Cloud Run allows {LONGEST_NAME}."
        raise pulumi.RunError(f"{text} Shorten the name of the stack or the model.")
    return name


def _environment(args: PredictionJobsArgs) -> list[gcp.cloudrunv2.JobTemplateTemplateContainerEnvArgs]:
    """What service/settings.py reads, by the same names."""
    values: dict[str, pulumi.Input[str]] = {
        "GOOGLE_CLOUD_PROJECT": args.stack.project,
        "LOCATION": args.stack.region,
        "DATASET": args.dataset_id,
        "MODEL": args.model.name,
        "MODELS_BUCKET": args.models_bucket,
        "RUNS_BUCKET": args.runs_bucket,
        "IMAGE_DIGEST": args.image_digest,
        "CODE_COMMIT": args.code_commit,
    }
    return [gcp.cloudrunv2.JobTemplateTemplateContainerEnvArgs(name=n, value=v) for n, v in values.items()]


def _secrets(model: ModelSpec) -> list[gcp.cloudrunv2.JobTemplateTemplateContainerEnvArgs]:
    # A version of its own, so that a rotated secret is a change that people see and can take back.
    def source(text: str) -> gcp.cloudrunv2.JobTemplateTemplateContainerEnvValueSourceArgs:
        secret, _, version = text.partition(":")
        key = gcp.cloudrunv2.JobTemplateTemplateContainerEnvValueSourceSecretKeyRefArgs(secret=secret, version=version)
        return gcp.cloudrunv2.JobTemplateTemplateContainerEnvValueSourceArgs(secret_key_ref=key)

    return [
        gcp.cloudrunv2.JobTemplateTemplateContainerEnvArgs(name=name, value_source=source(secret))
        for name, secret in sorted(model.secrets.items())
    ]
