"""The one place that reads the time, so that tests can move it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from chamberlain.matrix.types import Millis

__all__ = ["Clock", "Millis", "Timer"]


class Timer(Protocol):
    """A call that `Clock.call_later` has arranged and that may still be cancelled."""

    def cancel(self) -> None:
        """Make the call not happen; harmless when it has happened."""
        ...


class Clock:
    """Wall clock, monotonic clock and sleeping. `tests/support/clock.py` has one that tests move by hand."""

    __slots__ = ()

    def now(self) -> Millis:
        """Milliseconds since 1970 (UTC). May jump when the machine's clock is set."""
        return Millis(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For durations and deadlines."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[..., object], *args: Any) -> Timer:
        """Arrange `call(*args)` in the running loop after `seconds`. Cheap: made for long polls."""
        return asyncio.get_running_loop().call_later(seconds, call, *args)
