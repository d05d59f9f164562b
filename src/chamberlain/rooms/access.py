"""Who may look into a room's history at all, and how far (client-server API, Room History Visibility)."""

from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.event_types import HISTORY_VISIBILITY
from chamberlain.matrix.visibility import HistoryVisibility, parse_history_visibility
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store import memberships
from chamberlain.store.database import Database
from chamberlain.store.events import find_stored
from chamberlain.store.history import END, Place, place_after
from chamberlain.store.tx import Read


async def reach_of(db: Database, heads: Heads, room_id: str, user_id: str) -> Place:
    """Give the place up to which the user may look: the end, or their leave where they were in the room.

    Raises:
        Forbidden: the user never was in the room and the world may not look; the room may not exist.
    """
    if await heads.find(room_id) is None:
        raise Forbidden("You are not in this room")
    if await membership_in(heads, room_id, user_id) == "join":
        return END
    visibility = await heads.current(room_id, HISTORY_VISIBILITY)
    if (
        visibility is not None
        and parse_history_visibility(visibility.content) is HistoryVisibility.WORLD_READABLE
    ):
        return END
    found = await db.read(memberships.find, room_id, user_id)
    if found is not None and found.membership in ("leave", "ban") and not found.forgotten:
        left = await db.read(_left_at, found.event_id)
        if left is not None:
            return left
    raise Forbidden("You are not in this room")


async def _left_at(tx: Read, event_id: str) -> Place | None:
    if not await memberships.ended_a_join(tx, event_id):
        return None
    event = await find_stored(tx, event_id)
    return None if event is None else place_after(event)
