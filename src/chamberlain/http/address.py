"""The address of a client, through the reverse proxies that are trusted to tell it."""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

BY_UNIX_SOCKET = "unix"
"""In `trusted_proxies`: whoever comes by the unix socket."""


class ClientAddress:
    """Finds the client behind a connection: the rightmost hop that is not a trusted proxy."""

    __slots__ = ("_is_trusted", "_trusts_nobody", "_trusts_unix")

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        """Raises ValueError for what is neither an address, a network nor `unix`."""
        trusted = list(trusted_proxies)
        networks = [ipaddress.ip_network(entry, strict=False) for entry in trusted if entry != BY_UNIX_SOCKET]
        self._trusts_unix = BY_UNIX_SOCKET in trusted
        self._trusts_nobody = not trusted

        @lru_cache(maxsize=4096)
        def is_trusted(hop: str) -> bool:
            address = _parse(hop)
            return address is not None and any(address in network for network in networks)

        self._is_trusted = is_trusted

    def of(self, scope: Mapping[str, Any]) -> str:
        """The address; empty when the connection is a unix socket and nobody tells more."""
        peer = scope.get("client")
        nearest: str = peer[0] if peer else ""
        if self._trusts_nobody or not (self._is_trusted(nearest) if nearest else self._trusts_unix):
            return nearest
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            address = _parse(hop.strip())
            if address is None:
                break
            nearest = str(address)
            if not self._is_trusted(nearest):
                break
        return nearest


def _parse(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """One hop, which some proxies write with a port, as an address; None for anything else."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        address = ipaddress.ip_address(hop)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
