"""Which other servers may have to do with a room (server-server API, Server Access Control Lists)."""

from typing import Final

from chamberlain.matrix.errors import Forbidden, NotFound
from chamberlain.matrix.server_acl import parse_server_acl
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store import memberships
from chamberlain.store.database import Database
from chamberlain.store.partial import is_said_to_be_in

SERVER_ACL: Final = "m.room.server_acl"


async def is_allowed(heads: Heads, room_id: str, server: str) -> bool:
    """Say whether the room's access control list lets the server take part.

    A room without one, or one that this server is not in, allows all.
    """
    if await heads.find(room_id) is None:
        return True
    event = await heads.current(room_id, SERVER_ACL)
    return event is None or parse_server_acl(event.content).allows(server)


async def must_be_allowed(heads: Heads, room_id: str, server: str) -> None:
    """Return where the room's access control list lets the server take part.

    Raises:
        Forbidden: it does not.
    """
    if not await is_allowed(heads, room_id, server):
        raise Forbidden("Your server is banned from this room")


async def is_in_room(db: Database, room_id: str, server: str) -> bool:
    """Say whether another server has a user who is joined to the room, or is said to have."""
    return await db.read(memberships.has_from, room_id, server, ("join",)) or await db.read(
        is_said_to_be_in, room_id, server
    )


async def must_be_whole(heads: Heads, room_id: str) -> None:
    """Return where all of the room's state is known.

    Raises:
        NotFound: not all members are known yet.
    """
    head = await heads.find(room_id)
    if head is not None and head.is_partial:
        raise NotFound("This server does not know all members of the room yet")


async def must_be_in_room(db: Database, heads: Heads, room_id: str, server: str) -> None:
    """Return where another server is in a room that this server knows, and is not banned from it.

    Raises:
        NotFound: there is no such room here.
        Forbidden: the server is not in it, or its access control list bans the server.
    """
    if await heads.find(room_id) is None:
        raise NotFound("There is no such room")
    await must_be_allowed(heads, room_id, server)
    if not await is_in_room(db, room_id, server):
        raise Forbidden("Your server is not in this room")
