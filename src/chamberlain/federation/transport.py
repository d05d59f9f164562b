"""The port below the federation client: how bytes get to another homeserver and back."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

import msgspec


class TransportAnswer(msgspec.Struct, frozen=True):
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamedAnswer(msgspec.Struct, frozen=True):
    """The head of an answer, and its body as it comes; header names are in lower case.

    `chunks` raises Unreachable where the connection breaks before the end of the body. Whoever has the answer awaits
    `close()` when done, whether anything was read or not: it gives the connection back, or closes it where more would
    come.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class Transport(Protocol):
    """Carries one HTTP request to a server that is named, not addressed."""

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
        """Give the server's answer, whatever its status; `timeout` (seconds) covers everything.

        Raises:
            Unreachable: there was no answer.
            BadAnswer: it was longer than `max_bytes`.
        """
        ...

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
        """Make a request, as `send` does, and give its answer when its head has come.

        `timeout` (seconds) covers everything up to the head. How many bytes are read, and how long that may take,
        is the caller's business; nothing is read ahead of the caller but what buffers hold.

        Raises:
            Unreachable: there was no answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
