"""Which other servers are in a room."""

import sys
from typing import Final

from chamberlain.rooms.pipeline.head import Heads
from chamberlain.runtime.cache import Cache
from chamberlain.store import memberships
from chamberlain.store.database import Database
from chamberlain.store.state.lines import Point

ROOMS_KEPT: Final = 4_000


class RoomServers:
    """Knows the servers of rooms in use.

    What it knows holds as long as the room's state is the same, and its members are as well known as they were.
    """

    def __init__(self, db: Database, heads: Heads) -> None:
        self._db = db
        self._heads = heads
        self._kept: Cache[str, tuple[tuple[Point, bool], frozenset[str]]] = Cache(
            ROOMS_KEPT, "servers in rooms"
        )

    async def servers_in(self, room_id: str) -> frozenset[str]:
        """The other servers that have users joined to the room; none where this server does not know the room."""
        head = await self._heads.find(room_id)
        if head is None:
            return frozenset()
        mark = (head.point, head.is_partial)
        kept = self._kept.get(room_id)
        if kept is not None and kept[0] == mark:
            return kept[1]
        servers = frozenset(map(sys.intern, await self._db.read(memberships.servers_in, room_id)))
        self._kept.set(room_id, (mark, servers))
        return servers
