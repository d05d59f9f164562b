"""Servers in one process, joined by a wire that a test can cut, slow down and disturb."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.matrix.remote_errors import BadAnswer, Unreachable
from tests.support.asgi import call
from tests.support.server import Server, test_config

AnyAnswer = TransportAnswer | StreamedAnswer
Handler = Callable[[str, str, Mapping[str, str], bytes | None], Awaitable[AnyAnswer]]
"""A server that is no chamberlain: (method, target, headers, body) to an answer."""
PIECE = 16 * 1024
"""Bytes of a whole answer in each of its chunks, where it is streamed."""


class Passing(msgspec.Struct, frozen=True):
    """A request on the wire."""

    origin: str
    destination: str
    method: str
    target: str
    body: bytes | None


class Wire:
    """Joins servers by their names. What a test changes holds for the next request."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.peers: dict[str, Handler] = {}
        self.cut: set[tuple[str, str]] = set()
        """Pairs (origin, destination) between which nothing passes."""
        self.passed: list[Passing] = []
        """Every request that was tried, in order."""
        self.before: Callable[[Passing], Awaitable[None]] | None = None
        """Awaited before a request arrives; may wait, or raise Unreachable: the request is lost."""
        self.after: Callable[[Passing], Awaitable[None]] | None = None
        """Awaited before an answer arrives; may wait, or raise Unreachable: the answer is lost."""

    def transport(self, origin: str) -> "WireTransport":
        """The end of the wire at this server."""
        return WireTransport(self, origin)

    async def add(self, name: str, folder: Path, **settings: Any) -> Server:
        """Start a server of this name on SQLite (or `database_url`) that reaches the others."""
        parts = {part: settings.pop(part) for part in ("clock", "rng") if part in settings}
        config = test_config(folder / name.replace(":", "_"), server_name=name, **settings)
        config.data_dir.mkdir(parents=True, exist_ok=True)
        server = await Server.start(config, transport=self.transport(name), **parts)
        self.servers[name] = server
        return server

    def part(self, *names: str) -> None:
        """Nothing passes between these servers and all others, in either direction."""
        for name in names:
            for other in [*self.servers, *self.peers]:
                if other not in names:
                    self.cut |= {(name, other), (other, name)}

    def heal(self) -> None:
        """Everything passes again."""
        self.cut.clear()

    async def stop(self) -> None:
        """Stop every server."""
        await asyncio.gather(*(server.stop() for server in self.servers.values()))

    async def carry(self, passing: Passing, headers: Mapping[str, str]) -> AnyAnswer:
        """Have the destination answer."""
        self.passed.append(passing)
        self._check(passing)
        if self.before is not None:
            await self.before(passing)
        peer = self.peers.get(passing.destination)
        if peer is not None:
            answer: AnyAnswer = await peer(passing.method, passing.target, headers, passing.body)
        else:
            app = self.servers[passing.destination].app.asgi
            found = await call(app, passing.method, passing.target, dict(headers), passing.body)
            answer = TransportAnswer(found.status, found.headers, found.body)
        self._check(passing)
        if self.after is not None:
            await self.after(passing)
        return answer

    def _check(self, passing: Passing) -> None:
        known = passing.destination in self.servers or passing.destination in self.peers
        if not known or (passing.origin, passing.destination) in self.cut:
            raise Unreachable(passing.destination, "the wire is cut")


class WireTransport:
    """What a server has in place of the network."""

    def __init__(self, wire: Wire, origin: str) -> None:
        self._wire = wire
        self._origin = origin

    async def send(
        self,
        destination: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: float,
        max_bytes: int,
    ) -> TransportAnswer:
        passing = Passing(self._origin, destination, method, target, body)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._wire.carry(passing, headers)
                if isinstance(answer, StreamedAnswer):
                    whole = b"".join([chunk async for chunk in answer.chunks])
                    await answer.close()
                    answer = TransportAnswer(answer.status, answer.headers, whole)
        except TimeoutError:
            raise Unreachable(destination, f"no answer within {timeout:g} s") from None
        if len(answer.body) > max_bytes:
            raise BadAnswer(destination, "the answer is too long")
        return answer

    async def stream(
        self,
        destination: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float,
    ) -> StreamedAnswer:
        passing = Passing(self._origin, destination, method, target, body)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._wire.carry(passing, headers)
        except TimeoutError:
            raise Unreachable(destination, f"no answer within {timeout:g} s") from None
        if isinstance(answer, StreamedAnswer):
            return answer
        return StreamedAnswer(answer.status, answer.headers, _pieces(answer.body), self.close)

    async def close(self) -> None:
        pass


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]
