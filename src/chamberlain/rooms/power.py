"""Whether a user has the power for something, before it is tried."""

from chamberlain.matrix.auth_rules import PowerLevels
from chamberlain.rooms.pipeline.head import LEVEL_KEYS, Heads, power_levels_in


async def levels_in(heads: Heads, room_id: str) -> PowerLevels:
    """Give the power levels that hold in a room now.

    Raises:
        NotFound: there is no such room.
    """
    head = await heads.get(room_id)
    await heads.load(head, LEVEL_KEYS)
    return power_levels_in(head.state.get)


async def may_set(heads: Heads, room_id: str, user_id: str, kind: str) -> bool:
    """Say whether a user has the power to set state of this type; whether they are in the room is not looked at.

    Raises:
        NotFound: there is no such room.
    """
    levels = await levels_in(heads, room_id)
    return levels.user_level(user_id) >= levels.event_level(kind, True)
