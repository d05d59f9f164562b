"""`[federation]`: talking to other homeservers."""

from pathlib import Path

from chamberlain.config.section import Section


class Federation(Section, frozen=True, kw_only=True):
    """Which other homeservers this one talks to, and how it knows them."""

    enabled: bool = True
    """Off: no other homeserver is talked to or answered."""
    allow: tuple[str, ...] | None = None
    """When set, only these servers (`*` stands for any letters; a name without a port fits every port).

    `chamberlain admin server-rules` allows and denies further ones while the server runs."""
    deny: tuple[str, ...] = ()
    """Never these servers, whoever allows them."""
    device_names: bool = False
    """Other homeservers are told the names that users gave their devices."""
    ca_files: tuple[Path, ...] = ()
    """PEM files of certificate authorities that other homeservers may use, beside those of the system."""
    trusted_key_servers: tuple[str, ...] = ("matrix.org",)
    """Servers asked for the signing keys of servers that do not answer themselves."""
