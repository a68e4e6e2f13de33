"""`make bootstrap PROJECT=...`: what must exist before the first `pulumi up`, as gcloud commands; APPLY=1 runs them.

State bucket, key for its secrets, the deployer's account, and with GITHUB=OWNER/REPOSITORY its keyless sign-in. They
belong to no stack: a stack cannot keep its own state, and the id of a deleted pool stays taken for a month.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

EXIT_USAGE, EXIT_UPSTREAM = 2, 4
# The stack switches all others on (infra/components/services.py); these are needed to get that far.
APIS = ("serviceusage", "cloudresourcemanager", "iam", "iamcredentials", "cloudkms", "storage")
# Each for resources that the program declares; no basic role. Whether they suffice is not verified:
# `deployer-roles` in tools/assumptions.yaml.
ROLES = (
    "artifactregistry.admin",
    "bigquery.admin",
    "composer.admin",
    "iam.serviceAccountAdmin",
    "iam.serviceAccountUser",  # to attach the models' accounts to their jobs
    "logging.configWriter",
    "monitoring.editor",
    "resourcemanager.projectIamAdmin",  # for bigquery.jobUser and composer.worker, which exist on projects only
    "run.admin",
    "serviceusage.serviceUsageAdmin",
    "storage.admin",
)
PROJECT = re.compile(
    r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
)  # https://cloud.google.com/resource-manager/docs/creating-managing-projects
REGION = re.compile(r"[a-z]+-[a-z]+\d{1,2}")
REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


class Refused(Exception):
    """What was wrong and what to do; `code` is the exit code."""

    def __init__(self, text: str, code: int = EXIT_USAGE) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Step:
    """One gcloud command, safe to repeat: where creating twice would fail, `exists` asks first.

    Words such as `$(config get-value account)` stand for what gcloud prints for them.
    """

    why: str
    command: tuple[str, ...]
    exists: tuple[str, ...] = ()

    def line(self) -> str:
        """The command as one types it."""
        return " ".join(("gcloud", *map(_quoted, self.command)))


def _quoted(word: str) -> str:
    return f'"{word.replace("$(", "$(gcloud ")}"' if "$(" in word else shlex.quote(word)


def main(arguments: list[str] | None = None) -> int:
    """0 when everything is printed, or there; 2 for a wrong request, 4 when a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tools.bootstrap --project acme-1")
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", default="europe-west1")
    parser.add_argument("--github", default="", help="OWNER/REPOSITORY that may deploy without a key")
    parser.add_argument("--apply", action="store_true", help="run the commands instead of printing them")
    given = parser.parse_args(arguments)
    try:
        check(given.project, given.region, given.github)
        work = list(steps(given.project, given.region, given.github))
        if given.apply:
            apply(work)
        else:
            for step in work:
                print(f"# {step.why}\n{step.line()}")
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    print(following(given.project, given.region))
    return 0


def check(project: str, region: str, github: str) -> None:
    """Refuse what Google Cloud would refuse, before anything is made.

    Raises:
        Refused: names the value.
    """
    if not PROJECT.fullmatch(project) or project == "your-project-id":
        raise Refused(f"'{project}' is no project id of yours. It has 6 to 30 lower-case letters, digits and '-'.")
    if not REGION.fullmatch(region):
        raise Refused(f"'{region}' is no region. Give one such as 'europe-west1' with REGION=.")
    if github and not REPOSITORY.fullmatch(github):
        raise Refused(f"'{github}' is no repository. Give OWNER/REPOSITORY with GITHUB=.")


def steps(project: str, region: str, github: str) -> Iterator[Step]:
    """The commands, in the order in which each finds what it needs."""
    on = f"--project={project}"
    apis = tuple(f"{api}.googleapis.com" for api in APIS)
    yield Step("the APIs by which the rest is made", ("services", "enable", *apis, on))
    yield from _state(project, region, on)
    yield from _deployer(project, region, on)
    if github:
        yield from _federation(project, github, on)


def _state(project: str, region: str, on: str) -> Iterator[Step]:
    bucket = f"gs://{project}-pulumi-state"
    closed = ("--uniform-bucket-level-access", "--public-access-prevention")
    make_bucket = ("storage", "buckets", "create", bucket, f"--location={region}", *closed, on)
    yield Step("the bucket of all stacks' state", make_bucket, ("storage", "buckets", "describe", bucket))
    yield Step("an overwritten state can be fetched back", ("storage", "buckets", "update", bucket, "--versioning"))
    at = (f"--location={region}", on)
    ring = ("kms", "keyrings")
    yield Step("a key ring", (*ring, "create", "pulumi", *at), (*ring, "describe", "pulumi", *at))
    key = ("state", "--keyring=pulumi", *at)
    make_key = ("kms", "keys", "create", *key, "--purpose=encryption")
    yield Step("the key that encrypts secrets in the state", make_key, ("kms", "keys", "describe", *key))


def _deployer(project: str, region: str, on: str) -> Iterator[Step]:
    email = f"deployer@{project}.iam.gserviceaccount.com"
    accounts = ("iam", "service-accounts")
    create = (*accounts, "create", "deployer", "--display-name=Deploys the stacks", on)
    yield Step("who deploys; it has no key", create, (*accounts, "describe", email, on))
    member = f"--member=serviceAccount:{email}"
    for role in ROLES:
        grant = ("projects", "add-iam-policy-binding", project, member, f"--role=roles/{role}", "--condition=None")
        yield Step(f"deploys with {role}", (*grant, "--format=none"))
    key = ("state", "--keyring=pulumi", f"--location={region}", on)
    role = "--role=roles/cloudkms.cryptoKeyEncrypterDecrypter"
    yield Step("it reads secrets", ("kms", "keys", "add-iam-policy-binding", *key, member, role, "--format=none"))
    you = ("--member=user:$(config get-value account)", "--role=roles/iam.serviceAccountTokenCreator")
    lend = (*accounts, "add-iam-policy-binding", email, *you, "--condition=None", on, "--format=none")
    yield Step("you may deploy as it", lend)


def _federation(project: str, github: str, on: str) -> Iterator[Step]:
    pools = ("iam", "workload-identity-pools")
    at = ("--location=global", on)
    yield Step("a pool of foreign identities", (*pools, "create", "github", *at), (*pools, "describe", "github", *at))
    provider = ("github", "--workload-identity-pool=github", *at)
    # GitHub signs for everybody with one issuer: without the condition any repository could come in.
    create = (
        *(*pools, "providers", "create-oidc", *provider),
        "--issuer-uri=https://token.actions.githubusercontent.com",
        "--attribute-mapping=google.subject=assertion.sub,attribute.repository=assertion.repository",
        f"--attribute-condition=assertion.repository == '{github}'",
    )
    yield Step("GitHub's signature, for one repository", create, (*pools, "providers", "describe", *provider))
    number = f"$(projects describe {project} --format='value(projectNumber)')"
    pool = f"projects/{number}/locations/global/workloadIdentityPools/github"
    member = f"--member=principalSet://iam.googleapis.com/{pool}/attribute.repository/{github}"
    email = f"deployer@{project}.iam.gserviceaccount.com"
    role = "--role=roles/iam.workloadIdentityUser"
    grant = ("iam", "service-accounts", "add-iam-policy-binding", email, member, role, "--condition=None", on)
    yield Step("that repository may deploy", (*grant, "--format=none"))


def apply(work: list[Step]) -> None:
    """Run the steps one by one; what exists is left as it is, and a second call does the rest.

    Raises:
        Refused: a command failed; no later one was run.
    """
    for number, step in enumerate(work, start=1):
        progress = f"{number}/{len(work)} {step.why}"
        if step.exists and _gcloud(step.exists).returncode == 0:
            print(f"{progress}: already there", flush=True)
            continue
        done = _gcloud(tuple(_filled(word) for word in step.command))
        if done.returncode:
            text = f"`{step.line()}` ended with code {done.returncode}:\n{done.stderr.strip()}"
            raise Refused(
                f"{text}\nMend that, then run the same command again: what is done is left as it is.", EXIT_UPSTREAM
            )
        print(f"{progress}: done", flush=True)


def following(project: str, region: str) -> str:
    """What to type next."""
    key = f"gcpkms://projects/{project}/locations/{region}/keyRings/pulumi/cryptoKeys/state"
    return f"""
# Next:
gcloud auth application-default login --impersonate-service-account=deployer@{project}.iam.gserviceaccount.com
pulumi login gs://{project}-pulumi-state
pulumi stack init dev --secrets-provider={key}
pulumi config set --stack dev gcp:project {project}
pulumi up --stack dev"""


def _filled(word: str) -> str:
    found = re.search(r"\$\((.*)\)(?=$|/)", word)
    if not found:
        return word
    done = _gcloud(tuple(shlex.split(found.group(1))))
    value = done.stdout.strip()
    if done.returncode or not value or value == "(unset)":
        text = f"`gcloud {found.group(1)}` gives nothing: {done.stderr.strip()}"
        raise Refused(f"{text}\nLog in: `gcloud auth login`.", EXIT_UPSTREAM)
    return word[: found.start()] + value + word[found.end() :]


def _gcloud(words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["gcloud", *words, "--quiet"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused("There is no program 'gcloud'. Install the Google Cloud CLI, then run this again.") from error


if __name__ == "__main__":
    sys.exit(main())
