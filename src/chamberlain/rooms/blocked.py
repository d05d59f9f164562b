"""Rooms that an administrator has blocked: nobody of this server comes into one, or has others come."""

from chamberlain.matrix.errors import Forbidden
from chamberlain.store import blocked
from chamberlain.store.database import Database


async def must_not_be_blocked(db: Database, room_id: str) -> None:
    """Return where the room is not blocked; raises Forbidden."""
    if await db.read(blocked.find, room_id) is not None:
        raise Forbidden("This room has been blocked on this server")
