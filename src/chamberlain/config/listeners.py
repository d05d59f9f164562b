"""`[[listeners]]`: where the server accepts connections, and which APIs it serves there."""

from pathlib import Path
from typing import Literal

from chamberlain.config.section import Section

Resource = Literal["client", "media", "key", "federation", "admin"]
ALL_RESOURCES: tuple[Resource, ...] = ("client", "media", "key", "federation", "admin")


class Listener(Section, frozen=True, kw_only=True):
    """One address and port, or one unix socket. Repeat `[[listeners]]` for several."""

    address: str = "127.0.0.1"
    """The address to bind: `127.0.0.1` for a reverse proxy on this machine, `0.0.0.0` or `::` for all."""
    port: int = 8008
    """The TCP port. Not used together with `unix_socket`."""
    unix_socket: Path | None = None
    """Listen on this unix socket instead of a TCP port."""
    unix_socket_mode: int = 0o660
    """The permissions of the unix socket; write it in octal, as `0o660`."""
    tls_certificate: Path | None = None
    """The PEM file with the certificate and its chain. With it, this listener speaks TLS."""
    tls_key: Path | None = None
    """The PEM file with the certificate's private key."""
    resources: tuple[Resource, ...] = ALL_RESOURCES
    """Which APIs are served here: `client`, `media`, `key`, `federation`, `admin`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies whose `X-Forwarded-For` is believed; `unix` for whoever comes
    by the unix socket. The client's address is the rightmost one that is not in this list."""

    @property
    def where(self) -> str:
        """The listener in words, for logs and messages."""
        if self.unix_socket is not None:
            return f"unix:{self.unix_socket}"
        scheme = "https" if self.tls_certificate else "http"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{scheme}://{host}:{self.port}"
