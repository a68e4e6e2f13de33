"""The provider's client of the local cloud's own REST services, through the owner's door like any other client."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from local.wire import CloudError

OPERATION_SECONDS = 60.0  # for the local cloud to finish what it started; creating a job takes it milliseconds
POLL_SECONDS = 0.05


class Rest:
    """Calls methods by path and answers with their JSON.

    Args:
        port: tells the owner's port; asked at each call, because the provider starts before the doors open.
    """

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        # Proxies in the environment are for leaving this machine.
        self._client = httpx.Client(trust_env=False, timeout=OPERATION_SECONDS)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def call(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        content: Iterable[bytes] | None = None,
        content_type: str = "",
    ) -> dict[str, Any]:
        """Call one method; `body` goes as JSON, `content` as it is.

        Raises:
            CloudError: as the service answered it.
        """
        headers = {"content-type": content_type} if content_type else {}
        url = f"http://127.0.0.1:{self._port()}{path}"
        try:
            answer = self._client.request(verb, url, params=query, json=body, content=content, headers=headers)
        except httpx.TransportError as error:
            raise CloudError(503, "unavailable", f"The local cloud did not answer {verb} {path}: {error}") from error
        if answer.is_error:
            raise _error(answer)
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def find(self, path: str) -> dict[str, Any] | None:
        """The resource at a path, or None when there is none."""
        try:
            return self.call("GET", path)
        except CloudError as error:
            if error.status == 404:
                return None
            raise

    def finish(self, operation: dict[str, Any], version: str) -> dict[str, Any]:
        """Wait for a long-running operation and return its response.

        Raises:
            CloudError: the operation failed, or did not end in time.
        """
        deadline = time.monotonic() + OPERATION_SECONDS
        while not operation.get("done"):
            if time.monotonic() > deadline:
                text = f"Operation {operation.get('name')!r} did not end within {OPERATION_SECONDS:.0f} s."
                raise CloudError(504, "deadlineExceeded", text)
            time.sleep(POLL_SECONDS)
            operation = self.call("GET", f"/{version}/{operation['name']}")
        if error := operation.get("error"):
            raise CloudError(int(error.get("code", 500)), "operationFailed", str(error.get("message", error)))
        response: dict[str, Any] = operation.get("response", {})
        return response


def _error(answer: httpx.Response) -> CloudError:
    try:
        error = answer.json()["error"]
        return CloudError(answer.status_code, error["errors"][0]["reason"], error["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return CloudError(answer.status_code, "unknown", answer.text[:500] or answer.reason_phrase)
