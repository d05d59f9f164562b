"""Which answers a web page of another origin may read (client-server API, 2.3 Web browser clients)."""

from typing import Final

RawHeader = tuple[bytes, bytes]

SHARED_PREFIXES: Final = (b"/_matrix/", b"/_synapse/", b"/.well-known/")
"""Everything below these may be read from any origin; nothing else may, the console's API least of all."""

HEADERS: Final[list[RawHeader]] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization, Date"),
    (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-Id"),
]
"""On every answer below those prefixes, errors included."""

LINES: Final = b"".join(b"%b: %b\r\n" % header for header in HEADERS)
"""The same as they are sent."""

PREFLIGHT: Final[RawHeader] = (b"access-control-max-age", b"86400")
"""On the answer to OPTIONS too, which browsers may keep for a day."""


def is_shared(raw_path: bytes) -> bool:
    """Whether answers at this path carry CORS headers."""
    return raw_path.startswith(SHARED_PREFIXES)
