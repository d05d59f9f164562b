"""Whether a user has the power for something, before it is tried."""

from chamberlain.matrix.auth_rules import power_levels_of
from chamberlain.matrix.auth_rules.power_levels import PowerLevels
from chamberlain.rooms.pipeline.head import CREATE, POWER_LEVELS, Heads


async def levels_in(heads: Heads, room_id: str) -> PowerLevels:
    """Give the power levels that hold in a room now.

    Raises:
        NotFound: there is no such room.
    """
    head = await heads.get(room_id)
    await heads.load(head, (CREATE, POWER_LEVELS))
    return power_levels_of({key: s.event for key in (CREATE, POWER_LEVELS) if (s := head.state.get(key))})


async def may_set(heads: Heads, room_id: str, user_id: str, kind: str) -> bool:
    """Say whether a user has the power to set state of this type; whether they are in the room is not looked at.

    Raises:
        NotFound: there is no such room.
    """
    levels = await levels_in(heads, room_id)
    return levels.user_level(user_id) >= levels.event_level(kind, True)
