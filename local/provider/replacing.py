"""Which properties replace a resource when they change: one table, with a source per line.

The source is the file of the Terraform provider that pulumi-gcp 10 is built from, in which the property has `ForceNew`;
a path below https://github.com/hashicorp/terraform-provider-google/blob/main/google/, or a whole address. Does not own
the schema of a BigQuery table, which replaces only where columns cannot change in place (table_schema.py).
"""

from functools import cache

ARTIFACTS = "services/artifactregistry/resource_artifact_registry_repository.go"
BUCKETS = "services/storage/resource_storage_bucket.go"
COMPOSER = "services/composer/resource_composer_environment.go"
DATASETS = "services/bigquery/resource_bigquery_dataset.go"
JOBS = "services/cloudrunv2/resource_cloud_run_v2_job.go"
MEMBERS = "tpgiamresource/resource_iam_member.go"  # of every grant: role, member and condition
METRICS = "services/logging/resource_logging_metric.go"
OBJECTS = "services/storage/resource_storage_bucket_object.go"
TABLES = "services/bigquery/resource_bigquery_table.go"
# A changed `source` makes a new object; `content` is uploaded again in place (GoogleCloudPlatform/magic-modules#10038).
SOURCES = "https://github.com/pulumi/pulumi-gcp/issues/3146"

# Type, path of the input without list indexes, source.
TABLE = (
    ("gcp:artifactregistry/repository:Repository", "project", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "location", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "repositoryId", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "format", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "kmsKeyName", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "mode", ARTIFACTS),
    ("gcp:artifactregistry/repository:Repository", "remoteRepositoryConfig", ARTIFACTS),
    ("gcp:bigquery/dataset:Dataset", "project", DATASETS),
    ("gcp:bigquery/dataset:Dataset", "datasetId", DATASETS),
    ("gcp:bigquery/dataset:Dataset", "location", DATASETS),
    ("gcp:bigquery/table:Table", "project", TABLES),
    ("gcp:bigquery/table:Table", "datasetId", TABLES),
    ("gcp:bigquery/table:Table", "tableId", TABLES),
    ("gcp:bigquery/table:Table", "timePartitioning.field", TABLES),
    ("gcp:bigquery/table:Table", "rangePartitioning.field", TABLES),
    ("gcp:bigquery/table:Table", "encryptionConfiguration", TABLES),
    ("gcp:bigquery/table:Table", "materializedView.query", TABLES),
    ("gcp:bigquery/table:Table", "tableReplicationInfo", TABLES),
    ("gcp:bigquery/table:Table", "biglakeConfiguration", TABLES),
    ("gcp:cloudrunv2/job:Job", "project", JOBS),
    ("gcp:cloudrunv2/job:Job", "location", JOBS),
    ("gcp:cloudrunv2/job:Job", "name", JOBS),
    ("gcp:cloudrunv2/job:Job", "functionalType", JOBS),
    ("gcp:composer/environment:Environment", "project", COMPOSER),
    ("gcp:composer/environment:Environment", "region", COMPOSER),
    ("gcp:composer/environment:Environment", "name", COMPOSER),
    ("gcp:composer/environment:Environment", "storageConfig.bucket", COMPOSER),
    ("gcp:composer/environment:Environment", "config.nodeConfig.serviceAccount", COMPOSER),
    ("gcp:composer/environment:Environment", "config.nodeConfig.tags", COMPOSER),
    ("gcp:composer/environment:Environment", "config.encryptionConfig", COMPOSER),
    ("gcp:composer/environment:Environment", "config.privateEnvironmentConfig", COMPOSER),
    ("gcp:logging/metric:Metric", "project", METRICS),
    ("gcp:logging/metric:Metric", "name", METRICS),
    ("gcp:monitoring/alertPolicy:AlertPolicy", "project", "services/monitoring/resource_monitoring_alert_policy.go"),
    (
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "project",
        "services/monitoring/resource_monitoring_notification_channel.go",
    ),
    ("gcp:projects/service:Service", "project", "services/resourcemanager/resource_google_project_service.go"),
    ("gcp:projects/service:Service", "service", "services/resourcemanager/resource_google_project_service.go"),
    ("gcp:serviceaccount/account:Account", "project", "services/resourcemanager/resource_google_service_account.go"),
    ("gcp:serviceaccount/account:Account", "accountId", "services/resourcemanager/resource_google_service_account.go"),
    ("gcp:storage/bucket:Bucket", "project", BUCKETS),
    ("gcp:storage/bucket:Bucket", "name", BUCKETS),
    ("gcp:storage/bucket:Bucket", "location", BUCKETS),
    ("gcp:storage/bucket:Bucket", "enableObjectRetention", BUCKETS),
    ("gcp:storage/bucket:Bucket", "hierarchicalNamespace", BUCKETS),
    ("gcp:storage/bucket:Bucket", "customPlacementConfig", BUCKETS),
    ("gcp:storage/bucketObject:BucketObject", "bucket", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "name", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "source", SOURCES),
    ("gcp:storage/bucketObject:BucketObject", "cacheControl", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "contentDisposition", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "contentEncoding", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "contentLanguage", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "contentType", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "kmsKeyName", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "metadata", OBJECTS),
    ("gcp:storage/bucketObject:BucketObject", "storageClass", OBJECTS),
    # Grants: what names their resource, from the schema of that kind of grant.
    (
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "project",
        "services/artifactregistry/iam_artifact_registry_repository.go",
    ),
    (
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "location",
        "services/artifactregistry/iam_artifact_registry_repository.go",
    ),
    (
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
        "repository",
        "services/artifactregistry/iam_artifact_registry_repository.go",
    ),
    ("gcp:bigquery/datasetIamMember:DatasetIamMember", "project", "services/bigquery/iam_bigquery_dataset.go"),
    ("gcp:bigquery/datasetIamMember:DatasetIamMember", "datasetId", "services/bigquery/iam_bigquery_dataset.go"),
    ("gcp:bigquery/iamMember:IamMember", "project", "services/bigquery/iam_bigquery_table.go"),
    ("gcp:bigquery/iamMember:IamMember", "datasetId", "services/bigquery/iam_bigquery_table.go"),
    ("gcp:bigquery/iamMember:IamMember", "tableId", "services/bigquery/iam_bigquery_table.go"),
    ("gcp:cloudrunv2/jobIamMember:JobIamMember", "project", "services/cloudrunv2/iam_cloud_run_v2_job.go"),
    ("gcp:cloudrunv2/jobIamMember:JobIamMember", "location", "services/cloudrunv2/iam_cloud_run_v2_job.go"),
    ("gcp:cloudrunv2/jobIamMember:JobIamMember", "name", "services/cloudrunv2/iam_cloud_run_v2_job.go"),
    ("gcp:projects/iAMMember:IAMMember", "project", "services/resourcemanager/iam_project.go"),
    (
        "gcp:secretmanager/secretIamMember:SecretIamMember",
        "project",
        "services/secretmanager/iam_secret_manager_secret.go",
    ),
    (
        "gcp:secretmanager/secretIamMember:SecretIamMember",
        "secretId",
        "services/secretmanager/iam_secret_manager_secret.go",
    ),
    ("gcp:serviceaccount/iAMMember:IAMMember", "serviceAccountId", "services/resourcemanager/iam_service_account.go"),
    ("gcp:storage/bucketIAMMember:BucketIAMMember", "bucket", "services/storage/iam_storage_bucket.go"),
)
OF_EVERY_GRANT = (("role", MEMBERS), ("member", MEMBERS), ("condition", MEMBERS))


@cache
def paths(token: str) -> tuple[str, ...]:
    """The inputs of a type whose change needs a new resource."""
    own = tuple(path for type, path, _ in TABLE if type == token)
    return own + tuple(path for path, _ in OF_EVERY_GRANT if token.endswith(("IamMember", "IAMMember")))
