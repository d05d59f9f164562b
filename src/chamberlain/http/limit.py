"""How often one user, address or server may ask (client-server API, 2.1.1 Rate limiting)."""

import math

from chamberlain.config.rate_limits import Rate, RateLimits
from chamberlain.http.endpoint import Limit
from chamberlain.matrix.errors import LimitExceeded
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock

MAX_BUCKETS = 100_000
"""How many users and addresses each class remembers; one that is forgotten starts with a full bucket."""


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

    __slots__ = ("_buckets", "_clock")

    def __init__(self, config: RateLimits, clock: Clock) -> None:
        self._clock = clock
        self._buckets = {limit: _Buckets(rate) for limit, rate in rates_of(config).items()}

    def check(self, limit: Limit, key: str) -> None:
        """Take one request out of the bucket of `key`.

        Raises:
            LimitExceeded: the bucket is empty; `retry_after_ms` says when it will not be.
        """
        buckets = self._buckets.get(limit)
        if buckets is None:
            return
        now = self._clock.monotonic()
        full_at = max(buckets.full_at.get(key, now), now) + buckets.interval
        too_early = full_at - now - buckets.depth
        if too_early > 0:
            raise LimitExceeded(math.ceil(too_early * 1000))
        buckets.full_at.set(key, full_at)


class _Buckets:
    """The buckets of a class. Its times are seconds: between two requests, and to fill an empty bucket."""

    __slots__ = ("depth", "full_at", "interval")

    def __init__(self, rate: Rate) -> None:
        self.interval = 1.0 / rate.per_second
        self.depth = self.interval * (max(1, rate.burst) + 1e-6)
        self.full_at: Cache[str, float] = Cache(MAX_BUCKETS, "rate limits")
