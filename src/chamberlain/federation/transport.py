"""The port below the federation client: how bytes get to another homeserver and back."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class TransportAnswer(msgspec.Struct, frozen=True):
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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

    async def close(self) -> None:
        """Close the connections."""
        ...
