"""Working off a stream from a stored cursor on: in order, at least once, again after a crash."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger

T = TypeVar("T")

RETRY_SECONDS: Final = 5

_log = get_logger("follower")


class Follower(Generic[T]):
    """Reads what comes after its cursor, handles it, and moves the cursor; then waits to be woken.

    `read(cursor)` gives some of what follows, each with its position, in order; `handle` must bear being given the
    same again. A failure is logged and tried anew after `RETRY_SECONDS`.
    """

    __slots__ = ("_clock", "_handle", "_load", "_name", "_read", "_save", "_woken")

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        load: Callable[[], Awaitable[int]],
        read: Callable[[int], Awaitable[Sequence[tuple[int, T]]]],
        handle: Callable[[Sequence[T]], Awaitable[None]],
        save: Callable[[int], Awaitable[None]],
    ) -> None:
        self._name = name
        self._clock = clock
        self._load = load
        self._read = read
        self._handle = handle
        self._save = save
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Have it look for news. A hint: what was missed is found with the next one, or at the next start."""
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except Exception:
                _log.exception("a follower failed", follower=self._name)
                await self._clock.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        cursor = await self._load()
        while True:
            self._woken.clear()
            found = await self._read(cursor)
            if not found:
                await self._woken.wait()
                continue
            await self._handle([item for _, item in found])
            cursor = found[-1][0]
            await self._save(cursor)
