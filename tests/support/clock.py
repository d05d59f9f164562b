"""A clock that moves only when a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from chamberlain.runtime.clock import Clock, Millis, Timer


class _Arranged:
    __slots__ = ("args", "call", "cancelled")

    def __init__(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.call = call
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock(Clock):
    """Starts at 2026-01-01 00:00 UTC; `await clock.advance(seconds)` fires what falls due, in order."""

    __slots__ = ("_due", "_elapsed", "_order", "_start")

    def __init__(self, start: int = 1_767_225_600_000) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Arranged]] = []

    def now(self) -> Millis:
        return Millis(self._start + round(self._elapsed * 1000))

    def monotonic(self) -> float:
        return self._elapsed

    def call_later(self, seconds: float, call: Callable[..., object], *args: Any) -> Timer:
        arranged = _Arranged(call, args)
        heapq.heappush(self._due, (self._elapsed + max(0.0, seconds), next(self._order), arranged))
        return arranged

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def skip(self, seconds: float) -> None:
        """Move on by `seconds` at once: what falls due meanwhile is late, as after a machine slept."""
        self._elapsed += seconds

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, letting the loop run after each call that falls due."""
        until = self._elapsed + seconds
        await _let_others_run()
        while self._due and self._due[0][0] <= until:
            at, _, arranged = heapq.heappop(self._due)
            self._elapsed = max(self._elapsed, at)
            if not arranged.cancelled:
                arranged.call(*arranged.args)
                await _let_others_run()
        self._elapsed = until

    async def leap(self, seconds: float) -> None:
        """Move on by `seconds` at once, as on a machine that slept: what fell due meanwhile happens now, late."""
        self._elapsed += seconds
        await self.advance(0)


class TickingClock(Clock):
    """The time of day as the machine has it at first; each look at it is a millisecond after the one before."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = super().now()

    def now(self) -> Millis:
        self._now = Millis(self._now + 1)
        return self._now


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
