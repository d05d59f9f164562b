"""What is due a moment after the first that asks for it, so that many things go at once."""

from collections.abc import Awaitable, Callable
from typing import Final

from chamberlain.runtime.clock import Clock, Timer
from chamberlain.runtime.tasks import Tasks

SECONDS: Final = 1.0


class Gathering:
    """Calls `work` in the background, `SECONDS` after the first `due` that it has not seen to."""

    def __init__(self, name: str, clock: Clock, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._clock = clock
        self._work = work
        self._tasks = Tasks()
        self._timer: Timer | None = None
        self._is_closed = False

    def due(self) -> None:
        """There is something to work off."""
        if self._timer is None and not self._is_closed:
            self._timer = self._clock.call_later(SECONDS, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._tasks.spawn(self._name, self._run())

    async def _run(self) -> None:
        await self._work()

    async def close(self) -> None:
        """Work no more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
