"""One request and its answer: an ASGI application's `receive` and `send`, and shorter ways for the usual case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from chamberlain.http.shortcut import EXTENSION
from chamberlain.runtime import log

if TYPE_CHECKING:
    from chamberlain.cli.connection import Connection, Hub

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

BODY_BUFFER = 64 * 1024
"""Bytes of a body that wait in memory before reading stops."""
_JOINED = 16 * 1024
"""Bodies up to this size are copied behind their head."""
_BODILESS = (204, 304)

_log = log.get_logger("http")


class Exchange:
    """Takes the body of a request in and gives its answer out."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_connection",
        "_expects",
        "_give_up",
        "_head",
        "_hub",
        "_is_bare",
        "_is_chunked",
        "_is_delivered",
        "_is_done",
        "_is_head",
        "_is_lost",
        "_is_modern",
        "_left",
        "_more",
        "_reader",
        "_scope",
        "_writer",
        "has_begun",
        "keep_alive",
    )

    def __init__(
        self, connection: Connection, hub: Hub, scope: Scope, *, is_modern: bool, expects: bool
    ) -> None:
        """`is_modern`: HTTP/1.1; `expects`: the client sends its body only when told to go on."""
        self._connection = connection
        self._hub = hub
        self._scope: Scope | None = scope
        self._is_head = scope["method"] == "HEAD"
        self._is_modern = is_modern
        self._expects = expects
        self.keep_alive = True
        self.has_begun = False
        """Whether something of the answer has been written."""
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._more = True
        self._is_delivered = False
        self._is_lost = False
        self._is_done = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._give_up: Callable[[], object] | None = None
        self._head: bytes | None = None
        self._is_bare = False
        self._is_chunked = False
        self._left: int | None = None

    def start(self, app: AsgiApp) -> None:
        """Let the application answer."""
        scope, self._scope = self._scope, None
        assert scope is not None
        scope["extensions"] = {EXTENSION: self}
        task = self._hub.loop.create_task(self._run(app, scope))
        self._hub.tasks.add(task)

    async def _run(self, app: AsgiApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._connection.abort()
        except Exception:
            _log.exception("the answer broke off")
            self._connection.abort()
        else:
            if not self._is_done and not self._is_lost:
                self._connection.abort()
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._hub.tasks.discard(task)

    # ---------------------------------------------------------------------------------- from the client

    def take(self, body: bytes) -> bool:
        """Keep a piece of the body, unless it is too late for it; True when more of it should wait."""
        if self._is_done:
            return False
        self._chunks.append(body)
        self._buffered += len(body)
        self._wake_reader()
        return self.is_full

    def end_body(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake_reader()

    def lose(self) -> None:
        """The client has gone."""
        self._is_lost = True
        self._wake_reader()
        self.wake_writer()
        if self._give_up is not None and not self._is_done:
            self._give_up()

    @property
    def is_full(self) -> bool:
        """Whether as much of the body waits as should."""
        return self._buffered > BODY_BUFFER

    @property
    def is_forgone(self) -> bool:
        """Whether the client was not told to send its body, and so may not send it."""
        return self._expects

    def take_body(self) -> bytes | None:
        """The whole body where it is there already and nothing of it was read; None where it is not."""
        if self._more or self._is_lost or self._is_delivered:
            return None
        self._is_delivered = True
        chunks = self._chunks
        if not chunks:
            return b""
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._forget_body()
        return body

    def on_hang_up(self, give_up: Callable[[], object]) -> None:
        """Have `give_up()` called when the client goes before it has its answer."""
        self._give_up = give_up
        if self._is_lost:
            self._hub.loop.call_soon(give_up)

    async def receive(self) -> Message:
        """The next piece of the body; after its end, or once it is answered, that the client went."""
        if self._expects and self._head is None and not self._is_lost:
            self._expects = False
            if self._more and not self._chunks:
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._is_lost and not self._is_done:
            if self._chunks or not (self._more or self._is_delivered):
                body = b"".join(self._chunks)
                self._is_delivered = not self._more
                self._forget_body()
                return {"type": "http.request", "body": body, "more_body": self._more}
            self._reader = self._hub.loop.create_future()
            await self._reader
        return {"type": "http.disconnect"}

    def _forget_body(self) -> None:
        was_full = self.is_full
        self._chunks = []
        self._buffered = 0
        if was_full:
            self._connection.adjust_reading()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # ------------------------------------------------------------------------------------ to the client

    def wake_writer(self) -> None:
        """The client takes more, or has gone."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Give the whole answer. `headers`: lines that end with CRLF, without the length."""
        if self._is_lost or self._is_done:
            return
        if self.has_begun:
            # A stream failed under way: what was sent of it cannot be taken back.
            self._connection.abort()
            return
        if status in _BODILESS:
            head = self._make_head(status, headers)
            body = b""
        else:
            head = self._make_head(status, headers + b"content-length: %d\r\n" % len(body))
            if self._is_head:
                body = b""
        self.has_begun = True
        if len(body) <= _JOINED:
            self._connection.write(head + body)
        else:
            self._connection.write_both(head, body)
        self._finish()

    async def send(self, message: Message) -> None:
        """Write the answer piece by piece, as fast as the client takes it. The head goes with the first piece.

        Raises RuntimeError for an answer that is longer or shorter than it has said.
        """
        while self._connection.is_stalled and not self._is_lost:
            self._writer = self._hub.loop.create_future()
            await self._writer
        if self._is_lost:
            return
        if message["type"] == "http.response.start":
            self._set_head(message["status"], message.get("headers", ()))
            return
        if self._head is None or self._is_done:
            raise RuntimeError("a piece of an answer that is not under way")
        more = bool(message.get("more_body"))
        piece = self._frame(bytes(message.get("body", b"")), more=more)
        if not self.has_begun:
            self.has_begun = True
            piece = self._head + piece
        if piece:
            self._connection.write(piece)
        if not more:
            if self._left:
                raise RuntimeError("the answer is shorter than its content-length")
            self._finish()

    def _set_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines = b""
        length: int | None = None
        for name, value in headers:
            lines += b"%b: %b\r\n" % (name, value)
            if name == b"content-length":
                length = int(value)
        self._is_bare = self._is_head or status in _BODILESS
        if not self._is_bare:
            self._left = length
            if length is None and self._is_modern:
                self._is_chunked = True
                lines += b"transfer-encoding: chunked\r\n"
            elif length is None:
                self.keep_alive = False  # its end is the end of the connection
        self._head = self._make_head(status, lines)

    def _make_head(self, status: int, lines: bytes) -> bytes:
        if self._expects and self._more:
            self.keep_alive = False  # the body may come or not: nobody knows where the next request begins
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        return self._hub.head(status) + lines + end

    def _frame(self, body: bytes, *, more: bool) -> bytes:
        if self._is_bare:
            return b""
        if self._is_chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return framed if more else framed + b"0\r\n\r\n"
        if self._left is not None:
            if len(body) > self._left:
                raise RuntimeError("the answer is longer than its content-length")
            self._left -= len(body)
        return body

    def _finish(self) -> None:
        self._is_done = True
        self._give_up = None
        self._chunks = []
        self._buffered = 0
        self._wake_reader()
        self._connection.answered(self)
