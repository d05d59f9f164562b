"""When files were read last: noted in memory, written down together."""

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database
from chamberlain.store.tx import Write

K = TypeVar("K")

FLUSH_EVERY_S: Final = 60.0


class Accesses(Generic[K]):
    """The files that were read since they were written down, by whatever they are known by."""

    def __init__(
        self, db: Database, clock: Clock, touch: Callable[[Write, dict[K, int]], Awaitable[None]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._touch = touch
        self._noted: dict[K, int] = {}

    def note(self, key: K) -> None:
        """The file is being read."""
        self._noted[key] = self._clock.now()

    async def flush_forever(self) -> None:
        """Write them down every minute."""
        while True:
            await self._clock.sleep(FLUSH_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write them down."""
        if self._noted:
            noted, self._noted = self._noted, {}
            await self._db.write(self._touch, noted)
