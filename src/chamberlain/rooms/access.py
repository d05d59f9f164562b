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
from chamberlain.store.memberships import Membership
from chamberlain.store.tx import Read


async def reach_of(db: Database, heads: Heads, room_id: str, user_id: str) -> Place:
    """Give the place up to which the user may look: the end, or their leave where they were in the room.

    Raises:
        Forbidden: the user never was in the room and the world may not look; the room may not exist.
    """
    if await sees_all(heads, room_id, user_id):
        return END
    leave = await find_leave(db, room_id, user_id)
    left = None if leave is None else await db.read(_place_after, leave.event_id)
    if left is None:
        raise Forbidden("You are not in this room")
    return left


async def sees_all(heads: Heads, room_id: str, user_id: str) -> bool:
    """Say whether the user sees what is in the room now: as a member, or because the world may look.

    Raises:
        Forbidden: there is no such room.
    """
    if await heads.find(room_id) is None:
        raise Forbidden("You are not in this room")
    if await membership_in(heads, room_id, user_id) == "join":
        return True
    visibility = await heads.current(room_id, HISTORY_VISIBILITY)
    return (
        visibility is not None
        and parse_history_visibility(visibility.content) is HistoryVisibility.WORLD_READABLE
    )


async def find_leave(db: Database, room_id: str, user_id: str) -> Membership | None:
    """Give the membership of a user who was in the room and is not any more, unless they have forgotten it."""
    found = await db.read(memberships.find, room_id, user_id)
    if found is None or found.membership not in ("leave", "ban") or found.forgotten:
        return None
    # A kick of an invited user ends no join: it shows nothing.
    return found if await db.read(memberships.ended_a_join, found.event_id) else None


async def _place_after(tx: Read, event_id: str) -> Place | None:
    event = await find_stored(tx, event_id)
    return None if event is None else place_after(event)
