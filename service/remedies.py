"""What Google's errors mean, and the one command that mends each: a table, in the order in which it is searched.

Does not own how an error is read or raised (`upstream.py`, `dags/platform_calls.py`). `dags/remedies.py` is a link to
this file, deployed beside the DAGs, so it needs nothing but the standard library. `docs/operations.md` shows the table;
a test holds the two together, and others serve the body behind each link through Google's own clients.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

GITHUB = "https://github.com"
BIND_BUCKET = "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} --role={role}"
BIND_PROJECT = "gcloud projects add-iam-policy-binding {project} --member={member}"
BIND_TABLE = "bq add-iam-policy-binding --member={member} --role={role} {table}"
LINK_BILLING = "gcloud billing projects link {project} --billing-account=BILLING_ACCOUNT"
LOGIN = "gcloud auth application-default login"
UP = "pulumi up --refresh"
AGAIN = "{again}"

# The narrowest predefined role that holds a permission.
ROLES = {
    "bigquery.datasets.get": "roles/bigquery.metadataViewer",
    "bigquery.tables.create": "roles/bigquery.dataEditor",
    "bigquery.tables.delete": "roles/bigquery.dataEditor",
    "bigquery.tables.get": "roles/bigquery.metadataViewer",
    "bigquery.tables.getData": "roles/bigquery.dataViewer",
    "bigquery.tables.update": "roles/bigquery.dataEditor",
    "bigquery.tables.updateData": "roles/bigquery.dataEditor",
    "storage.buckets.get": "roles/storage.bucketViewer",
    "storage.objects.create": "roles/storage.objectUser",
    "storage.objects.delete": "roles/storage.objectUser",
    "storage.objects.get": "roles/storage.objectViewer",
    "storage.objects.list": "roles/storage.objectViewer",
    "storage.objects.update": "roles/storage.objectUser",
}


# What an error names beside its message: the call's address, and Google's page of an API.
PLACES = (
    r"/b/(?P<bucket>[^/?\s]+)",
    r"/projects/(?P<project>[^/?\s]+)",
    r"/locations/(?P<location>[^/?\s]+)",
    r"/apis/api/(?P<service>[\w.-]+)/overview",
)


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One kind of error.

    Attributes:
        says: a regular expression that is found in Google's message; its groups are names for the two texts below.
        means: a sentence, without its full stop.
        run: the command that mends it.
        body: where such a body is documented or recorded.
    """

    name: str
    says: str
    means: str
    run: str
    body: str


TABLE = (
    Remedy(name="quota project", says=r"The (?P<service>[\w.-]+) API requires a quota project, which is not set",
           means="Your own credentials name no project to count the calls of '{service}' on",
           run="gcloud auth application-default set-quota-project {known_project}",
           body=f"{GITHUB}/golang/oauth2/issues/702"),
    Remedy(name="API disabled", says=r"has not been used in project (?P<project>\S+) before or it is disabled",
           means="The API '{service}' is not enabled in project '{project}'",
           run="gcloud services enable {service} --project={project}",
           body=f"{GITHUB}/googleapis/google-cloud-python/issues/4140"),
    Remedy(name="BigQuery disabled", says=r"The project (?P<project>\S+) has not enabled BigQuery",
           means="BigQuery is not enabled in project '{project}'",
           run="gcloud services enable bigquery.googleapis.com --project={project}",
           body=f"{GITHUB}/forseti-security/forseti-security/issues/737"),
    Remedy(name="project missing", says=r"Not found: Project (?P<project>[\w:-]+)",
           means="There is no project '{project}'", run="pulumi config set gcp:project PROJECT",
           body=f"{GITHUB}/GoogleCloudPlatform/data-science-on-gcp/issues/7"),
    Remedy(name="project use", says=r"does not have required permission to use project (?P<project>[\w:-]+)",
           means="The account '{account}' may not count its calls on project '{project}'",
           run=f"{BIND_PROJECT} --role=roles/serviceusage.serviceUsageConsumer",
           body=f"{GITHUB}/google-github-actions/auth/issues/250"),
    Remedy(name="jobs denied", says=r"does not have bigquery\.jobs\.create permission in project (?P<project>[\w:-]+)",
           means="The account '{account}' may not run BigQuery jobs in project '{project}'",
           run=f"{BIND_PROJECT} --role=roles/bigquery.jobUser",
           body=f"{GITHUB}/xlang-ai/Spider2/issues/34"),
    Remedy(name="query denied",
           says=r"does not have permission to query table (?P<table>[\w:.*-]*[\w*])",
           means="The account '{account}' may not read table '{table}', or there is none",
           run=BIND_TABLE.replace("{role}", "roles/bigquery.dataViewer"),
           body=f"{GITHUB}/stanford-esrg/LEO_HitchHiking/issues/2"),
    Remedy(name="table denied",
           says=r"Permission (?P<permission>bigquery\.[\w.]+) denied on table (?P<table>[\w:.$-]+)",
           means="The account '{account}' lacks '{permission}' on table '{table}', or there is none", run=BIND_TABLE,
           body=f"{GITHUB}/objectiv/objectiv-analytics/issues/949"),
    Remedy(name="dataset denied",
           says=r"Permission (?P<permission>bigquery\.[\w.]+) denied on dataset (?P<project>[\w-]+):(?P<dataset>\w+)",
           means="The account '{account}' lacks '{permission}' on dataset '{project}:{dataset}', or there is none",
           run="bq query --use_legacy_sql=false 'GRANT `{role}` ON SCHEMA `{project}.{dataset}` TO \"{member}\"'",
           body=f"{GITHUB}/googleapis/repo-automation-bots/issues/5084"),
    Remedy(name="load denied by pattern",
           says=r"globbing file pattern\. (?P<account>\S+) does not have (?P<permission>storage\.[\w.]+)"
           r".*gs://(?P<bucket>[^/\s]+)/",
           means="BigQuery may not list the files in bucket '{bucket}' for the account '{account}'", run=BIND_BUCKET,
           body=f"{GITHUB}/cal-itp/data-infra/issues/4131"),
    Remedy(name="load denied", says=r"Access Denied: File gs://(?P<bucket>[^/\s]+)/\S+: Access Denied",
           means="BigQuery may not read the files in bucket '{bucket}' for the account '{account}'",
           run=BIND_BUCKET.replace("{role}", "roles/storage.objectViewer"),
           body=f"{GITHUB}/GoogleCloudPlatform/data-science-on-gcp/issues/170"),
    Remedy(name="no credentials", says=r"Anonymous caller does not have (?P<permission>storage\.[\w.]+) access",
           means="The call for '{permission}' on bucket '{bucket}' carried no credentials", run=LOGIN,
           body=f"{GITHUB}/salesforce/HIVE/issues/15"),
    Remedy(name="object denied",
           says=r"(?P<account>\S+@\S+) does not have (?P<permission>storage\.objects\.\w+) access",
           means="The account '{account}' lacks '{permission}' on bucket '{bucket}', or there is none",
           run=BIND_BUCKET, body=f"{GITHUB}/zetaalphavector/InPars/issues/13"),
    Remedy(name="bucket denied",
           says=r"(?P<account>\S+@\S+) does not have (?P<permission>storage\.buckets\.\w+) access",
           means="The account '{account}' lacks '{permission}' on bucket '{bucket}', or there is none",
           run=BIND_BUCKET, body=f"{GITHUB}/ansible-collections/google.cloud/issues/575"),
    # Their grants are on the job, so a job that is gone is told as denied: one command mends both.
    Remedy(name="run date denied",
           says=r"Permission 'run\.jobs\.runWithOverrides' denied on\s+resource\s+'projects/(?P<project>[\w-]+)/"
           r"locations/(?P<location>[\w-]+)/jobs/(?P<job>[\w-]+)",
           means="The account '{account}' may not start job '{job}' with a run date of its own, or there is none",
           run=UP,
           body=f"{GITHUB}/lama9811/ORAnavigator/blob/75fc80d298c1a551f00371627c2d48a88e7c83a6/docs/superpowers/specs/"
           "2026-07-29-kb-scraper-unblock-design.md"),
    Remedy(name="job denied",
           says=r"Permission '(?P<permission>run\.(jobs|executions)\.\w+)' denied on resource 'projects/"
           r"(?P<project>[\w-]+)/locations/(?P<location>[\w-]+)/jobs/(?P<job>[\w-]+)",
           means="The account '{account}' lacks '{permission}' on job '{job}', or there is no such job", run=UP,
           body=f"{GITHUB}/ivana-meshed/mmm-app/blob/29dc05543d40e9c3d8f0f3236fef5cd72822d3e6/PERMISSIONS_ERROR.md"),
    Remedy(name="acting denied",
           says=r"Permission 'iam\.service[aA]ccounts\.actAs' denied on service account (?P<other>\S+@[\w.-]*\w)",
           means="The account '{account}' may not start what runs as '{other}', or there is no such account",
           run="gcloud iam service-accounts add-iam-policy-binding {other} --member={member} "
           "--role=roles/iam.serviceAccountUser --project={project}",
           body=f"{GITHUB}/google/keyword_factory/issues/22"),
    Remedy(name="job missing",
           says=r"Resource '(?P<job>[^']+)' of kind 'JOB' in region '(?P<location>[\w-]+)' in project "
           r"'(?P<project>[\w:-]+)' does not exist",
           means="There is no job '{job}' in '{location}'", run=UP,
           body=f"{GITHUB}/stephengpope/no-code-architects-toolkit/issues/213"),
    Remedy(name="image missing", says=r"Image '(?P<image>[^']+)' not found",
           means="The image '{image}' is no longer in its repository", run=UP,
           body=f"{GITHUB}/GoogleCloudPlatform/avocano/issues/414"),
    Remedy(name="machines",
           says=r"Quota violated:\s+(?P<quota>\w+) requested: (?P<requested>\d+) allowed: (?P<allowed>\d+)",
           means="The quota '{quota}' of Cloud Run allows {allowed}, and the job asks for {requested}",
           run="gcloud beta quotas preferences create --service=run.googleapis.com --quota-id={quota} "
           "--preferred-value={requested} --dimensions=region={location} --project={project}",
           body=f"{GITHUB}/googlecodelabs/feedback/issues/1856"),
    Remedy(name="calls a minute",
           says=r"Quota exceeded for quota metric '(?P<metric>[^']+)' and limit '(?P<limit>[^']+)' of service "
           r"'(?P<service>[\w.-]+)'",
           means="'{service}' was called too often: limit '{limit}'", run=AGAIN,
           body=f"{GITHUB}/googleapis/repo-automation-bots/issues/4469"),
    Remedy(name="bucket missing", says=r"The specified bucket does not exist",
           means="There is no bucket '{bucket}'", run=UP,
           body=f"{GITHUB}/googleapis/google-api-php-client/issues/18"),
    Remedy(name="dataset missing",
           says=r"Not found: Dataset (?P<dataset>\S+) was not found in location (?P<location>[\w-]+)",
           means="There is no dataset '{dataset}' in location '{location}'; of a source, correct the SQL or ask "
           "its owner",
           run=UP, body=f"{GITHUB}/mozilla/bigquery-etl/issues/1400"),
    Remedy(name="table missing",
           says=r"Not found: Table (?P<table>\S+) was not found in location (?P<location>[\w-]+)",
           means="There is no table '{table}' in location '{location}'; of a source, correct the SQL or ask its owner",
           run=UP, body=f"{GITHUB}/MIT-LCP/mimic-code/issues/1645"),
    Remedy(name="locations differ",
           says=r"Cannot read and write in different locations: source: (?P<source>[\w-]+), destination: "
           r"(?P<destination>[\w-]+)",
           means="The files lie in '{source}' and the dataset in '{destination}'",
           run="gcloud storage buckets relocate gs://{bucket} --location={destination}",
           body=f"{GITHUB}/GoogleCloudDataproc/spark-bigquery-connector/issues/110"),
    Remedy(name="schema differs", says=r"Provided Schema does not match Table (?P<table>[\w:.$-]+)\.",
           means="Table '{table}' has other columns than schema.json", run=UP,
           body=f"{GITHUB}/kubernetes/test-infra/issues/19625"),
    Remedy(name="billing account closed",
           says=r"billing account for the owning project is disabled|project to be billed (is associated|has not conf)",
           means="The project of bucket '{bucket}' has no open billing account", run=LINK_BILLING,
           body=f"{GITHUB}/googleapis/python-storage/issues/1456"),
    Remedy(name="billing not enabled", says=r"Billing has not been enabled for this project",
           means="Project '{project}' has no billing account, which BigQuery needs for this", run=LINK_BILLING,
           body=f"{GITHUB}/vyasadi/Free_Code_Camp_Material/issues/1"),
    Remedy(name="billing disabled", says=r"Project (?P<project>\S+) \(#\d+\) has billing disabled",
           means="Billing is disabled in project '{project}'", run=LINK_BILLING,
           body=f"{GITHUB}/GoogleCloudPlatform/java-docs-samples/issues/276"),
    Remedy(name="free quota", says=r"exceeded quota for free query bytes scanned",
           means="The free queries of project '{project}' are used up for this month", run=LINK_BILLING,
           body=f"{GITHUB}/ofek/pypinfo/issues/30"),
    Remedy(name="own quota", says=r"Your usage exceeded the custom quota for (?P<quota>\w+)",
           means="A quota that your organisation set, '{quota}', is used up for today in project '{project}'",
           run="gcloud beta quotas preferences create --service=bigquery.googleapis.com --quota-id={quota} "
           "--preferred-value=VALUE --project={project}",
           body=f"{GITHUB}/HTTPArchive/har.fyi/issues/10"),
    Remedy(name="loads a day", says=r"table exceeded quota for imports or query appends per table",
           means="A table takes no more loads today, a limit that nobody can raise; from midnight Pacific time it does",
           run=AGAIN, body=f"{GITHUB}/cloudflare/cloudflare-gcp/issues/72"),
    Remedy(name="loads a second", says=r"Exceeded rate limits: (?P<what>[\w ]+)",
           means="BigQuery was called too often within seconds: {what}",
           run=AGAIN, body=f"{GITHUB}/googleapis/python-bigquery-pandas/issues/375"),
    Remedy(name="object rate", says=r"The object (?P<bucket>[^/\s]+)/(?P<object>\S+) exceeded the rate limit",
           means="Object 'gs://{bucket}/{object}' was changed more than once a second",
           run=AGAIN, body=f"{GITHUB}/trinodb/trino/issues/19943"),
    Remedy(name="perimeter",
           says=r"prohibited by organization's policy\. vpcServiceControlsUniqueIdentifier: (?P<id>[\w-]+)",
           means="A perimeter of VPC Service Controls stopped the call; its log entry names it, and what to ask for",
           run="gcloud logging read 'protoPayload.metadata.vpcServiceControlsUniqueId=\"{id}\"' --project={project}",
           body=f"{GITHUB}/cloudquery/cloudquery/issues/1062"),
    Remedy(name="key denied", says=r"Permission denied on Cloud KMS key",
           means="Cloud Storage may not use the key that encrypts bucket '{bucket}'",
           run="gcloud storage service-agent --project={project} --authorize-cmek="
           "$(gcloud storage buckets describe gs://{bucket} --format='value(default_kms_key)')",
           body=f"{GITHUB}/googleapis/nodejs-storage/issues/1254"),
    Remedy(name="retention",
           says=r"Object '(?P<bucket>[^/']+)/(?P<object>[^']+)' is subject to bucket's retention policy",
           means="Bucket '{bucket}' keeps '{object}' as it is, by a retention policy that the stack does not declare",
           run="gcloud storage buckets update gs://{bucket} --clear-retention-period",
           body=f"{GITHUB}/treeverse/lakeFS/issues/1339"),
    Remedy(name="requester pays", says=r"Bucket is requester pays bucket but no user project provided",
           means="Bucket '{bucket}' lets its readers pay, and no payer was named",
           run="gcloud storage buckets update gs://{bucket} --no-requester-pays",
           body=f"{GITHUB}/Superbalist/laravel-google-cloud-storage/issues/44"),
    Remedy(name="scopes", says=r"Request had insufficient authentication scopes",
           means="The credentials were made for other services than this",
           run=f"{LOGIN} --scopes=https://www.googleapis.com/auth/cloud-platform",
           body=f"{GITHUB}/analogdotnow/Analog/issues/296"),
    Remedy(name="credentials refused", says=r"Invalid Credentials|invalid authentication credential|Login Required",
           means="The credentials are not valid, or no longer", run=LOGIN,
           body=f"{GITHUB}/Superbalist/laravel-google-cloud-storage/issues/119"),
    Remedy(name="account gone",
           says=r"service-accounts/\S* from the Google Compute Engine metadata service\. Status: 404",
           means="This machine has no service account, or one that was deleted", run=UP,
           body=f"{GITHUB}/hydroclimali/XEE_tutorial/issues/1"),
    Remedy(name="BigQuery in trouble", says=r"Retrying (the job )?may solve the problem",
           means="BigQuery is in trouble", run=AGAIN, body=f"{GITHUB}/mozilla/redash-stmo/issues/63"),
    Remedy(name="Storage in trouble", says=r"We encountered an internal error\. Please try again",
           means="Cloud Storage is in trouble", run=AGAIN, body=f"{GITHUB}/NebraLtd/hm-diag/issues/214"),
    Remedy(name="answers cut", says=r"Connection broken: IncompleteRead\((?P<read>\d+) bytes read",
           means="Answers break off, after {read} bytes the last time; something on the way ends them early", run=AGAIN,
           body=f"{GITHUB}/google/Xee/issues/125"),
    Remedy(name="deadline", says=r"(Timeout|Deadline) of (?P<seconds>[\d.]+)s exceeded",
           means="The service did not answer well for {seconds} seconds, however often it was asked", run=AGAIN,
           body=f"{GITHUB}/googleapis/python-bigquery/issues/945"),
)  # fmt: skip


@dataclass(frozen=True)
class Mending:
    """What is known about an error: what it means, and the command that mends it; none when only time does."""

    means: str
    command: str | None


class _Names(dict[str, str]):
    """Names for a remedy's texts; one that nobody knows stands in capitals, for a person to fill in."""

    def __missing__(self, name: str) -> str:
        return name.upper()


def mending(said: str, names: Mapping[str, str]) -> Mending | None:
    """What an error of Google's means and what mends it, or None when it is not in the table.

    Args:
        names: what the caller knows: project, location, account, ...
    """
    for row in TABLE:
        if found := re.search(row.says, said, re.DOTALL):
            filled = _filled(said, names, found)
            return Mending(row.means.format_map(filled), None if row.run == AGAIN else row.run.format_map(filled))
    return None


def _filled(said: str, names: Mapping[str, str], found: re.Match[str]) -> _Names:
    """All names there are: those of the message win over those of the address, and these over the caller's."""
    filled = _Names(names, known_project=names.get("project", "PROJECT"))
    for place in PLACES:
        if place_found := re.search(place, said):
            filled.update(place_found.groupdict())
    filled.update({name: text for name, text in found.groupdict().items() if text})
    account = filled["account"]
    is_person = "@" in account and not re.search(r"\.iam\.|gserviceaccount", account)
    filled["member"] = f"{'user' if is_person else 'serviceAccount'}:{account}"
    filled["role"] = ROLES.get(filled["permission"], "ROLE")
    return filled
