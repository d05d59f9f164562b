"""Settings for a server inside a test."""

from pathlib import Path
from typing import Any

import msgspec

from chamberlain.config import Config
from chamberlain.config.database import Database
from chamberlain.config.passwords import Passwords
from chamberlain.config.rate_limits import RateLimits


def config_for_tests(data_dir: Path, server_name: str = "test.example", **changes: Any) -> Config:
    """Cheap hashes, no rate limits, no fsync; `changes` replace whole sections or plain settings."""
    base = Config(
        server_name=server_name,
        data_dir=data_dir,
        database=Database(synchronous="off"),
        passwords=Passwords(hash_cost="lowest"),
        rate_limits=RateLimits(enabled=False),
    )
    return msgspec.structs.replace(base, **changes)
