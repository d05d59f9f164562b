"""HTTP on sockets: several listeners in one loop, and a clean end to them."""

import asyncio
import socket
import ssl
from typing import Any

from chamberlain.cli.connection import Connection, Hub
from chamberlain.cli.exchange import AsgiApp
from chamberlain.cli.sockets import BACKLOG


class Edge:
    """Everything that listens in this process."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._hub: Hub | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def listen(
        self, app: AsgiApp, bound: socket.socket, state: dict[str, Any], tls: ssl.SSLContext | None = None
    ) -> None:
        """Serve `app` on a bound socket; each request's `scope["state"]` is `state`."""
        loop = asyncio.get_running_loop()
        hub = self._hub
        if hub is None:
            hub = self._hub = Hub(loop)
            self._tick(hub)

        def connect() -> Connection:
            return Connection(app, state, hub)

        self._servers.append(await loop.create_server(connect, sock=bound, ssl=tls, backlog=BACKLOG))

    def _tick(self, hub: Hub) -> None:
        hub.tick()
        self._ticking = hub.loop.call_later(1.0, self._tick, hub)

    def stop_listening(self) -> None:
        """Accept no more connections; close idle ones at once and the others after their answer."""
        for server in self._servers:
            server.close()
        if self._hub is not None:
            self._hub.is_stopping = True
            for connection in list(self._hub.connections):
                connection.shut_down()

    @property
    def is_busy(self) -> bool:
        """Whether anything is connected or being answered."""
        return self._hub is not None and bool(self._hub.tasks or self._hub.connections)

    async def settle(self, hurry: asyncio.Event, seconds: float) -> None:
        """Return when every request is answered, or `hurry` is set, or `seconds` have passed."""
        hub = self._hub
        if hub is None:
            return
        deadline = hub.loop.time() + seconds
        while self.is_busy and not hurry.is_set() and hub.loop.time() < deadline:
            for connection in list(hub.connections):
                connection.shut_down()
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Cut off what is still connected."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self._hub is not None:
            for task in list(self._hub.tasks):
                task.cancel()
            for connection in list(self._hub.connections):
                connection.abort()
