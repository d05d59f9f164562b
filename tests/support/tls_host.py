"""Hosts with TLS on this machine that answer what a test wants, byte by byte; names that lead to them."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trustme

from chamberlain.federation.dns import Service

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Writes the answer to a request, of which it gets the head."""


class Host:
    """One listener with a certificate for `names`. It notes each connection, its SNI, and each request's head."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        self.heads: list[str] = []
        self.asked_for: list[str | None] = []
        self.connections = 0
        self.answer: Answer = text("200 OK", b"{}")
        self.port = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = lambda _socket, name, _context: self.asked_for.append(name)
        authority.issue_cert(*names).configure_cert(self._context)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, address: str = "127.0.0.1") -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, address, 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                for line in head.lower().split("\r\n"):
                    if line.startswith("content-length:"):
                        await reader.readexactly(int(line.partition(":")[2]))
                self.heads.append(head)
                await self.answer(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def stop(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()


def text(status: str, body: bytes, *headers: str) -> Answer:
    """Always the same answer."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return answer


class FakeDns:
    """Names that a test has made up. A host may lead to a port of the test's own."""

    def __init__(self) -> None:
        self.services: dict[str, list[Service]] = {}
        self.hosts: dict[str, list[tuple[str, int]]] = {}
        self.asked: list[str] = []

    async def find_services(self, name: str) -> Sequence[Service]:
        """The records that the test set."""
        self.asked.append(name)
        return self.services.get(name, [])

    async def find_addresses(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """The addresses that the test set."""
        self.asked.append(host)
        if host not in self.hosts:
            raise OSError(f"no such host: {host}")
        return [(address, its_port or port) for address, its_port in self.hosts[host]]

    async def close(self) -> None:
        """Nothing is open."""


def authority(folder: Path, name: str = "ca") -> tuple[trustme.CA, Path]:
    """A new authority and its PEM file."""
    made = trustme.CA()
    file = folder / f"{name}.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file
