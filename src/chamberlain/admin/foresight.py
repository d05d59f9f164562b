"""What would become of rooms: the ones in which nobody with the highest power would be left."""

from collections.abc import Iterable

from chamberlain.admin.parts import Parts
from chamberlain.rooms.membership import IN_ROOM
from chamberlain.rooms.power import levels_in
from chamberlain.store import memberships

MOST_LOOKED_AT = 1000
"""How many rooms are looked at for one answer."""


async def rooms_of(parts: Parts, user_id: str) -> list[str]:
    """Every room that the user is in, is invited to or knocks on."""
    return [room.room_id for room in await parts.db.snapshot(memberships.rooms_of, user_id, IN_ROOM)]


async def without_admin(parts: Parts, room_ids: Iterable[str], leaving: set[str]) -> list[str]:
    """Those of the first 1,000 rooms that have an administrator now and none once these users have left."""
    return [
        room_id for room_id in list(room_ids)[:MOST_LOOKED_AT] if await _loses_admin(parts, room_id, leaving)
    ]


async def _loses_admin(parts: Parts, room_id: str, leaving: set[str]) -> bool:
    if await parts.rooms.heads.find(room_id) is None:
        return False
    levels = await levels_in(parts.rooms.heads, room_id)
    needed = levels.event_level("m.room.power_levels", True)
    able = {*levels.creators, *(user for user, level in levels.users.items() if level >= needed)}
    joined = set()
    for user_id in able:
        found = await parts.db.read(memberships.find, room_id, user_id)
        if found is not None and found.membership == "join":
            joined.add(user_id)
    return bool(joined & leaving) and not joined - leaving
