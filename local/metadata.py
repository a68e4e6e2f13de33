"""The metadata server: tells a process which service account it runs as, and gives it a token that names it.

An account is reported as `NAME@PROJECT.iam.local`: with a real `gserviceaccount.com` address google-auth looks the
account up at Google in the background. Does not own what a token may do (local/iam/).
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from local.declared import Declared
from local.wire import Answer, Call, CloudError, Method

OWNER = "owner"
AIRFLOW = "airflow"  # resolved at each request to the service account of the declared Composer environment
ACCOUNT = "gcp:serviceaccount/account:Account"
COMPOSER = "gcp:composer/environment:Environment"
TOKEN_SECONDS = 3599
FLAVOR = {"metadata-flavor": "Google"}


def reported(email: str) -> str:
    """The name under which an account is reported to Google's client libraries."""
    return email.removesuffix(".gserviceaccount.com") + ".local"


def project_number(project: str) -> int:
    """A stable number for a project, as every project has one on the platform."""
    return int(hashlib.sha256(project.encode()).hexdigest()[:10], 16)


class Metadata:
    """Answers `/sa/WHO/computeMetadata/...`, WHO being `owner`, `airflow`, a reported account, or that with a task.

    Args:
        folder: keeps the key that signs tokens, so that tokens outlive a restart.
        project: the project id reported to clients.
        declared: where accounts and the Composer environment are declared.
    """

    def __init__(self, folder: Path, project: str, declared: Declared) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key_file = folder / "token.key"
        if not key_file.exists():
            key_file.write_text(secrets.token_hex(32))
            key_file.chmod(0o600)
        self._key = key_file.read_text().encode()
        self._project, self._declared = project, declared

    def methods(self) -> list[Method]:
        """The table of methods; open, because a process asks here before it has a token."""
        base = "/sa/{who}/computeMetadata/v1"
        account = base + "/instance/service-accounts/{account}"
        rows = [
            ("metadata.ping", "/sa/{who}", self.ping),
            ("metadata.ping", "/sa/{who}/", self.ping),
            ("metadata.projectId", base + "/project/project-id", self.project_id),
            ("metadata.numericProjectId", base + "/project/numeric-project-id", self.numeric_project_id),
            ("metadata.universe", base + "/universe/universe-domain", self.universe),
            ("metadata.account", account + "/", self.account),
            ("metadata.email", account + "/email", self.email),
            ("metadata.token", account + "/token", self.token),
        ]
        return [Method(name, "GET", path, handler, open=True) for name, path, handler in rows]

    def ping(self, call: Call) -> Answer:
        """Answer the detection ping of google-auth."""
        return Answer(body=b"computeMetadata/\n", headers=FLAVOR | {"content-type": "application/text"})

    def project_id(self, call: Call) -> Answer:
        """The project id as text."""
        return Answer(body=self._project.encode(), headers=FLAVOR | {"content-type": "text/plain"})

    def numeric_project_id(self, call: Call) -> Answer:
        """A stable number for the project, which gcloud asks for."""
        number = str(project_number(self._project))
        return Answer(body=number.encode(), headers=FLAVOR | {"content-type": "text/plain"})

    def universe(self, call: Call) -> Answer:
        """404 means googleapis.com; any other value breaks the storage client."""
        return Answer(status=404, body=b"", headers=FLAVOR)

    def account(self, call: Call) -> Answer:
        """The account of the caller, its aliases and scopes."""
        scope = "https://www.googleapis.com/auth/cloud-platform"
        body = {"email": reported(self._who(call)), "aliases": ["default"], "scopes": [scope]}
        return Answer(body=body, headers=FLAVOR)

    def email(self, call: Call) -> Answer:
        """The reported e-mail as text."""
        return Answer(body=reported(self._who(call)).encode(), headers=FLAVOR | {"content-type": "text/plain"})

    def token(self, call: Call) -> Answer:
        """An access token that names the account and is signed with this cloud's key."""
        body = {
            "access_token": self.issue("+".join([self._who(call), *call.params["who"].split("+")[1:]])),
            "expires_in": TOKEN_SECONDS,
            "token_type": "Bearer",
        }
        return Answer(body=body, headers=FLAVOR)

    def issue(self, bearer: str) -> str:
        """A token for an account, or for a task that runs as it: `local.EMAIL[+TASK].SIGNATURE`."""
        return f"local.{bearer}.{self._sign(bearer)}"

    def identify(self, authorization: str | None) -> str:
        """The account a request's Authorization header names.

        Raises:
            CloudError: 401 without a token, or with one that this cloud did not issue.
        """
        token = (authorization or "").removeprefix("Bearer ")
        prefix, _, rest = token.partition(".")
        bearer, _, signature = rest.rpartition(".")
        if prefix != "local" or not hmac.compare_digest(signature, self._sign(bearer)):
            fault = "Request had invalid authentication credentials" if token else "Request is missing an access token"
            raise CloudError(401, "authError", f"{fault}. Expected a token of this local cloud's metadata server.")
        return bearer.partition("+")[0]

    def task_of(self, authorization: str | None) -> str:
        """The task whose token a request shows, as its environment named it, or "" when no task of a job calls."""
        try:
            self.identify(authorization)
        except CloudError:
            return ""
        return str(authorization).rpartition(".")[0].partition("+")[2]

    def identify_at_owners_door(self, authorization: str | None) -> str:
        """As `identify`, but whoever shows no token of ours is the person at the keyboard."""
        try:
            return self.identify(authorization)
        except CloudError:
            return OWNER

    def _sign(self, bearer: str) -> str:
        return hmac.new(self._key, bearer.encode(), "sha256").hexdigest()[:32]

    def _who(self, call: Call) -> str:
        return self.account_of(call.params["who"].partition("+")[0])

    def account_of(self, who: str) -> str:
        """The account behind `owner`, `airflow` or a reported name.

        Raises:
            CloudError: 404 when it is not declared.
        """
        if who == OWNER:
            return OWNER
        if who == AIRFLOW:
            return self._airflow_account()
        email = who.removesuffix(".local") + ".gserviceaccount.com"
        if not any(r.properties.get("email") == email for r in self._declared.of_type(ACCOUNT)):
            raise CloudError(404, "notFound", f"No service account {email!r} is declared on this local cloud")
        return email

    def _airflow_account(self) -> str:
        for environment in self._declared.of_type(COMPOSER):
            account = environment.properties.get("config", {}).get("nodeConfig", {}).get("serviceAccount")
            if account:
                return str(account)
        raise CloudError(
            404, "notFound", "No Composer environment with a service account is declared; run `pulumi up` first"
        )
