"""`[smtp]`: sending e-mail."""

from typing import Literal

from chamberlain.config.section import Section


class Smtp(Section, frozen=True, kw_only=True):
    """The mail server that password resets, address checks and notifications go through."""

    host: str = ""
    """The mail server. Empty: no e-mail is sent."""
    port: int = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` (port 587), `tls` (port 465), or `none` for a mail server on this machine."""
    username: str = ""
    """The name to log in with. Empty: no login."""
    password: str = ""
    """The password to log in with."""
    password_file: str = ""
    """Read `password` from this file."""
    sender: str = ""
    """The `From` of each message, as `Example Chat <chat@example.org>`."""
