"""`[admin]`: the administration APIs."""

from chamberlain.config.section import Section


class Admin(Section, frozen=True, kw_only=True):
    """How administrators reach the server."""

    first_admin: str = "admin"
    """The localpart of the administrator that is made when a server with no accounts starts."""
    legacy_get_evacuate: bool = True
    """Whether Dendrite's evacuate paths answer to `GET` too, as its old documentation has them."""
