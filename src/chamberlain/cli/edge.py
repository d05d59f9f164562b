"""HTTP on sockets: uvicorn's httptools protocol, several listeners in one loop, and a clean end to it."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from os import getuid
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chamberlain.cli.sockets import BACKLOG

AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[Any]],
        Callable[[Any], Awaitable[None]],
    ],
    Awaitable[None],
]

HEAD_LIMIT = 64 * 1024
"""Bytes of a request line and its headers together."""
HEAD_TIMEOUT = 30.0
"""Seconds within which a request's headers must be complete."""
KEEP_ALIVE = 75
"""Seconds that an unused connection is kept: longer than reverse proxies keep theirs."""


class _Gathering:
    """A transport that sends the head of an answer along with its body: one system call instead of two."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head is not None:
            data = self._head + data
            self._head = None
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            # An answer to HEAD has no body, and that of a stream may take its time.
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)


class Protocol(HttpToolsProtocol):
    """One connection. Beside what uvicorn does: a bound on headers in bytes and in time, errors as JSON."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _Gathering(transport, self.loop)  # type: ignore[assignment]
        if self.app_state.get("local_admin") and not _is_trusted_peer(transport):
            transport.abort()
            return
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes > HEAD_LIMIT:
                self._refuse(b"431 Request Header Fields Too Large", b"The request's headers are too long")
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", b"This is not a valid HTTP request")

    def _refuse(self, status: bytes, message: bytes) -> None:
        body = b'{"errcode":"M_UNKNOWN","error":"' + message + b'"}'
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _is_trusted_peer(transport: asyncio.BaseTransport) -> bool:
    """Whether the process at the other end of a unix socket is of our own user, or root."""
    peer = transport.get_extra_info("socket")
    if peer is None or not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's permissions, 0600, say the same where the system does not tell
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (getuid(), 0)


class Edge:
    """Everything that listens in this process."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._state = ServerState()
        self._dating: asyncio.TimerHandle | None = None

    async def listen(
        self, app: AsgiApp, bound: socket.socket, state: dict[str, Any], tls: ssl.SSLContext | None = None
    ) -> None:
        """Serve `app` on a bound socket; each request's `scope["state"]` is a copy of `state`."""
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        config.load()
        loop = asyncio.get_running_loop()
        if self._dating is None:
            self._set_date(loop)

        def connect() -> Protocol:
            return Protocol(config=config, server_state=self._state, app_state=state, _loop=loop)

        self._servers.append(await loop.create_server(connect, sock=bound, ssl=tls, backlog=BACKLOG))

    def _set_date(self, loop: asyncio.AbstractEventLoop) -> None:
        self._state.default_headers[:] = [(b"date", formatdate(usegmt=True).encode())]
        self._dating = loop.call_later(1.0, self._set_date, loop)

    def stop_listening(self) -> None:
        """Accept no more connections; close idle ones at once and the others after their answer."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()

    async def settle(self, hurry: asyncio.Event, seconds: float) -> None:
        """Return when every request is answered, or `hurry` is set, or `seconds` have passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (
            (self._state.tasks or self._state.connections) and not hurry.is_set() and loop.time() < deadline
        ):
            for connection in list(self._state.connections):
                connection.shutdown()
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Cut off what is still connected."""
        if self._dating is not None:
            self._dating.cancel()
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
