"""The check that many calls begin with: is the requester in the room?"""

from chamberlain.matrix.errors import NotJoined
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.head import Head, Heads


async def must_be_joined(heads: Heads, room_id: str, user_id: str) -> Head:
    """Give the room's head to one who is joined to it.

    Raises:
        NotJoined: the user is not in the room; there may be no such room.
    """
    head = await heads.find(room_id)
    if head is None or await membership_in(heads, room_id, user_id) != "join":
        raise NotJoined
    return head


async def membership_in(heads: Heads, room_id: str, user_id: str) -> str | None:
    """Give what the user is in a room, or None where they never were anything.

    Raises:
        NotFound: there is no such room.
    """
    member = await heads.current(room_id, MEMBER, user_id)
    return None if member is None else text_of(member.content, "membership")
