"""`[presence]`: who is online."""

from chamberlain.config.section import Section


class Presence(Section, frozen=True, kw_only=True):
    """Presence of users."""

    enabled: bool = True
    """Off: presence is neither kept nor told, which saves much on busy servers."""
