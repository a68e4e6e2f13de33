"""Bodies of Google's errors, one for each row of service/remedies.py, as the page behind the row's link records them.

Only names of projects, people, tables and objects are made up; some pages print the message alone, and the body around it is
that of the service. Does not own how they are served (test_remedies.py).
"""

import json
from dataclasses import dataclass
from typing import Any

PROJECT, NUMBER, ACCOUNT = "tin-mine-7", "465736758727", "digger@tin-mine-7.iam.gserviceaccount.com"
JOB = f"projects/{PROJECT}/locations/us-central1/jobs/drill"
VPC = "eYhDkfYCu-dOCjuj8X4Am9-spkxs0"
ENABLE = (
    "Enable it by visiting https://console.developers.google.com/apis/api/bigquery.googleapis.com/overview?project="
)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One body.

    Attributes:
        row: the name of its row.
        at: which call of the service meets it: `read` or `write` of an object, `download`, `job`, `token`; the clients
            ask again after those `repeated`. `run` is a call of a task in Airflow.
        run: the command that has to be named. The service's own names: {project}, {runs}, {models}.
        code: exit code of the service.
    """

    row: str
    at: str
    status: int
    reason: str
    message: str
    run: str
    code: int = 4
    details: tuple[dict[str, Any], ...] = ()
    text: str | None = None

    def __str__(self) -> str:
        return self.row

    @property
    def body(self) -> str:
        """What is answered."""
        if self.text is not None:
            return self.text
        error = {"code": self.status, "message": self.message}
        error |= {"errors": [{"message": self.message, "domain": "global", "reason": self.reason}]}
        return json.dumps({"error": error | ({"details": list(self.details)} if self.details else {})}, indent=2)


def info(reason: str, **metadata: str) -> tuple[dict[str, Any], ...]:
    """Details as google/rpc/error_details.proto has them."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return ({"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": metadata},)


def denied(row: str, message: str, run: str, at: str = "job") -> Recorded:
    """A missing role."""
    if at == "job":
        return Recorded(row=row, at=at, status=403, reason="accessDenied", message=message, run=run, code=2)
    return Recorded(row=row, at=at, status=403, reason="forbidden", message=message, run=run)


BIND_BUCKET = (
    "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=serviceAccount:%s --role=roles/storage.%s"
)
LINK = "gcloud billing projects link %s --billing-account=BILLING_ACCOUNT"
APPLY = "python -m service train --run-date 2024-05-01"
SEE = "For more information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas"
RECORDED = [
    Recorded(row="quota project", at="job", status=403, reason="forbidden",
             message="Your application is authenticating by using local Application Default Credentials. The "
             "bigquery.googleapis.com API requires a quota project, which is not set by default. To learn how to set your "
             "quota project, see https://cloud.google.com/docs/authentication/adc-troubleshooting/user-creds .",
             details=info("SERVICE_DISABLED", consumer="projects/764086051850", service="bigquery.googleapis.com"),
             run="gcloud auth application-default set-quota-project {project}"),
    Recorded(row="API disabled", at="job", status=403, reason="accessNotConfigured",
             message=f"Access Not Configured. BigQuery API has not been used in project {NUMBER} before or it is disabled. "
             f"{ENABLE}{NUMBER} then retry. If you enabled this API recently, wait a few minutes for the action to "
             "propagate to our systems and retry.",
             run=f"gcloud services enable bigquery.googleapis.com --project={NUMBER}"),
    Recorded(row="BigQuery disabled", at="job", status=400, reason="badRequest",
             message=f"The project {PROJECT} has not enabled BigQuery.",
             run=f"gcloud services enable bigquery.googleapis.com --project={PROJECT}"),
    Recorded(row="project missing", at="job", status=404, reason="notFound", message="Not found: Project no-project-id",
             run="pulumi config set gcp:project PROJECT", code=2),
    Recorded(row="project use", at="read", status=403, reason="forbidden",
             message=f"Caller does not have required permission to use project {PROJECT}. Grant the caller the "
             "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission, "
             f"by visiting https://console.developers.google.com/iam-admin/iam/project?project={PROJECT} and then retry. "
             "Propagation of the new permission may take a few minutes.",
             details=info("USER_PROJECT_DENIED", consumer=f"projects/{PROJECT}", service="storage.googleapis.com"),
             run=f"gcloud projects add-iam-policy-binding {PROJECT} --member=serviceAccount:ACCOUNT "
             "--role=roles/serviceusage.serviceUsageConsumer"),
    denied("jobs denied",
           f"Access Denied: Project {PROJECT}: User does not have bigquery.jobs.create permission in project {PROJECT}.",
           f"gcloud projects add-iam-policy-binding {PROJECT} --member={{member}} --role=roles/bigquery.jobUser"),
    denied("query denied",
           f"Access Denied: Table {PROJECT}:ores.veins: User does not have permission to query table {PROJECT}:ores.veins, "
           "or perhaps it does not exist in location US.",
           f"bq add-iam-policy-binding --member={{member}} --role=roles/bigquery.dataViewer {PROJECT}:ores.veins"),
    denied("table denied",
           f"Access Denied: Table {PROJECT}:ores.veins: Permission bigquery.tables.delete denied on table "
           f"{PROJECT}:ores.veins (or it may not exist).",
           f"bq add-iam-policy-binding --member={{member}} --role=roles/bigquery.dataEditor {PROJECT}:ores.veins"),
    denied("dataset denied",
           f"Access Denied: Dataset {PROJECT}:ores: Permission bigquery.datasets.get denied on dataset {PROJECT}:ores "
           "(or it may not exist).",
           f"bq query --use_legacy_sql=false 'GRANT `roles/bigquery.metadataViewer` ON SCHEMA `{PROJECT}.ores` TO "
           "\"{member}\"'"),
    denied("load denied by pattern",
           f"Access Denied: BigQuery BigQuery: Permission denied while globbing file pattern. {ACCOUNT} does not have "
           "storage.objects.list access to the Google Cloud Storage bucket. Permission 'storage.objects.list' denied on "
           "resource (or it may not exist). Please make sure gs://tin-runs/output/*.parquet is accessible via appropriate "
           "IAM roles, e.g. Storage Object Viewer or Storage Object Creator.",
           BIND_BUCKET.replace("{bucket}", "tin-runs") % (ACCOUNT, "objectViewer")),
    denied("load denied", "Access Denied: File gs://tin-runs/output/201603.csv.gz: Access Denied",
           "gcloud storage buckets add-iam-policy-binding gs://tin-runs --member={member} "
           "--role=roles/storage.objectViewer"),
    denied("no credentials",
           "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object. Permission "
           "'storage.objects.get' denied on resource (or it may not exist).",
           "gcloud auth application-default login", at="read"),
    denied("object denied",
           f"{ACCOUNT} does not have storage.objects.list access to the Google Cloud Storage bucket. Permission "
           "'storage.objects.list' denied on resource (or it may not exist).",
           BIND_BUCKET.replace("{bucket}", "{models}") % (ACCOUNT, "objectViewer"), at="read"),
    denied("bucket denied",
           f"{ACCOUNT} does not have storage.buckets.get access to the Google Cloud Storage bucket. Permission "
           "'storage.buckets.get' denied on resource (or it may not exist).",
           BIND_BUCKET.replace("{bucket}", "{models}") % (ACCOUNT, "bucketViewer"), at="write"),
    denied("run date denied", f"Permission 'run.jobs.runWithOverrides' denied on resource '{JOB}' (or resource may not exist).",
           "pulumi up --refresh", at="run"),
    denied("job denied", f"Permission 'run.jobs.run' denied on resource '{JOB}' (or resource may not exist).",
           "pulumi up --refresh", at="run"),
    denied("acting denied", f"Permission 'iam.serviceaccounts.actAs' denied on service account {ACCOUNT} (or it may not exist).",
           f"gcloud iam service-accounts add-iam-policy-binding {ACCOUNT} --member={{member}} "
           "--role=roles/iam.serviceAccountUser --project={project}", at="run"),
    Recorded(row="job missing", at="run", status=404, reason="notFound",
             message=f"Resource 'drill' of kind 'JOB' in region 'us-central1' in project '{PROJECT}' does not exist.",
             run="pulumi up --refresh"),
    Recorded(row="image missing", at="run", status=400, reason="badRequest",
             message=f"Image 'gcr.io/{PROJECT}/drill' not found.", run="pulumi up --refresh"),
    Recorded(row="machines", at="run", status=400, reason="badRequest",
             message="Max instances must be set to 0 or fewer to set the requested total CPU.\nConsider running your workload "
             "in a region with greater capacity, or requesting an increase in quota for this region if you are seeing "
             "sustained usage near this limit, see https://cloud.google.com/run/quotas.\n\nQuota violated:\n"
             "CpuAllocPerProjectRegion requested: 60000 allowed: 20000",
             run="gcloud beta quotas preferences create --service=run.googleapis.com --quota-id=CpuAllocPerProjectRegion "
             "--preferred-value=60000 --dimensions=region={location} --project={project}"),
    Recorded(row="calls a minute", at="run, repeated", status=429, reason="rateLimitExceeded",
             message="Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per region' of service "
             f"'run.googleapis.com' for consumer 'project_number:{NUMBER}'.",
             run="clear this task later"),
    Recorded(row="bucket missing", at="read", status=404, reason="notFound",
             message="The specified bucket does not exist.", run="pulumi up --refresh"),
    Recorded(row="dataset missing", at="job", status=404, reason="notFound",
             message=f"Not found: Dataset {PROJECT}:ores was not found in location US", run="pulumi up --refresh", code=2),
    Recorded(row="table missing", at="job", status=404, reason="notFound",
             message=f"Not found: Table {PROJECT}:ores.veins was not found in location US", run="pulumi up --refresh",
             code=2),
    Recorded(row="locations differ", at="job", status=400, reason="invalid",
             message="Cannot read and write in different locations: source: US, destination: EU",
             run="gcloud storage buckets relocate gs://{runs} --location=EU", code=2),
    Recorded(row="schema differs", at="job", status=400, reason="invalid",
             message=f"Provided Schema does not match Table {PROJECT}:ores.veins. Field number has changed type from STRING "
             "to INTEGER", run="pulumi up --refresh", code=2),
    Recorded(row="billing account closed", at="write", status=403, reason="accountDisabled",
             message="The billing account for the owning project is disabled in state absent", run=LINK % "{project}"),
    Recorded(row="billing not enabled", at="job", status=403, reason="billingNotEnabled",
             message="Billing has not been enabled for this project. Enable billing at "
             "https://console.cloud.google.com/billing. DML queries are not allowed in the free tier. Set up a billing "
             "account to remove this restriction.", run=LINK % "{project}"),
    Recorded(row="billing disabled", at="read", status=403, reason="forbidden",
             message="Project charming-module-137923 (#808448574146) has billing disabled. Please enable it.",
             run=LINK % "charming-module-137923"),
    Recorded(row="free quota", at="job", status=403, reason="quotaExceeded",
             message="Quota exceeded: Your project exceeded quota for free query bytes scanned. For more information, see "
             "https://cloud.google.com/bigquery/troubleshooting-errors", run=LINK % "{project}"),
    Recorded(row="own quota", at="job", status=403, reason="quotaExceeded",
             message="Custom quota exceeded: Your usage exceeded the custom quota for QueryUsagePerDay, which is set by your "
             "administrator. For more information, see https://cloud.google.com/bigquery/cost-controls",
             run="gcloud beta quotas preferences create --service=bigquery.googleapis.com --quota-id=QueryUsagePerDay "
             "--preferred-value=VALUE --project={project}"),
    Recorded(row="loads a day", at="job", status=403, reason="quotaExceeded",
             message=f"Quota exceeded: Your table exceeded quota for imports or query appends per table. {SEE}", run=APPLY),
    Recorded(row="loads a second", at="job, repeated", status=403, reason="rateLimitExceeded",
             message=f"Exceeded rate limits: too many table update operations for this table. {SEE}", run=APPLY),
    Recorded(row="object rate", at="write, repeated", status=429, reason="rateLimitExceeded",
             message="The object tin-runs/plans/2024-05-01.json exceeded the rate limit for object mutation operations "
             "(create, update, and delete). Please reduce your request rate. See https://cloud.google.com/storage/docs/gcs429.",
             run=APPLY),
    Recorded(row="perimeter", at="read", status=403, reason="forbidden",
             message=f"Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: {VPC}",
             details=info("SECURITY_POLICY_VIOLATED", uid=VPC, service="storage.googleapis.com", consumer=f"projects/{PROJECT}"),
             run=f"gcloud logging read 'protoPayload.metadata.vpcServiceControlsUniqueId=\"{VPC}\"' --project={{project}}"),
    Recorded(row="key denied", at="write", status=403, reason="forbidden",
             message="Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been "
             "authorized to use this key.",
             run="gcloud storage service-agent --project={project} --authorize-cmek=$(gcloud storage buckets describe "
             "gs://{models} --format='value(default_kms_key)')"),
    Recorded(row="retention", at="write", status=403, reason="forbidden",
             message="Object 'tin-runs/receipts/a.json' is subject to bucket's retention policy and cannot be deleted, "
             "overwritten or archived until 2021-02-05T11:36:47.70576-08:00",
             run="gcloud storage buckets update gs://tin-runs --clear-retention-period"),
    Recorded(row="requester pays", at="read", status=400, reason="required",
             message="Bucket is requester pays bucket but no user project provided.",
             run="gcloud storage buckets update gs://{models} --no-requester-pays"),
    Recorded(row="scopes", at="read", status=403, reason="insufficientPermissions",
             message="Request had insufficient authentication scopes.",
             details=info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", service="storage.googleapis.com"),
             run="gcloud auth application-default login --scopes=https://www.googleapis.com/auth/cloud-platform"),
    Recorded(row="credentials refused", at="read", status=401, reason="authError", message="Invalid Credentials",
             run="gcloud auth application-default login"),
    Recorded(row="account gone", at="token", status=404, reason="", message="", text=" ", run="pulumi up --refresh"),
    Recorded(row="answers cut", at="download, repeated", status=0, reason="", run=APPLY,
             message="Connection broken: IncompleteRead("),
    Recorded(row="deadline", at="job, repeated", status=503, reason="backendError",
             message="Visibility check was unavailable. Please retry the request and contact support if the problem persists",
             run=APPLY),
    Recorded(row="BigQuery in trouble", at="job, repeated", status=503, reason="backendError",
             message="Error encountered during execution. Retrying may solve the problem.", run=APPLY),
    Recorded(row="Storage in trouble", at="write, repeated", status=503, reason="backendError",
             message="We encountered an internal error. Please try again.", run=APPLY),
]  # fmt: skip
