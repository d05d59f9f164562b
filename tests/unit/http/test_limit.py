"""Token buckets."""

import pytest

from chamberlain.config.rate_limits import Rate, RateLimits
from chamberlain.http.endpoint import Limit
from chamberlain.http.limit import Limits
from chamberlain.matrix.errors import LimitExceeded
from tests.support.clock import FakeClock


@pytest.fixture
def limits(clock: FakeClock) -> Limits:
    """Three requests to send at once, then two a second."""
    return Limits(RateLimits(send=Rate(per_second=2.0, burst=3)), clock)


async def test_a_burst_is_let_through_and_then_the_rate(limits: Limits, clock: FakeClock) -> None:
    """The error says after how many milliseconds the next one is welcome, and then it is."""
    for _ in range(3):
        limits.check(Limit.SEND, "alice")
    with pytest.raises(LimitExceeded) as refusal:
        limits.check(Limit.SEND, "alice")

    assert refusal.value.retry_after_ms == 500

    await clock.advance(refusal.value.retry_after_ms / 1000)
    limits.check(Limit.SEND, "alice")
    with pytest.raises(LimitExceeded):
        limits.check(Limit.SEND, "alice")


async def test_refused_requests_do_not_make_the_wait_longer(limits: Limits, clock: FakeClock) -> None:
    """Somebody who keeps asking gets through as soon as somebody who waits."""
    for _ in range(3):
        limits.check(Limit.SEND, "alice")
    for _ in range(50):
        with pytest.raises(LimitExceeded):
            limits.check(Limit.SEND, "alice")

    await clock.advance(0.5)
    limits.check(Limit.SEND, "alice")


async def test_a_bucket_fills_up_to_its_burst_only(limits: Limits, clock: FakeClock) -> None:
    """A day of silence does not earn more than the burst."""
    limits.check(Limit.SEND, "alice")
    await clock.advance(86_400)
    for _ in range(3):
        limits.check(Limit.SEND, "alice")

    with pytest.raises(LimitExceeded):
        limits.check(Limit.SEND, "alice")


def test_users_and_classes_have_buckets_of_their_own(limits: Limits) -> None:
    """One user's sending limits neither another user nor that user's reading."""
    for _ in range(3):
        limits.check(Limit.SEND, "alice")

    limits.check(Limit.SEND, "bob")
    limits.check(Limit.READ, "alice")
    for _ in range(1000):
        limits.check(Limit.NONE, "alice")


def test_limits_can_be_off(clock: FakeClock) -> None:
    """Nobody is limited where the settings say so."""
    off = Limits(RateLimits(enabled=False, send=Rate(per_second=0.1, burst=1)), clock)
    for _ in range(100):
        off.check(Limit.SEND, "bob")
