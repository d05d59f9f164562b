"""HTTP/1.1 on a connection, byte by byte: framing, order, flow control, time-outs (RFC 9112)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chamberlain.cli import connection as connection_module
from chamberlain.cli.connection import HEAD_LIMIT
from chamberlain.cli.edge import Edge
from chamberlain.cli.sockets import bind_tcp
from chamberlain.http.shortcut import EXTENSION

TLS = Path(__file__).parents[2] / "e2e" / "tls"


class App:
    """Answers with method, target and body; `/stream…`, `/wait`, `/early` and others do something special."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.begun: list[str] = []
        self.hung_up: list[str] = []
        self.sent = 0

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        path = scope["path"]
        self.begun.append(path)
        exchange = scope["extensions"][EXTENSION]
        if path.startswith("/wait"):
            gone = asyncio.Event()
            exchange.on_hang_up(gone.set)
            tasks = [asyncio.ensure_future(self.go_on.wait()), asyncio.ensure_future(gone.wait())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            if gone.is_set():
                self.hung_up.append(path)
                return
        if path.startswith("/stream"):
            await self._stream(scope, send)
        elif path == "/early":
            exchange.answer(413, b"", b"too long")
        elif path == "/broken":
            raise ValueError("broken")
        elif path == "/nothing":
            exchange.answer(204, b"", b"ignored")
        else:
            body = exchange.take_body()
            if body is None:
                body = await _read(receive)
            exchange.answer(200, b"", f"{scope['method']} {path} {len(body)}".encode())

    async def _stream(self, scope: Any, send: Callable[[Any], Any]) -> None:
        path = scope["path"]
        headers = [(b"content-length", b"6")] if "length" in path else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/stream-big":
            for self.sent in range(1, 1_001):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        if "short" not in path:
            await send(
                {
                    "type": "http.response.body",
                    "body": b"def" * (2 if "long" in path else 1),
                    "more_body": True,
                }
            )
        await send({"type": "http.response.body", "body": b""})


async def _read(receive: Callable[[], Any]) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message["body"]
        if not message["more_body"]:
            return body


class Wire:
    """A listening edge and ways to talk to it."""

    def __init__(self, app: App, edge: Edge, port: int) -> None:
        self.app, self.edge, self.port = app, edge, port

    async def open(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, **options)

    async def talk(self, *pieces: bytes) -> bytes:
        """Everything that the server sends until it closes; the pieces arrive one by one."""
        reader, writer = await self.open()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        try:
            answer = await asyncio.wait_for(reader.read(), 60)
        except ConnectionResetError:
            answer = b""
        writer.close()
        return answer

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():
                await asyncio.sleep(0.005)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    app, edge, bound = App(), Edge(), bind_tcp("127.0.0.1", 0)
    await edge.listen(app, bound, {})
    yield Wire(app, edge, bound.getsockname()[1])
    edge.stop_listening()
    app.go_on.set()
    await edge.settle(asyncio.Event(), 2)
    edge.close()
    await asyncio.sleep(0.01)


def request(
    target: str, *headers: str, method: str = "GET", body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request."""
    lines = [f"{method} {target} HTTP/{version}", "host: x", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


CLOSE = "connection: close"


def bodies(answer: bytes) -> list[bytes]:
    """The bodies of answers that all have a length."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        found.append(rest[:length])
        answer = rest[length:]
    return found


async def test_requests_sent_ahead_are_answered_in_order(wire: Wire) -> None:
    """Three at once, the first of which takes its time; the others begin only after it."""
    ahead = (
        request("/wait")
        + request("/b", "content-length: 2", method="POST", body=b"xy")
        + request("/c", CLOSE)
    )
    talking = asyncio.ensure_future(wire.talk(ahead))
    await wire.until(lambda: bool(wire.app.begun))
    assert wire.app.begun == ["/wait"]
    wire.app.go_on.set()

    assert bodies(await talking) == [b"GET /wait 0", b"POST /b 2", b"GET /c 0"]


async def test_a_request_may_come_in_single_bytes(wire: Wire) -> None:
    """However the network cuts it."""
    reader, writer = await wire.open()
    for byte in request("/a%20b?c=d", "content-length: 3", CLOSE, method="PUT", body=b"123"):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert bodies(await reader.read()) == [b"PUT /a b 3"]
    writer.close()


async def test_a_chunked_body_and_its_trailers(wire: Wire) -> None:
    """The pieces are joined; what is wrongly framed is refused."""
    head = request("/a", "transfer-encoding: chunked", CLOSE, method="POST")
    assert bodies(await wire.talk(head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\nx-late: 1\r\n\r\n")) == [
        b"POST /a 5"
    ]
    assert (await wire.talk(head + b"zz\r\nabc\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_both_a_length_and_chunks_are_refused(wire: Wire) -> None:
    """Two ways to tell where the request ends would let one hide behind another."""
    answer = await wire.talk(
        request("/a", "transfer-encoding: chunked", "content-length: 3", method="POST", body=b"0\r\n\r\n")
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_what_follows_good_requests_and_is_none_is_refused_after_their_answers(wire: Wire) -> None:
    """The good ones get their answers first."""
    talking = asyncio.ensure_future(wire.talk(request("/wait") + b"\x00rubbish\r\n\r\n"))
    await wire.until(lambda: bool(wire.app.begun))
    wire.app.go_on.set()
    answer = await talking

    assert answer.startswith(b"HTTP/1.1 200 OK") and b"HTTP/1.1 400 Bad Request" in answer
    assert bodies(answer)[0] == b"GET /wait 0"


@pytest.mark.parametrize("size", [HEAD_LIMIT + 20_000, HEAD_LIMIT * 3])
async def test_headers_over_the_limit_are_refused_although_they_end(wire: Wire, size: int) -> None:
    """In one piece as well as in many."""
    answer = await wire.talk(request("/a", "x: " + "a" * size))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert wire.app.begun == []


async def test_expect_100_continue(wire: Wire) -> None:
    """Whoever asks is told to go on only when the body is wanted."""
    reader, writer = await wire.open()
    head = request("/a", "content-length: 3", "expect: 100-continue", method="PUT")
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc" + request("/b", CLOSE))
    assert bodies(await reader.read()) == [b"PUT /a 3", b"GET /b 0"]
    writer.close()

    refused = await wire.talk(head.replace(b"/a", b"/early"))
    assert refused.startswith(b"HTTP/1.1 413 ") and b"connection: close" in refused
    assert b"100 Continue" not in await wire.talk(
        head.replace(b"host", b"connection: close\r\nhost") + b"abc"
    )


async def test_an_answer_before_the_end_of_the_body(wire: Wire) -> None:
    """The rest of the body is read and forgotten, and the connection goes on, or ends if so asked."""
    size = 1_000_000
    early = request("/early", f"content-length: {size}", method="POST")
    assert bodies(await wire.talk(early, b"x" * size + request("/b", CLOSE))) == [b"too long", b"GET /b 0"]
    assert bodies(await wire.talk(early.replace(b"host", b"connection: close\r\nhost"), b"x" * size)) == [
        b"too long"
    ]


async def test_answers_without_a_body(wire: Wire) -> None:
    """HEAD has the length without the bytes; 204 has neither."""
    answer = await wire.talk(request("/a", method="HEAD") + request("/nothing") + request("/b", CLOSE))
    first, second, third = answer.split(b"HTTP/1.1 ")[1:]

    assert first.startswith(b"200 OK") and b"content-length: 9\r\n" in first and first.endswith(b"\r\n\r\n")
    assert second.startswith(b"204 ") and b"content-length" not in second and second.endswith(b"\r\n\r\n")
    assert third.endswith(b"GET /b 0")


async def test_streams(wire: Wire) -> None:
    """With a length as it is, else in chunks; HTTP/1.0 knows no chunks, so the connection's end ends it."""
    with_length = await wire.talk(request("/stream-length") + request("/b", CLOSE))
    chunked = await wire.talk(request("/stream") + request("/b", CLOSE))
    old = await wire.talk(request("/stream", version="1.0"))
    bare = await wire.talk(request("/stream", CLOSE, method="HEAD"))

    assert bodies(with_length) == [b"abcdef", b"GET /b 0"]
    assert b"\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\nHTTP/1.1 200" in chunked
    assert b"chunked" not in old and old.endswith(b"\r\n\r\nabcdef")
    assert bare.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("target", ["/stream-length-short", "/stream-length-long"])
async def test_a_stream_of_another_length_breaks_off(wire: Wire, target: str) -> None:
    """A client must not take half a file for the whole, nor what follows for an answer."""
    answer = await wire.talk(request(target) + request("/b", CLOSE))

    assert b"GET /b" not in answer and not answer.endswith(b"abcdef")


async def test_an_app_that_fails_breaks_the_connection_off(wire: Wire) -> None:
    """Nothing is made up in its place."""
    assert await wire.talk(request("/broken")) == b""


async def test_who_takes_nothing_stops_the_stream(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is buffered for a slow client; one that has stalled for long is cut off."""
    reader, writer = await wire.open(limit=1024)
    writer.write(request("/stream-big"))
    await wire.until(lambda: wire.app.sent > 0)
    last = -1
    while last != wire.app.sent:
        last = wire.app.sent
        await asyncio.sleep(0.05)
    assert wire.app.sent < 500
    monkeypatch.setattr(connection_module, "STALL_TIMEOUT", 0.05)
    await wire.until(lambda: not wire.edge.is_busy)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(65_536 * 1_001)
    writer.close()


async def test_a_slow_client_gets_everything(wire: Wire) -> None:
    """The stream goes on as it takes more."""
    answer = await wire.talk(request("/stream-big", CLOSE))

    assert answer.count(b"x") == 65_536 * 1_000 and answer.endswith(b"0\r\n\r\n")


async def test_an_offer_of_another_protocol_is_not_taken_up(wire: Wire) -> None:
    """`Upgrade: h2c`, as curl offers, changes nothing; CONNECT is no request for a server like this."""
    offer = request("/a", "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AA")

    assert bodies(await wire.talk(offer + request("/b", CLOSE))) == [b"GET /a 0", b"GET /b 0"]
    assert (await wire.talk(request("x:443", method="CONNECT"))).startswith(b"HTTP/1.1 400 ")


async def test_targets_of_every_form(wire: Wire) -> None:
    """A whole URL stands for its path (RFC 9112, 3.2.2), `*` for the server."""
    whole = request("http://x/a?b=c") + request("*", method="OPTIONS") + request("/d#e", CLOSE)

    assert bodies(await wire.talk(whole)) == [b"GET /a 0", b"OPTIONS * 0", b"GET /d 0"]
    assert (await wire.talk(b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_old_versions_and_close_end_the_connection(wire: Wire) -> None:
    """And say so."""
    for sent in (request("/a", version="1.0"), request("/a", CLOSE)):
        answer = await wire.talk(sent)
        assert b"\r\nconnection: close\r\n" in answer and answer.endswith(b"GET /a 0")


async def test_unused_connections_are_closed_after_a_while(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not while an answer is under way."""
    monkeypatch.setattr(connection_module, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(connection_module, "HEAD_TIMEOUT", 0.05)
    talking = asyncio.ensure_future(wire.talk(request("/a") + request("/wait")))
    await wire.until(lambda: "/wait" in wire.app.begun)
    await asyncio.sleep(1.2)
    assert not talking.done()
    wire.app.go_on.set()

    assert bodies(await talking) == [b"GET /a 0", b"GET /wait 0"]


async def test_a_hang_up_is_told_and_what_was_sent_ahead_is_forgotten(wire: Wire) -> None:
    """Nobody would get those answers."""
    _, writer = await wire.open()
    writer.write(request("/wait") + request("/b"))
    await wire.until(lambda: bool(wire.app.begun))
    writer.close()
    await wire.until(lambda: bool(wire.app.hung_up))
    await wire.until(lambda: not wire.edge.is_busy)

    assert wire.app.begun == ["/wait"]


async def test_stopping_closes_after_the_answer_under_way(wire: Wire) -> None:
    """What was sent ahead may be asked again elsewhere."""
    talking = asyncio.ensure_future(wire.talk(request("/wait") + request("/b")))
    await wire.until(lambda: bool(wire.app.begun))
    wire.edge.stop_listening()
    wire.app.go_on.set()
    answer = await talking

    assert bodies(answer) == [b"GET /wait 0"] and b"\r\nconnection: close\r\n" in answer


async def test_tls(wire: Wire) -> None:
    """The same behind TLS: a big body up, a stream down."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    bound = bind_tcp("127.0.0.1", 0)
    await wire.edge.listen(wire.app, bound, {}, context)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*bound.getsockname(), ssl=trusting)
    writer.write(request("/a", "content-length: 900000", method="POST", body=b"x" * 900_000))
    writer.write(request("/stream-big", CLOSE))
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()

    assert b"POST /a 900000HTTP/1.1 200" in answer and answer.count(b"x") == 65_536 * 1_000
