"""Keeping the index of words in step with what was said (client-server API, Server Side Search).

Words are indexed a little later than their event is committed, many events at a time; whoever searches has the rest
indexed first.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from chamberlain.matrix.event_types import REDACTION
from chamberlain.matrix.types import text_of
from chamberlain.rooms.words import KEYS, words_in
from chamberlain.runtime.clock import Clock, Timer
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, search
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent
from chamberlain.store.tx import Change

BATCH: Final = 50
DELAY_SECONDS: Final = 3.0


class SearchIndex:
    """Indexes what arrives."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._tasks = Tasks()
        self._running = asyncio.Lock()
        self._timer: Timer | None = None
        self._follows = False
        db.subscribe(self._changed)

    def start(self) -> None:
        """Begin to follow."""
        self._follows = True
        self._due()

    async def close(self) -> None:
        """Stop; what is not indexed yet is indexed after the next start."""
        self._follows = False
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()

    async def catch_up(self) -> None:
        """Have everything in the index that has arrived so far."""
        async with self._running:
            while (
                arrivals := await self._db.snapshot(search.list_arrivals, KEYS.values(), BATCH)
            ) is not None:
                redacted = [target for event in arrivals.events if (target := _target(event)) is not None]
                words = [
                    (event, words_in(event.type, event.content))
                    for event in arrivals.events
                    if event.redacted_by is None
                ]
                await self._db.write(search.index, arrivals, words, redacted)

    def _changed(self, changes: Sequence[Change]) -> None:
        # With a payload the event came through this worker, which then indexes it.
        if not self._follows or self._timer is not None:
            return
        if any(change.kind == kinds.EVENT and change.payload is not None for change in changes):
            self._timer = self._clock.call_later(DELAY_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        self._tasks.spawn("search index", self.catch_up())


def _target(event: StoredEvent) -> str | None:
    if event.type != REDACTION:
        return None
    return text_of(event.content, "redacts")
