"""The egress guard: an HTTP proxy that writes down and refuses everything, so that nothing leaves the laptop unseen."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Guard:
    """Refuses each connection and logs the address it asked for.

    Args:
        log_file: one line per refused request; empty or absent when nothing tried to leave.
    """

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._refuse, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode("latin-1").strip()
        with self._log_file.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat()} refused {line}\n")
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()
