"""Rooms that let in the members of others (client-server API, Restricted rooms)."""

from collections.abc import Iterable
from typing import Final

from chamberlain.matrix.event_types import JOIN_RULES
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store import memberships
from chamberlain.store.database import Database

RESTRICTED: Final = ("restricted", "knock_restricted")
"""The join rules of such rooms."""


async def allowed_rooms(heads: Heads, room_id: str) -> list[str]:
    """Give the rooms whose members a room lets in.

    Raises:
        NotFound: there is no such room.
    """
    rules = await heads.current(room_id, JOIN_RULES)
    allow = None if rules is None else rules.content.get("allow")
    return [
        condition["room_id"]
        for condition in (allow if isinstance(allow, list) else ())
        if isinstance(condition, dict)
        and condition.get("type") == "m.room_membership"
        and isinstance(condition.get("room_id"), str)
    ]


async def is_in_any(db: Database, room_ids: Iterable[str], user_id: str) -> bool:
    """Say whether the user is joined to one of the rooms."""
    for room_id in room_ids:
        found = await db.read(memberships.find, room_id, user_id)
        if found is not None and found.membership == "join":
            return True
    return False
