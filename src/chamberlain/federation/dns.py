"""Looking up names: the name servers that the system is set up with, after its hosts file."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from aiodns import DNSResolver

TIMEOUT: Final = 3.0
TRIES: Final = 2


class Service(msgspec.Struct, frozen=True):
    """An SRV record."""

    priority: int
    weight: int
    port: int
    host: str
    """Without the dot at the end; empty where the record says that the service is decidedly not there."""


class Dns(Protocol):
    """The two things that are looked up."""

    async def find_services(self, name: str) -> Sequence[Service]:
        """The SRV records of `name` in any order; none where there are none, or the look-up failed."""
        ...

    async def find_addresses(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """The IP addresses of a host, each with the port to connect to.

        Raises:
            OSError: it has none, or the look-up failed.
        """
        ...

    async def close(self) -> None:
        """End the look-ups under way."""
        ...


class SystemDns:
    """Asks with c-ares, which keeps answers for as long as they say. It is loaded with the first question."""

    def __init__(self) -> None:
        self._resolver: DNSResolver | None = None

    def _open(self) -> DNSResolver:
        if self._resolver is None:
            import aiodns

            self._resolver = aiodns.DNSResolver(timeout=TIMEOUT, tries=TRIES)
        return self._resolver

    async def find_services(self, name: str) -> Sequence[Service]:
        """The SRV records of `name`, as `Dns` says."""
        resolver = self._open()
        from aiodns.error import DNSError
        from pycares import SRVRecordData

        try:
            answer = await resolver.query_dns(name, "SRV")
        except (DNSError, UnicodeError):
            # What cannot be found out is as if it were not there: the certificate says whether we are right.
            return []
        return [
            Service(found.priority, found.weight, found.port, found.target.rstrip("."))
            for found in (record.data for record in answer.answer)
            if isinstance(found, SRVRecordData)
        ]

    async def find_addresses(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """The IP addresses of a host, as `Dns` says."""
        resolver = self._open()
        from aiodns.error import DNSError

        try:
            found = await resolver.getaddrinfo(
                host, socket.AF_UNSPEC, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except (DNSError, UnicodeError) as error:
            raise OSError(f"cannot look up {host}: {error.args[-1]}") from None
        return [(_text(node.addr[0]), port) for node in found.nodes]

    async def close(self) -> None:
        """End the look-ups under way."""
        if self._resolver is not None:
            await self._resolver.close()


def _text(address: str | bytes) -> str:
    return address if isinstance(address, str) else address.decode("ascii")
