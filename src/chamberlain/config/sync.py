"""`[sync]`: how clients hear of news."""

from chamberlain.config.section import Section


class Sync(Section, frozen=True, kw_only=True):
    """Limits of `/sync`."""

    max_timeout_ms: int = 120_000
    """A client that asks to wait longer than this is answered after this."""
    keep_changes_days: int = 30
    """How many days the list of changes is kept. A client that stayed away for longer is still answered in
    full, only at greater cost."""
