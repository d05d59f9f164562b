"""`[database]`: where everything is kept."""

from typing import Literal

from chamberlain.config.section import Section


class Database(Section, frozen=True, kw_only=True):
    """SQLite for one process, PostgreSQL for any number."""

    url: str = ""
    """`sqlite:///relative/path.db`, `sqlite:////absolute/path.db` or `postgresql://user:password@host/name`.
    When empty, `chamberlain.db` in the data folder."""
    url_file: str = ""
    """Read `url` from this file, so that its password need not stand in the settings."""
    synchronous: Literal["full", "normal", "off"] = "full"
    """SQLite only: `full` loses nothing that was acknowledged, not even when the power fails; `normal` may
    lose the last moments then; `off` is for tests."""
    pool_size: int = 8
    """PostgreSQL only: how many connections each worker opens at most."""
