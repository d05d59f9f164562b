"""HTTP on real sockets: bounds on headers, the admin socket's state, and the way to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chamberlain.cli import connection as connection_module
from chamberlain.cli.connection import HEAD_LIMIT
from chamberlain.cli.edge import Edge
from chamberlain.cli.sockets import bind_tcp, bind_unix

HELLO = b"GET /a%2Fb?x=1 HTTP/1.1\r\nhost: x\r\n\r\n"


class Echo:
    """An ASGI app that answers at once, or holds `/wait` until told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.scopes: list[Any] = []

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        self.scopes.append(scope)
        while (await receive()).get("more_body"):
            continue
        if scope["path"] == "/wait":
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    made = Edge()
    yield made
    made.stop_listening()
    made.close()
    await asyncio.sleep(0)


async def _listen(edge: Edge, app: Echo) -> int:
    bound = bind_tcp("127.0.0.1", 0)
    await edge.listen(app, bound, {"listener": "this one"})
    port: int = bound.getsockname()[1]
    return port


async def _talk(port: int, request: bytes) -> bytes:
    """Everything that the server sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_request_reaches_the_app_undecoded_and_with_its_listener(edge: Edge, echo: Echo) -> None:
    """The raw path keeps `%2F`, and the state says where the request came in."""
    port = await _listen(edge, echo)
    answer = await _talk(port, HELLO.replace(b"host", b"connection: close\r\nhost"))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ndate: " in answer
    assert b"server:" not in answer
    assert echo.scopes[0]["raw_path"] == b"/a%2Fb"
    assert echo.scopes[0]["state"] == {"listener": "this one"}


async def test_what_is_not_http_gets_a_matrix_error(edge: Edge, echo: Echo) -> None:
    """Rubbish is answered with 400 and an errcode, and the connection ends."""
    port = await _listen(edge, echo)
    answer = await _talk(port, b"\x16\x03\x01 rubbish\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"errcode":"M_UNKNOWN"' in answer


async def test_headers_without_end_are_cut_off(edge: Edge, echo: Echo) -> None:
    """More than the limit of header bytes is refused, whether in one header or in many."""
    port = await _listen(edge, echo)
    answer = await _talk(port, b"GET / HTTP/1.1\r\nx: " + b"a" * (HEAD_LIMIT + 1))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert echo.scopes == []


async def test_a_big_body_is_not_taken_for_headers(edge: Edge, echo: Echo) -> None:
    """The bound holds for headers alone."""
    port = await _listen(edge, echo)
    size = HEAD_LIMIT * 3
    head = f"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode()
    answer = await _talk(port, head + b"a" * size)

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_headers_that_do_not_come_are_not_waited_for(
    edge: Edge, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that sends half a request, or nothing, is closed after a while."""
    monkeypatch.setattr(connection_module, "HEAD_TIMEOUT", 0.05)
    port = await _listen(edge, echo)
    answers = []
    for request in (b"", b"GET / HTTP/1.1\r\nho"):
        try:
            answers.append(await _talk(port, request))
        except ConnectionResetError:
            answers.append(b"")

    assert answers == [b"", b""]


async def test_stopping_answers_what_is_under_way_and_refuses_the_rest(edge: Edge, echo: Echo) -> None:
    """A long poll gets its answer, an idle connection is closed, a new one is refused."""
    port = await _listen(edge, echo)
    waiting = asyncio.ensure_future(_talk(port, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"))
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    while not echo.scopes:
        await asyncio.sleep(0.005)
    edge.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    echo.go_on.set()
    await edge.settle(asyncio.Event(), 5)

    assert (await waiting).startswith(b"HTTP/1.1 200 OK")
    assert await idle_reader.read() == b""
    idle_writer.close()
    await idle_writer.wait_closed()


async def test_a_second_signal_does_not_wait(edge: Edge, echo: Echo) -> None:
    """With `hurry` set, settling returns although a request is under way."""
    port = await _listen(edge, echo)
    waiting = asyncio.ensure_future(_talk(port, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"))
    while not echo.scopes:
        await asyncio.sleep(0.005)
    hurry = asyncio.Event()
    hurry.set()
    edge.stop_listening()
    await asyncio.wait_for(edge.settle(hurry, 600), 60)
    edge.close()
    result = (await asyncio.gather(waiting, return_exceptions=True))[0]

    assert result == b"" or isinstance(result, ConnectionResetError)


async def test_the_admin_socket_is_for_its_owner(edge: Edge, echo: Echo, tmp_path: Path) -> None:
    """The socket has mode 0600, and what comes by it says so to the app."""
    path = tmp_path / "admin.sock"
    await edge.listen(echo, bind_unix(path, 0o600), {"local_admin": True})
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(HELLO)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert line == b"HTTP/1.1 200 OK\r\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert echo.scopes[0]["state"] == {"local_admin": True}
    assert echo.scopes[0]["client"] is None


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    """A server that was killed leaves its socket; the next start takes the place."""
    path = tmp_path / "left.sock"
    bind_unix(path, 0o600).close()
    bind_unix(path, 0o660).close()

    assert path.stat().st_mode & 0o777 == 0o660
