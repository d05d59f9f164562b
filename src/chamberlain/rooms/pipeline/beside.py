"""Messages that were sent beside the newest events of a room, as they are wherever several servers talk at once."""

from collections.abc import Sequence

from chamberlain.matrix.events import Event
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.fork import MERGED
from chamberlain.store.database import Database
from chamberlain.store.known import missing_among, points_after
from chamberlain.store.state.lines import Point
from chamberlain.store.tx import Read


class Beside:
    """Knows for which of some events the state before them is the room's current one, though they do not follow it."""

    def __init__(self, db: Database, events: Sequence[Event]) -> None:
        self._db = db
        self._ids = [event.event_id for event in events]
        self._named = {prev for event in events for prev in event.prev_events}
        self._is_read = False
        self._after: dict[str, Point] = {}
        """The point of the state after events that are part of the room."""
        self._missing: set[str] = set()

    async def holds(self, chain: Chain, event: Event) -> bool:
        """Whether a message has before it what the chain has at its end, and leaves the current state as it is.

        The state after all that it follows, and after all ends of the room, must stand at the current point: so there
        is nothing to resolve. Where too many ends stay, the current state stands for them, as on forks.
        """
        if event.key is not None or chain.head.is_partial or not event.prev_events:
            return False
        others = {one.event_id for one in chain.extremities}.difference(event.prev_events)
        ends = others if len(others) <= MERGED else ()
        if not self._is_read:
            names = [*self._named, *ends]
            after, self._missing = await self._db.read(_read, chain.head.room_id, names, self._ids)
            self._after |= after
            self._is_read = True
        point = (chain.head.line, chain.ver)
        return event.event_id not in self._missing and all(
            self._after.get(name) == point for name in (*event.prev_events, *ends)
        )

    def extended(self, chain: Chain, event: Event) -> None:
        """The event is the last one of the chain."""
        self._after[event.event_id] = (chain.head.line, chain.ver)

    def moved(self) -> None:
        """The room has moved otherwise than by the chain."""
        self._is_read = False


async def _read(
    tx: Read, room_id: str, names: Sequence[str], ids: Sequence[str]
) -> tuple[dict[str, Point], set[str]]:
    return await points_after(tx, names), await missing_among(tx, room_id, ids)
