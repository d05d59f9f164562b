"""Finding an event by time (client-server API, Jump to an event by its time)."""

from typing import Final, Literal

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.rooms.access import reach_of
from chamberlain.rooms.pipeline.backfill import Backfill
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.visible import visible_events
from chamberlain.rooms.walk import AT_ONCE, ROUNDS
from chamberlain.store import history
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent
from chamberlain.store.known import list_edges
from chamberlain.store.memberships import servers_by_age
from chamberlain.store.tx import Read

Direction = Literal["f", "b"]
SERVERS_ASKED: Final = 3


class ByTime:
    """Finds events by time."""

    def __init__(self, db: Database, heads: Heads, backfill: Backfill, elsewhere: Elsewhere) -> None:
        self._db = db
        self._heads = heads
        self._backfill = backfill
        self._elsewhere = elsewhere

    async def nearest(self, user_id: str, room_id: str, ts: int, direction: Direction) -> tuple[str, int]:
        """Give the id and the time (ms) of the event nearest to a time, not before it (`f`) or not after it (`b`).

        Where history breaks off around that time, other servers are asked for a nearer one.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
            NotFound: there is no such event that the user may see.
        """
        await reach_of(self._db, self._heads, room_id, user_id)
        found = await self._db.snapshot(_nearest, user_id, room_id, ts, direction)
        if await self._db.read(_is_incomplete_at, room_id, ts) and await self._fetch_nearer(
            room_id, ts, direction, found
        ):
            found = await self._db.snapshot(_nearest, user_id, room_id, ts, direction)
        if found is None:
            raise NotFound("There is no event on that side of the time")
        return found.event_id, found.origin_server_ts

    async def _fetch_nearer(
        self, room_id: str, ts: int, direction: Direction, found: StoredEvent | None
    ) -> bool:
        """Have an event here that is nearer to the time than the one found, if another server has one."""
        servers = await self._db.read(servers_by_age, room_id, SERVERS_ASKED)
        try:
            event_id, at, server = await self._elsewhere.nearest(room_id, servers, ts, direction)
        except RemoteError:
            return False
        if found is not None and abs(found.origin_server_ts - ts) <= abs(at - ts):
            return False
        return await self._backfill.upto(server, room_id, event_id)


async def _nearest(tx: Read, user_id: str, room_id: str, ts: int, direction: Direction) -> StoredEvent | None:
    for round in range(ROUNDS):
        events = await history.list_by_time(tx, room_id, ts, direction, AT_ONCE, skip=round * AT_ONCE)
        seen = await visible_events(tx, events, user_id)
        if seen:
            return seen[0].event
        if len(events) < AT_ONCE:
            return None
    return None


async def _is_incomplete_at(tx: Read, room_id: str, ts: int) -> bool:
    """Whether something may be missing between the events before and after a time."""
    before = await history.list_by_time(tx, room_id, ts, "b", 1)
    after = await history.list_by_time(tx, room_id, ts, "f", 1)
    if not after or after[0].origin_server_ts == ts:
        return False
    low = before[0].depth if before else 0
    high = after[0].depth
    return bool(await list_edges(tx, room_id, min(low, high), max(low, high), 1))
