"""Server access control lists: which servers may take part in a room (client-server API, Server ACLs)."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from chamberlain.matrix.globs import Glob

_WILDCARDS = frozenset("*?")


class ServerACL:
    """The content of one m.room.server_acl event, ready to be asked about servers."""

    __slots__ = ("_allow", "_deny", "_ip_literals")

    def __init__(self, allow: tuple[str, ...], deny: tuple[str, ...], *, ip_literals: bool) -> None:
        self._allow = _HostSet(allow)
        self._deny = _HostSet(deny)
        self._ip_literals = ip_literals

    def allows(self, server_name: str) -> bool:
        """Whether the server, whose port does not count, may take part."""
        host = _host_of(server_name).lower()
        if not self._ip_literals and _is_ip_literal(host):
            return False
        return host not in self._deny and host in self._allow


class _HostSet:
    """Hosts that fit one of some patterns; plain names, `*suffix` and `prefix*` take one look-up each."""

    __slots__ = ("_globs", "_names", "_prefixes", "_suffixes")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        names, prefixes, suffixes, globs = set(), set(), set(), []
        for pattern in {pattern.lower() for pattern in patterns}:
            if not _WILDCARDS.intersection(pattern):
                names.add(pattern)
            elif not _WILDCARDS.intersection(pattern[1:]) and pattern[0] == "*":
                suffixes.add(pattern[1:])
            elif not _WILDCARDS.intersection(pattern[:-1]) and pattern[-1] == "*":
                prefixes.add(pattern[:-1])
            else:
                globs.append(Glob(pattern))
        self._names = frozenset(names)
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)
        self._globs = globs

    def __contains__(self, host: str) -> bool:
        return (
            host in self._names
            or host.endswith(self._suffixes)
            or host.startswith(self._prefixes)
            or any(glob.matches(host) for glob in self._globs)
        )


def parse_server_acl(content: Mapping[str, Any]) -> ServerACL:
    """The ACL of an m.room.server_acl event; what has a wrong type counts as absent.

    Equal contents give the same object. A room without such an event allows every server.
    """
    return _compile(
        _strings(content.get("allow")),
        _strings(content.get("deny")),
        content.get("allow_ip_literals") is not False,
    )


@lru_cache(maxsize=512)
def _compile(allow: tuple[str, ...], deny: tuple[str, ...], ip_literals: bool) -> ServerACL:
    return ServerACL(allow, deny, ip_literals=ip_literals)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _host_of(server_name: str) -> str:
    """The server name without its port; an IPv6 literal keeps its brackets."""
    if server_name.startswith("["):
        address, bracket, _ = server_name.partition("]")
        return address + bracket
    return server_name.partition(":")[0]


def _is_ip_literal(host: str) -> bool:
    if host.startswith("["):
        return True
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
