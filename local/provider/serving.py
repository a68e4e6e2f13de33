"""Serves the provider in the local cloud's own process, and tells the engine where it is and where its state goes."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import provider_pb2_grpc

from local.metadata import OWNER
from local.provider import schemas, stacks
from local.provider.catalog import Catalog
from local.provider.rest import Rest
from local.provider.servicer import Provider

if TYPE_CHECKING:  # the server imports this module
    from local.server import LocalCloud

ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = 16  # the engine works on as many resources at once by default
MESSAGE_BYTES = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]


class Serving:
    """A provider that answers; `env` is what `pulumi` needs to use it."""

    def __init__(self, server: grpc.Server, rest: Rest, env: dict[str, str]) -> None:
        self._server, self._rest, self.env = server, rest, env

    def stop(self) -> None:
        """Stop answering; a call under way gets a moment to end."""
        self._server.stop(grace=1).wait()
        self._rest.close()


def serve_provider(cloud: "LocalCloud") -> Serving:
    """Listen on a free loopback port, and make the folders and the stack that `pulumi` expects.

    Without a Pulumi CLI the local cloud is still of use, so that is only said on stderr.
    """
    rest = Rest(lambda: cloud.owners_port)
    catalog = Catalog(cloud.declared, rest, cloud.runtime, lambda: cloud.metadata.issue(OWNER))
    server = grpc.server(ThreadPoolExecutor(THREADS), options=MESSAGE_BYTES)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(catalog, cloud.project), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    env = _environment(cloud.folder, port)
    if fault := stacks.ensure(ROOT, cloud.folder / "pulumi", env):
        print(f"pulumi: {fault}", file=sys.stderr, flush=True)
    return Serving(server, rest, env)


def _environment(folder: Path, port: int) -> dict[str, str]:
    state, home = folder / "pulumi", folder / "pulumi-home"
    for needed in (state, home):
        needed.mkdir(exist_ok=True)
    return {
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "",  # nothing on a local stack is worth one
        "PULUMI_HOME": str(home),  # a person's own logins and plugins stay out of it
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{port}" for package in schemas.SDKS),
    }
