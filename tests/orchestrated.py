"""A local cloud with everything that prediction DAGs need, declared by hand: accounts, environment, buckets, jobs.

Its jobs run a service of forty lines that writes the receipts a test asks for. The real service is tested in
tests/service, and with the DAGs in tests/test_end_to_end.py.
"""

import json
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, run_v2, storage

from local import images
from local.declared import Declared, Resource
from local.metadata import ACCOUNT, COMPOSER
from tests.conftest import RunningCloud
from tests.waiting import until

PROJECT, LOCATION = "tide-tables", "asia-south1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
DAGS_BUCKET, RUNS_BUCKET = "tide-tables-dags", "tide-tables-runs"
MODEL = "high_tide"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
TABLE_GRANT = "gcp:bigquery/iamMember:IamMember"
JOB_GRANT = "gcp:cloudrunv2/jobIamMember:JobIamMember"
SERVICE = '''
"""Does as its first argument says, and writes a receipt as the environment says."""
import datetime, json, os, sys, time, urllib.request

def call(url, data=None, **headers):
    request = urllib.request.Request(url, data=data, headers=headers)
    return json.load(urllib.request.urlopen(request))

verb, date = sys.argv[1], sys.argv[sys.argv.index("--run-date") + 1]
print(f"{verb} for {date}", flush=True)
if verb == "sleep":
    time.sleep(600)
run_id, execution, action = os.environ["RUN_ID"], os.environ["CLOUD_RUN_EXECUTION"], os.environ["ACTION"]
receipt = {"status": "failed" if verb == "fail" else "succeeded", "run_id": run_id, "execution": execution,
           "run_date": date, "model_version": "v-1", "airflow_run_id": os.environ["AIRFLOW_RUN_ID"],
           "partition": date.replace("-", ""), "ended_at": datetime.datetime.now(datetime.UTC).isoformat()}
receipt.update(json.loads(os.environ["RECEIPT"]))
metadata = f"http://{os.environ['GCE_METADATA_HOST']}/computeMetadata/v1/instance/service-accounts/default/token"
token = call(metadata, **{"Metadata-Flavor": "Google"})["access_token"]
if verb != "vanish":
    url = f"{os.environ['STORAGE_ENDPOINT']}/upload/storage/v1/b/{os.environ['RUNS_BUCKET']}/o"
    name = f"receipts/{action}/{run_id}/{execution}.json"
    body = json.dumps(receipt).encode()
    call(f"{url}?uploadType=media&name={name}", body, Authorization=f"Bearer {token}")
sys.exit(3 if verb in ("fail", "vanish") else 0)
'''


class Lab:
    """One local cloud, and Google's clients of its owner.

    Args:
        cloud: a running one of project `PROJECT`.
        clone: an empty folder, from which the image is built.
    """

    def __init__(self, cloud: RunningCloud, clone: Path) -> None:
        self.cloud = cloud
        options: Any = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": cloud.url}}
        self.storage = storage.Client(project=PROJECT, **options)
        self.bigquery = bigquery.Client(project=PROJECT, **options)
        self.jobs = run_v2.JobsClient(transport="rest", **options)
        self.executions = run_v2.ExecutionsClient(transport="rest", **options)
        self.digest = build_image(cloud.folder, clone)
        for name in (DAGS_BUCKET, RUNS_BUCKET):
            self.storage.create_bucket(name, location=LOCATION)
        for name in ("tide-jobs", "tide-airflow"):
            self.declare(ACCOUNT, email(name), {"email": email(name)})
        self.declare_environment(version("apache-airflow"))
        # As infra/ grants them.
        self.grant(PROJECT_GRANT, "roles/composer.worker", "tide-airflow", project=PROJECT)
        self.grant(BUCKET_GRANT, "roles/storage.objectUser", "tide-jobs", bucket=RUNS_BUCKET)

    def declare(self, token: str, id: str, properties: dict[str, Any]) -> None:
        """As `pulumi up` would."""
        declared = Declared(self.cloud.folder / "declared")
        declared.put(Resource(token, id, properties))
        declared.close()

    def grant(self, token: str, role: str, account: str, **where: str) -> None:
        """A role for an account on the resource that `where` names, as `pulumi up` would grant it."""
        member = f"serviceAccount:{email(account)}"
        self.declare(token, f"{'/'.join(where.values())}/{role}/{member}", {**where, "role": role, "member": member})

    def declare_environment(self, airflow: str) -> None:
        """A Composer environment with some version of Airflow."""
        software = {"imageVersion": f"composer-3-airflow-{airflow}-build.2"}
        config = {"softwareConfig": software, "nodeConfig": {"serviceAccount": email("tide-airflow")}}
        properties = {"name": "tides", "config": config, "storageConfig": {"bucket": DAGS_BUCKET}}
        self.declare(COMPOSER, f"{PARENT}/environments/tides", properties)

    def job(self, action: str = "training", *, timeout_seconds: int = 600, **receipt: Any) -> str:
        """A new job of the image; `receipt` replaces fields of what its runs will write. Returns its full name."""
        env = {"ACTION": action, "RUNS_BUCKET": RUNS_BUCKET, "RECEIPT": json.dumps(receipt)}
        container = {
            "image": f"registry.example/{PROJECT}/{MODEL}@{self.digest}",
            "env": [{"name": name, "value": value} for name, value in env.items()],
        }
        task = {
            "service_account": email("tide-jobs"),
            "max_retries": 0,
            "timeout": {"seconds": timeout_seconds},
            "containers": [container],
        }
        job = run_v2.Job(template={"template": task})
        made = self.jobs.create_job(parent=PARENT, job=job, job_id=f"tide-{uuid.uuid4().hex[:8]}").result()
        assert isinstance(made, run_v2.Job)
        for role in ("roles/run.jobsExecutorWithOverrides", "roles/run.viewer"):
            where = {"project": PROJECT, "location": LOCATION, "name": made.name.rpartition("/")[2]}
            self.grant(JOB_GRANT, role, "tide-airflow", **where)
        return made.name

    def dag(self, dag_id: str, verb: str, job: str, **changes: Any) -> dict[str, Any]:
        """The JSON of a training DAG whose runs do as `verb` says."""
        content = {
            "dag_id": dag_id,
            "model": MODEL,
            "action": "training",
            "owner": "harbour@example.com",
            "tags": [MODEL],
            "doc_md": "# Tides\n\n**When to worry:** at ebb.",
            "schedule": {"cron": "0 0 1 * *", "timezone": "Asia/Kolkata"},
            "paused": True,
            "job": job,
            "image_digest": self.digest,
            "args": [verb],
            "runs_bucket": RUNS_BUCKET,
            "table": None,
            "task_timeout_seconds": 600,
            "max_retries": 0,
            "wait": {"mode": "poke", "interval_seconds": 0.5, "timeout_seconds": 700},
        }
        return {**content, **changes}

    def upload_dags(self, *dags: Mapping[str, Any]) -> None:
        """Put the factory and some DAG files where a stack puts them and Composer reads them."""
        bucket = self.storage.bucket(DAGS_BUCKET)
        for dag in dags:
            bucket.blob(f"dags/tides/{dag['dag_id']}.dag.json").upload_from_string(json.dumps(dag))
        source = Path(__file__).parent.parent / "dags"
        for path in (source / ".airflowignore", *source.glob("*.py")):
            bucket.blob(f"dags/tides/{path.name}").upload_from_string(path.read_text())

    def executions_of(self, job: str) -> list[run_v2.Execution]:
        """All executions of a job."""
        return list(self.executions.list_executions(parent=job))

    def ended(self, name: str) -> run_v2.Execution:
        """An execution, when it has ended."""
        found = until(lambda: (e := self.executions.get_execution(name=name)).completion_time and e)
        assert isinstance(found, run_v2.Execution)
        return found

    def table(self, *rows: str, dataset: str = "sea") -> str:
        """A table of predictions with one row for each of some run dates, that Airflow may look at."""
        made = bigquery.Dataset(f"{PROJECT}.{dataset}")
        made.location = LOCATION
        self.bigquery.create_dataset(made)
        table = bigquery.Table(f"{PROJECT}.{dataset}.{MODEL}", schema=[bigquery.SchemaField("run_date", "DATE")])
        table.time_partitioning = bigquery.TimePartitioning(field="run_date")
        self.bigquery.create_table(table)
        where = {"project": PROJECT, "datasetId": dataset, "tableId": MODEL}
        self.grant(TABLE_GRANT, "roles/bigquery.metadataViewer", "tide-airflow", **where)
        config = bigquery.LoadJobConfig(schema=table.schema)
        self.bigquery.load_table_from_json([{"run_date": day} for day in rows], table, job_config=config).result()
        return f"{PROJECT}.{dataset}.{MODEL}"


def email(name: str) -> str:
    """Of a service account of the project."""
    return f"{name}@{PROJECT}.iam.gserviceaccount.com"


def build_image(cloud: Path, clone: Path) -> str:
    """Make the image whose service is `SERVICE`; its environments are empty. Returns its digest."""
    for name in ("container/requirements.txt", f"service/models/{MODEL}/requirements.txt", "service/__init__.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    (clone / "service/__main__.py").write_text(SERVICE)
    return images.build(cloud / "images", context=clone, dockerfile=None, build_args={"MODEL": MODEL})
