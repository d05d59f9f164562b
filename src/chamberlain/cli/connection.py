"""One HTTP/1.1 connection on httptools: requests in, their answers out in the same order (RFC 9112)."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from math import inf
from os import getuid
from typing import Any, cast
from urllib.parse import unquote

import httptools

from chamberlain.cli.exchange import AsgiApp, Exchange

HEAD_LIMIT = 64 * 1024
"""Bytes of a request line and its headers together."""
HEAD_TIMEOUT = 30.0
"""Seconds within which a request's headers must be complete."""
KEEP_ALIVE = 75.0
"""Seconds that an unused connection is kept: longer than reverse proxies keep theirs."""
MAX_AHEAD = 16
"""Requests that may wait behind the one being answered before reading stops; no hang-up is seen then."""
LINGER = 1.0
"""Seconds between a refusal and the end: closed while the client still sends, it might never see why."""
STALL_TIMEOUT = 60.0
"""Seconds that a client may take nothing of an answer which waits for it."""


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Hub:
    """What the connections of this process share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_stopping = False
        self._heads: dict[int, bytes] = {}

    def head(self, status: int) -> bytes:
        """The first lines of an answer: the status and the date."""
        head = self._heads.get(status)
        if head is None:
            head = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\ndate: {formatdate(usegmt=True)}\r\n".encode()
            self._heads[status] = head
        return head

    def tick(self) -> None:
        """Once a second: the date is another, and some may have waited too long."""
        self._heads.clear()
        now = self.loop.time()
        for connection in list(self.connections):
            connection.end_if_late(now)


class Connection(asyncio.Protocol):
    """Reads requests and starts one at a time; those sent ahead wait until it is answered."""

    __slots__ = (
        "_app",
        "_client",
        "_current",
        "_deadline",
        "_expects",
        "_head_bytes",
        "_headers",
        "_hub",
        "_in_head",
        "_incoming",
        "_is_deaf",
        "_is_head_timed",
        "_is_reading",
        "_last_words",
        "_lingers",
        "_parser",
        "_queue",
        "_scheme",
        "_stalled_at",
        "_state",
        "_transport",
        "_url",
    )

    _transport: asyncio.Transport

    def __init__(self, app: AsgiApp, state: dict[str, Any], hub: Hub) -> None:
        self._app = app
        self._state = state
        self._hub = hub
        parser = httptools.HttpRequestParser(self)
        # What follows a request with `connection: close` is left unread, and no reason to refuse that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parser: httptools.HttpRequestParser | None = parser
        self._client: tuple[str, int] | None = None
        self._scheme = "http"
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects = False
        self._in_head = True
        self._head_bytes = 0
        self._is_head_timed = False
        self._incoming: Exchange | None = None
        """The request whose body is being read."""
        self._current: Exchange | None = None
        """The request that is being answered."""
        self._queue: deque[Exchange] = deque()
        self._is_reading = True
        self._is_deaf = False
        """Nothing that comes in matters any more."""
        self._last_words = b""
        """What is said before closing, once everything is answered."""
        self._lingers = False
        """To be closed when the body has come in: closed before, the client might lose its answer."""
        self._deadline = inf
        """When a connection without a request under way is closed, in the loop's time."""
        self._stalled_at = inf

    # ---------------------------------------------------------------------------------------- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._hub.connections.add(self)
        self._deadline = self._hub.loop.time() + HEAD_TIMEOUT
        if self._state.get("local_admin") and not _is_trusted_peer(transport):
            self.abort()
            return
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._client = (str(peer[0]), int(peer[1]))
        if transport.get_extra_info("sslcontext") is not None:
            self._scheme = "https"

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the requests that are not answered that nobody waits for them."""
        self._hub.connections.discard(self)
        self._is_deaf = True
        self._parser = None
        self._queue.clear()
        if self._current is not None:
            self._current.lose()
        self._incoming = None

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is made."""
        self._stalled_at = self._hub.loop.time()

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        self._stalled_at = inf
        if self._current is not None:
            self._current.wake_writer()
        else:
            self._go_on()

    @property
    def is_stalled(self) -> bool:
        """Whether writing should wait."""
        return self._stalled_at != inf

    def write(self, data: bytes) -> None:
        """Send bytes; they are buffered as far as the client does not take them."""
        self._transport.write(data)

    def write_both(self, head: bytes, body: bytes) -> None:
        """Send two pieces with one system call and without joining them."""
        self._transport.writelines((head, body))

    # ----------------------------------------------------------------------------------------- requests

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_deaf:
            return
        try:
            if not self._in_head:
                self._feed(data)
            elif self._head_bytes + len(data) <= HEAD_LIMIT:
                self._head_bytes += len(data)
                self._feed(data)
            else:
                self._feed_slowly(data)
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request", b"This is not a valid HTTP request")
            return
        if self._head_bytes and self._current is None and not self._is_head_timed:
            self._is_head_timed = True
            self._deadline = self._hub.loop.time() + HEAD_TIMEOUT

    def _feed(self, data: bytes) -> None:
        """Parse. An offer to speak another protocol, as `h2c`, is not taken up: this one goes on."""
        while data and self._parser is not None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
            else:
                return

    def _feed_slowly(self, data: bytes) -> None:
        """Parse in small pieces what may hold the end of a head, to see whether that is too long."""
        place, size = 0, HEAD_LIMIT // 4
        while place < len(data) and self._in_head:
            piece = data[place : place + size]
            place += size
            self._head_bytes += len(piece)
            self._feed(piece)
            if self._in_head and self._head_bytes > HEAD_LIMIT:
                self._refuse(b"431 Request Header Fields Too Large", b"The request's headers are too long")
                return
        if place < len(data):
            self._feed(data[place:])

    def on_message_begin(self) -> None:
        """A request line begins."""
        self._url = b""
        self._headers = []
        self._expects = False

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those after a chunked body go the same way and are never looked at."""
        name = name.lower()
        self._headers.append((name, value))
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True

    def on_headers_complete(self) -> None:
        """A request is there, up to its body."""
        self._in_head = self._is_head_timed = False
        self._head_bytes = 0
        parser = self._parser
        assert parser is not None
        raw_path, query = _split_target(self._url)
        path = raw_path.decode("ascii")
        version = parser.get_http_version()
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self._scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "client": self._client,
            "state": self._state,
        }
        self._headers = []
        is_modern = version == "1.1"
        exchange = Exchange(self, self._hub, scope, is_modern=is_modern, expects=self._expects)
        exchange.keep_alive = is_modern and parser.should_keep_alive() and not self._hub.is_stopping
        self._incoming = exchange
        if self._current is None and not self._queue and not self.is_stalled:
            self._begin(exchange)
        else:
            self._queue.append(exchange)
            self.adjust_reading()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._incoming is not None and self._incoming.take(body):
            self.adjust_reading()

    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        self._in_head = True
        self._head_bytes = 0
        if self._incoming is not None:
            self._incoming.end_body()
            self._incoming = None
        if self._lingers:
            self._close()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._deadline = inf
        exchange.start(self._app)

    def _go_on(self) -> None:
        """Begin the next request, if one is there and may."""
        if self._current is None and not self.is_stalled and not self._transport.is_closing():
            if self._queue:
                self._begin(self._queue.popleft())
            elif self._last_words:
                self._say_last_words()
        self.adjust_reading()

    def adjust_reading(self) -> None:
        """Read no more than is worked off: bodies are buffered up to a limit, few requests wait."""
        incoming = self._incoming
        has_space = len(self._queue) < MAX_AHEAD and (incoming is None or not incoming.is_full)
        wanted = has_space and not self.is_stalled
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ------------------------------------------------------------------------------------------ answers

    def answered(self, exchange: Exchange) -> None:
        """The answer to the current request has been written."""
        self._current = None
        if not exchange.keep_alive:
            if exchange is self._incoming and not exchange.is_forgone:
                self._queue.clear()
                self._lingers = True
                self._deadline = self._hub.loop.time() + HEAD_TIMEOUT
                self.adjust_reading()
            else:
                self._close()
            return
        if self._queue or self._last_words or not self._is_reading:
            self._go_on()
        if self._current is None:
            self._deadline = self._hub.loop.time() + KEEP_ALIVE

    def abort(self) -> None:
        """Break the connection off: the answer cannot be finished, or there is no more time."""
        self._is_deaf = True
        self._transport.abort()

    def shut_down(self) -> None:
        """Close the connection after the answer that is under way, or at once."""
        self._queue.clear()
        if self._current is None:
            self._close()
        else:
            self._current.keep_alive = False

    def end_if_late(self, now: float) -> None:
        """Close an idle connection whose time is up; break off one that takes nothing of its answer."""
        if now > self._stalled_at + STALL_TIMEOUT or (now > self._deadline and self._transport.is_closing()):
            self.abort()
        elif now > self._deadline:
            self._close()

    def _close(self) -> None:
        self._queue.clear()
        self._is_deaf = True
        if not self._transport.is_closing():
            self._deadline = self._hub.loop.time() + STALL_TIMEOUT
            self._transport.close()

    def _refuse(self, status: bytes, message: bytes) -> None:
        """Say why nothing more is read, after the answers to the requests that came in whole, and close."""
        self._is_deaf = True
        body = b'{"errcode":"M_UNKNOWN","error":"' + message + b'"}'
        self._last_words = (
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
        ) % (status, len(body), body)
        broken = self._incoming
        if broken is not None and broken in self._queue:
            self._queue.remove(broken)
        elif broken is not None and broken is self._current:
            if broken.has_begun:
                self.abort()
                return
            self._current = None
            broken.lose()
        if self._current is None:
            self._say_last_words()

    def _say_last_words(self) -> None:
        words, self._last_words = self._last_words, b""
        self.write(words)
        self._hub.loop.call_later(LINGER, self._close)


def _split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query string. Raises HttpParserError for what is no target (RFC 9112, 3.2)."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    if target == b"*":
        return target, b""
    parsed = httptools.parse_url(target)
    return parsed.path or b"/", parsed.query or b""


def _is_trusted_peer(transport: asyncio.BaseTransport) -> bool:
    """Whether the process at the other end of a unix socket is of our own user, or root."""
    peer = transport.get_extra_info("socket")
    if peer is None or not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's permissions, 0600, say the same where the system does not tell
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (getuid(), 0)
