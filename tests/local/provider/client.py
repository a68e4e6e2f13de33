"""Speaks the provider's protocol as the engine does, without an engine: one connection, one provider instance."""

from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto import provider_pb2_grpc

from local.provider.values import decode, encode

Properties = dict[str, Any]
ACCOUNT = "gcp:serviceaccount/account:Account"
BUCKET = "gcp:storage/bucket:Bucket"
REPLACING = {
    messages.PropertyDiff.ADD_REPLACE,
    messages.PropertyDiff.DELETE_REPLACE,
    messages.PropertyDiff.UPDATE_REPLACE,
}


def urn(type: str, name: str = "thing") -> str:
    """The engine's name of a resource, with a component above it."""
    return f"urn:pulumi:test::project::prediction:infra:Part${type}::{name}"


class Client:
    """A configured provider instance of a served local cloud.

    Args:
        env: the environment that the local cloud printed.
        settings: the instance's configuration, over a project and a region.
    """

    def __init__(self, env: dict[str, str], **settings: Any) -> None:
        port = dict(pair.split(":") for pair in env["PULUMI_DEBUG_PROVIDERS"].split(","))["gcp"]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        given = {"project": "test-project", "region": "europe-west6", **settings}
        self.stub.Configure(messages.ConfigureRequest(args=encode(given)))

    def close(self) -> None:
        """End the connection, and with it the instance."""
        self._channel.close()

    def check(
        self, type: str, inputs: Properties, *, before: Properties | None = None, seed: bytes = b""
    ) -> Properties:
        """The inputs as the provider completes them; fails the test when it refuses them."""
        response = self._check(type, inputs, before or {}, seed)
        assert not response.failures, [failure.reason for failure in response.failures]
        return decode(response.inputs)

    def refusals(self, type: str, inputs: Properties) -> list[str]:
        """What the provider has against inputs."""
        return [failure.reason for failure in self._check(type, inputs, {}, b"").failures]

    def diff(self, type: str, old: Properties, new: Properties, outputs: Properties | None = None) -> dict[str, bool]:
        """Changed paths, each with whether it replaces."""
        response = self.difference(type, old, new, outputs or {})
        return {path: entry.kind in REPLACING for path, entry in response.detailedDiff.items()}

    def difference(self, type: str, old: Properties, new: Properties, outputs: Properties) -> Any:
        """The whole answer to Diff."""
        request = messages.DiffRequest(
            id="id", urn=urn(type), olds=encode(outputs), old_inputs=encode(old), news=encode(new)
        )
        return self.stub.Diff(request)

    def create(self, type: str, inputs: Properties, *, preview: bool = False) -> tuple[str, Properties]:
        """The new resource's id and outputs."""
        request = messages.CreateRequest(urn=urn(type), properties=encode(inputs), preview=preview)
        response = self.stub.Create(request)
        return response.id, decode(response.properties)

    def read(self, type: str, id: str, inputs: Properties, outputs: Properties) -> tuple[Properties, Properties] | None:
        """The resource's inputs and outputs as they are, or None when it is gone."""
        request = messages.ReadRequest(id=id, urn=urn(type), inputs=encode(inputs), properties=encode(outputs))
        response = self.stub.Read(request)
        return (decode(response.inputs), decode(response.properties)) if response.id else None

    def update(self, type: str, id: str, old: Properties, new: Properties, outputs: Properties) -> Properties:
        """The outputs after the change."""
        request = messages.UpdateRequest(
            id=id, urn=urn(type), olds=encode(outputs), old_inputs=encode(old), news=encode(new)
        )
        return decode(self.stub.Update(request).properties)

    def delete(self, type: str, id: str, outputs: Properties) -> None:
        """Remove the resource."""
        self.stub.Delete(messages.DeleteRequest(id=id, urn=urn(type), properties=encode(outputs)))

    def invoke(self, function: str, arguments: Properties | None = None) -> Properties:
        """A function's result."""
        request = messages.InvokeRequest(tok=function, args=encode(arguments or {}))
        return decode(getattr(self.stub.Invoke(request), "return"))

    def cancel(self) -> None:
        """What the engine sends on Ctrl-C."""
        self.stub.Cancel(empty_pb2.Empty())

    def _check(self, type: str, inputs: Properties, before: Properties, seed: bytes) -> Any:
        request = messages.CheckRequest(urn=urn(type), news=encode(inputs), olds=encode(before), randomSeed=seed)
        return self.stub.Check(request)


def refused(call: Any) -> str:
    """The message with which the provider refuses a call."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.details())


def account(client: Client, id: str) -> str:
    """Declares a service account and returns its e-mail."""
    return str(client.create(ACCOUNT, {"accountId": id})[1]["email"])


def bucket(client: Client, name: str, **more: Any) -> dict[str, Any]:
    """Makes a bucket and returns its outputs."""
    return client.create(BUCKET, {"name": name, "location": "EUROPE-WEST6", **more})[1]
