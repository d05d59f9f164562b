"""`[cluster]`: several workers, on one machine or many."""

from chamberlain.config.section import Section


class Cluster(Section, frozen=True, kw_only=True):
    """Workers that share one PostgreSQL database. All are alike: any of them serves any request."""

    workers: int = 1
    """How many processes `chamberlain serve` starts on this machine. More than one needs PostgreSQL."""
    shared: bool = False
    """Whether workers on other machines use the same database. They then tell one another what changed."""
    nats_url: str = ""
    """A NATS server that carries wake-ups between workers, as `nats://127.0.0.1:4222`. When empty, PostgreSQL
    does."""

    @property
    def has_many_workers(self) -> bool:
        """Whether other processes change the database too, on this machine or another."""
        return self.workers > 1 or self.shared
