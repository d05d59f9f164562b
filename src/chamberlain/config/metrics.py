"""`[metrics]`: figures for Prometheus."""

from chamberlain.config.section import Section


class Metrics(Section, frozen=True, kw_only=True):
    """A listener of its own that answers `/metrics` and nothing else."""

    port: int | None = None
    """The port; not set: no such listener. Worker number n of several uses this port plus n - 1."""
    address: str = "127.0.0.1"
    """The address to bind. Anyone who reaches it can read the figures."""
