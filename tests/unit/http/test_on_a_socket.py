"""The edge under its real HTTP server: what only a connection can show."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from chamberlain.cli.edge import Edge as SocketEdge
from chamberlain.http.endpoint import Auth, Body, Context, Request, Upload, endpoint
from chamberlain.matrix.types import JsonObject
from tests.support.edge import Edge


class Anything(Request):
    content: Body[JsonObject]


class File(Request):
    file: Upload


@endpoint("POST", "/_matrix/client/v3/echo", auth=Auth.NONE, max_body=100)
async def echo(ctx: Context, request: Anything) -> JsonObject:
    """Give back what was sent."""
    return request.content


@endpoint("POST", "/_matrix/client/v3/ignore", auth=Auth.NONE)
async def ignore(ctx: Context) -> None:
    """Do not read the body."""


@endpoint("POST", "/_matrix/media/v3/upload", auth=Auth.NONE)
async def upload(ctx: Context, request: File) -> JsonObject:
    """Measure a file."""
    return {"size": len(await request.file.read(10_000_000))}


POLLS: list[str] = []


@endpoint("GET", "/_matrix/client/v3/sync", auth=Auth.NONE, long_poll=True)
async def sync(ctx: Context) -> None:
    """Wait for ever."""
    POLLS.append("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        POLLS.append("ended")


class Connection:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def begin(self, method: str, path: str, body: bytes = b"") -> None:
        """Send a request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.begin(method, path, body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.startswith("content-length")), 0)
        return int(head[0].split()[1]), await self.reader.readexactly(0 if method == "HEAD" else length)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """A connection to a listening edge."""
    bound = socket.create_server(("127.0.0.1", 0))
    listening = SocketEdge()
    await listening.listen(Edge(echo, ignore, upload, sync).app, bound, {})
    reader, writer = await asyncio.open_connection(*bound.getsockname())
    yield Connection(reader, writer)
    writer.close()
    listening.stop_listening()
    await listening.settle(asyncio.Event(), 5)
    listening.close()


async def test_a_connection_serves_one_request_after_another(connection: Connection) -> None:
    """Errors, unread bodies, preflights and bodiless answers do not put it out of step."""
    for _ in range(2):
        assert await connection.ask("POST", "/_matrix/client/v3/echo", b'{"a":1}') == (200, b'{"a":1}')
        assert (await connection.ask("POST", "/_matrix/client/v3/echo", b"{" * 90))[0] == 400
        assert await connection.ask("POST", "/_matrix/client/v3/ignore", b"x" * 300_000) == (200, b"{}")
        assert (await connection.ask("POST", "/_matrix/client/v3/echo", b"x" * 300_000))[0] == 413
        assert await connection.ask("OPTIONS", "/_matrix/client/v3/echo") == (204, b"")
        assert await connection.ask("HEAD", "/_matrix/client/v3/echo") == (405, b"")
        assert (await connection.ask("GET", "/%zz%00//"))[0] == 404


async def test_a_large_upload_comes_through(connection: Connection) -> None:
    """With the back-pressure of a real connection."""
    assert await connection.ask("POST", "/_matrix/media/v3/upload", b"x" * 5_000_000) == (
        200,
        b'{"size":5000000}',
    )


async def test_a_client_that_closes_its_connection_ends_its_long_poll(connection: Connection) -> None:
    """At once, not when the poll would have ended."""
    POLLS.clear()
    connection.begin("GET", "/_matrix/client/v3/sync")
    async with asyncio.timeout(60):
        while POLLS != ["waiting"]:
            await asyncio.sleep(0)
        connection.writer.close()
        while POLLS != ["waiting", "ended"]:
            await asyncio.sleep(0)
