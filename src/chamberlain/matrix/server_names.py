"""The parts of a server name (appendices, Server Name)."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def split(server_name: str) -> tuple[str, int | None]:
    """Host, an IPv6 address without its brackets, and port of a valid server name; None where it names no port."""
    if server_name.startswith("["):
        host, _, rest = server_name[1:].partition("]")
        return host, int(rest[1:]) if rest else None
    host, colon, port = server_name.partition(":")
    return host, int(port) if colon else None


@lru_cache(maxsize=4096)
def is_ip(host: str) -> bool:
    """Whether a host is an IP address, without brackets, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
