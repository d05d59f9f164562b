"""How late the event loop is: the first thing to look at when everything is slow at once."""

from typing import Final

from chamberlain.runtime.clock import Clock, Timer
from chamberlain.runtime.metrics import LATENCY_BUCKETS, Distribution

EVERY_S: Final = 1.0

LAG = Distribution(
    "loop_lag_seconds", "How much later than arranged the event loop ran a timer.", LATENCY_BUCKETS
)


class LoopLag:
    """Arranges a call every second and notes how late it comes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin, or arrange the next call."""
        due = self._clock.monotonic() + EVERY_S
        self._timer = self._clock.call_later(EVERY_S, self._note, due)

    def _note(self, due: float) -> None:
        LAG.observe(max(0.0, self._clock.monotonic() - due))
        self.start()

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
