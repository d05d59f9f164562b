"""`[directory]`: who may read the list of public rooms."""

from chamberlain.config.section import Section


class Directory(Section, frozen=True, kw_only=True):
    """The room directory."""

    readable_without_login: bool = False
    """Whether the list of public rooms is shown to whoever asks, without an access token."""
    over_federation: bool = False
    """Whether other homeservers may read the list of public rooms."""
