"""A provider between the engine and the local cloud's that holds one create for good, so that `up` can be killed.

`python -m tests.local.provider.cutting UPSTREAM_PORT NTH before|after`, started in the program's folder, prints its
port, and later the URN of the create it holds: before it has had an effect, or after. All else is passed on.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import provider_pb2

OPTIONS = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]
CREATE = "/pulumirpc.ResourceProvider/Create"


class Cutting(grpc.GenericRpcHandler):  # type: ignore[misc]  # ships no types
    """Passes every method on, over one connection per connection: the provider tells its instances apart by them."""

    def __init__(self, upstream: str, nth: int, when: str) -> None:
        self._upstream, self._nth, self._when = upstream, nth, when
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()
        self._creates = 0

    def service(self, details: Any) -> Any:
        """Every method is one message each way."""
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._pass(details.method, request, context)
        )

    def _pass(self, method: str, request: bytes, context: Any) -> bytes:
        cut = method == CREATE and self._is_the_one(request)
        if cut and self._when == "before":
            _hold(request)
        try:
            answer: bytes = self._channel(context.peer()).unary_unary(method)(request)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise
        if cut:
            _hold(request)
        return answer

    def _is_the_one(self, request: bytes) -> bool:
        if provider_pb2.CreateRequest.FromString(request).preview:
            return False
        with self._lock:
            self._creates += 1
            return self._creates == self._nth

    def _channel(self, peer: str) -> Any:
        with self._lock:
            if peer not in self._channels:
                own = [("grpc.use_local_subchannel_pool", 1), *OPTIONS]
                self._channels[peer] = grpc.insecure_channel(self._upstream, options=own)
            return self._channels[peer]


def _hold(request: bytes) -> None:
    print(provider_pb2.CreateRequest.FromString(request).urn, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    port, nth, when = sys.argv[1:]
    server = grpc.server(ThreadPoolExecutor(64), options=OPTIONS)
    server.add_generic_rpc_handlers((Cutting(f"127.0.0.1:{port}", int(nth), when),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()  # until the test lets go
    os._exit(0)  # a held call would keep the process
