"""The checks that many calls begin with: is the requester in the room, is this server?"""

from chamberlain.matrix.errors import NotFound, NotJoined
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


def is_ours(head: Head) -> bool:
    """Say whether any of our users is joined to the room: only then does this server hear what happens in it."""
    joined: int = head.summary.get("local_joined", 0)
    return joined > 0


async def must_be_ours(heads: Heads, room_id: str) -> Head:
    """Give the head of a room that this server is in.

    Raises:
        NotFound: it is not, or there is no such room.
    """
    head = await heads.find(room_id)
    if head is None or not is_ours(head):
        raise NotFound("This server is not in that room")
    return head
