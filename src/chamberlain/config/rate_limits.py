"""`[rate_limits]`: how often one user, address or server may ask."""

from chamberlain.config.section import Section


class Rate(Section, frozen=True, kw_only=True):
    """A bucket of `burst` requests that refills at `per_second`."""

    per_second: float
    """How many requests a second are let through in the long run."""
    burst: int
    """How many may come at once."""


class RateLimits(Section, frozen=True, kw_only=True):
    """One rate for each class of requests; application services are not limited, nor is the local socket."""

    enabled: bool = True
    """Off: no limits at all, for tests and load measurements."""
    read: Rate = Rate(per_second=50.0, burst=500)
    """Reading state, profiles, history and the like, per user."""
    write: Rate = Rate(per_second=10.0, burst=100)
    """Changing something other than a room's timeline, per user."""
    send: Rate = Rate(per_second=10.0, burst=100)
    """Sending events, per user."""
    heavy: Rate = Rate(per_second=2.0, burst=30)
    """Search, previews, room creation and other costly requests, per user."""
    login: Rate = Rate(per_second=0.5, burst=10)
    """Login and registration, per address and per account."""
    remote: Rate = Rate(per_second=100.0, burst=1000)
    """Requests of one other homeserver."""
