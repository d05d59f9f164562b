"""How often one user, address or server may ask (client-server API, 2.1.1 Rate limiting)."""

import math

from chamberlain.config.rate_limits import Rate, RateLimits
from chamberlain.http.endpoint import Limit
from chamberlain.matrix.errors import LimitExceeded
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock

MAX_BUCKETS = 100_000
"""How many users and addresses are remembered; one that is forgotten starts with a full bucket."""


def rates_of(config: RateLimits) -> dict[Limit, Rate]:
    """The rate of each limited class; nothing where limits are off."""
    if not config.enabled:
        return {}
    return {
        Limit.READ: config.read,
        Limit.WRITE: config.write,
        Limit.SEND: config.send,
        Limit.HEAVY: config.heavy,
        Limit.JOIN: config.heavy,
        Limit.LOGIN: config.login,
        Limit.REGISTER: config.login,
        Limit.ADMIN: config.read,
        Limit.REMOTE: config.remote,
    }


class Limits:
    """A token bucket for each class and each user, address or server.

    A bucket is one number: the time at which it will be full again.
    """

    __slots__ = ("_clock", "_exempt", "_full_at", "_rates")

    def __init__(self, config: RateLimits, clock: Clock) -> None:
        self._clock = clock
        self._rates = {limit: _Bucket(rate) for limit, rate in rates_of(config).items()}
        self._full_at: Cache[tuple[Limit, str], float] = Cache(MAX_BUCKETS)
        self._exempt: frozenset[str] = frozenset()

    def exempt(self, keys: frozenset[str]) -> None:
        """From now on these users or addresses, and no others, are not limited."""
        self._exempt = keys

    def check(self, limit: Limit, key: str) -> None:
        """Take one request out of the bucket of `key`.

        Raises:
            LimitExceeded: the bucket is empty; `retry_after_ms` says when it will not be.
        """
        bucket = self._rates.get(limit)
        if bucket is None or key in self._exempt:
            return
        now = self._clock.monotonic()
        full_at = max(self._full_at.get((limit, key), now), now) + bucket.interval
        too_early = full_at - now - bucket.depth
        if too_early > 0:
            raise LimitExceeded(math.ceil(too_early * 1000))
        self._full_at.set((limit, key), full_at)


class _Bucket:
    """A rate in seconds: between two requests, and to fill an empty bucket (with room for rounding)."""

    __slots__ = ("depth", "interval")

    def __init__(self, rate: Rate) -> None:
        self.interval = 1.0 / rate.per_second
        self.depth = self.interval * (max(1, rate.burst) + 1e-6)
