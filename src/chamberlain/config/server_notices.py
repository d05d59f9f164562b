"""`[server_notices]`: the account that speaks for the server."""

from chamberlain.config.section import Section


class ServerNotices(Section, frozen=True, kw_only=True):
    """Who sends notices of the administrators, and the room that they arrive in."""

    enabled: bool = True
    """Whether administrators can send notices."""
    localpart: str = "notices"
    """The sender's localpart. The account is made when first needed, and nobody can log in to it."""
    display_name: str = "Server notices"
    """The sender's display name."""
    avatar_url: str = ""
    """The sender's avatar, an `mxc://` URI."""
    room_name: str = "Server notices"
    """The name of each person's notices room."""
    room_topic: str = ""
    """The topic of each person's notices room."""
    auto_join: bool = False
    """Whether people are joined to the room at once, instead of invited."""
