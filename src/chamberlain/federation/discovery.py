"""From a server's name to where it is (server-server API, Resolving server names)."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from chamberlain.federation.dns import Dns, Service
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.matrix.server_names import is_ip, split
from chamberlain.runtime.rng import Rng

DEFAULT_PORT: Final = 8448
SERVICES: Final = ("_matrix-fed._tcp", "_matrix._tcp")
"""The second one is deprecated."""


class Place(msgspec.Struct, frozen=True):
    """Where a request is sent, and whom it is for."""

    host: str
    """What is connected to: a name, or an IP address without brackets."""
    port: int
    certified: str
    """The name or IP address that the certificate must be for; a name is sent as SNI."""
    host_header: str


class Delegation(Protocol):
    """What hosts say at `/.well-known/matrix/server`."""

    async def find(self, host: str) -> str | None:
        """The server name that the host delegates to, or None."""
        ...


class Discovery:
    """Finds servers by their names."""

    def __init__(self, dns: Dns, delegation: Delegation, rng: Rng) -> None:
        self._dns = dns
        self._delegation = delegation
        self._rng = rng

    async def find(self, server_name: str) -> Sequence[Place]:
        """The places to try, in this order; at least one.

        Raises:
            Unreachable: it is not the name of a server, or its DNS says that it is not to be reached.
        """
        if not is_valid_server_name(server_name):
            raise Unreachable(server_name, "not the name of a server")
        host, port = split(server_name)
        if port is None and not is_ip(host):
            delegated = await self._delegation.find(host)
            if delegated is not None:
                return await self._places(delegated)
        return await self._places(server_name)

    async def _places(self, name: str) -> Sequence[Place]:
        """Where a server is of whose name is known that it is not delegated (any further)."""
        host, port = split(name)
        if port is not None or is_ip(host):
            return [Place(host, DEFAULT_PORT if port is None else port, host, name)]
        for service in SERVICES:
            found = await self._dns.find_services(f"{service}.{host}")
            if found:
                return self._ordered(host, found)
        return [Place(host, DEFAULT_PORT, host, name)]

    def _ordered(self, host: str, services: Sequence[Service]) -> Sequence[Place]:
        """The lowest priority first; among equals by lot, in proportion to their weights (RFC 2782)."""
        usable = [service for service in services if is_valid_server_name(service.host) and service.port]
        if not usable:
            raise Unreachable(host, "its SRV records say that it is not to be reached")
        places = []
        for priority in sorted({service.priority for service in usable}):
            for service in self._drawn(service for service in usable if service.priority == priority):
                places.append(Place(service.host, service.port, host, host))
        return places

    def _drawn(self, services: Iterable[Service]) -> Iterable[Service]:
        # Those without a weight come first, and so are drawn hardly ever before the others.
        left = sorted(services, key=lambda service: service.weight)
        while left:
            lot = self._rng.below(sum(service.weight for service in left) + 1)
            place = 0
            while (lot := lot - left[place].weight) > 0:
                place += 1
            yield left.pop(place)
