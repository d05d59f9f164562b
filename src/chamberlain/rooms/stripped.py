"""The little that one who is invited, or knocks, gets to see of a room (client-server API, Stripped state)."""

from collections.abc import Sequence
from typing import Final

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.head import Heads

SHOWN: Final[tuple[StateKey, ...]] = (
    ("m.room.create", ""),
    ("m.room.name", ""),
    ("m.room.avatar", ""),
    ("m.room.topic", ""),
    ("m.room.join_rules", ""),
    ("m.room.canonical_alias", ""),
    ("m.room.encryption", ""),
)


async def shown_events(heads: Heads, room_id: str, *members: str) -> Sequence[Event]:
    """Give what may be shown of a room now, with the member events of these users.

    Raises:
        NotFound: there is no such room.
    """
    head = await heads.get(room_id)
    keys = (*SHOWN, *((MEMBER, member) for member in members))
    await heads.load(head, keys)
    return [stored.event for key in keys if (stored := head.state.get(key)) is not None]
