"""The clock that tests move by hand behaves like the real one."""

import asyncio

from chamberlain.runtime.clock import Clock
from tests.support.clock import FakeClock


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    """Advancing wakes each sleeper at its own moment."""
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    tasks = [asyncio.ensure_future(sleeper("late", 3)), asyncio.ensure_future(sleeper("early", 1))]
    await clock.advance(5)
    await asyncio.gather(*tasks)

    assert woken == [("early", 1.0), ("late", 3.0)]
    assert clock.monotonic() == 5.0


async def test_a_cancelled_timer_does_not_fire() -> None:
    """Cancelling before the time comes prevents the call."""
    clock = FakeClock()
    fired: list[int] = []
    clock.call_later(1, fired.append, 1)
    clock.call_later(1, fired.append, 2).cancel()
    await clock.advance(0.5)
    assert fired == []
    await clock.advance(0.5)

    assert fired == [1]


async def test_the_real_clock_counts_in_milliseconds() -> None:
    """`now` is of this century in ms, and `sleep(0)` returns."""
    clock = Clock()
    before = clock.monotonic()
    await clock.sleep(0)

    assert 1_700_000_000_000 < clock.now() < 4_000_000_000_000
    assert clock.monotonic() >= before
