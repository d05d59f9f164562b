"""Members of other servers in rooms, as if they had come in through this one."""

from typing import Any

from tests.support.server import Server


async def set_membership(server: Server, room_id: str, user_id: str, membership: str, **content: Any) -> str:
    """Have an event in the room by which a user of any server sets their own membership; give its id."""
    return str(
        await server.app.services.rooms.submit.send(
            user_id, room_id, "m.room.member", {"membership": membership, **content}, state_key=user_id
        )
    )


async def join_as(server: Server, room_id: str, *user_ids: str) -> None:
    """Have users of other servers join a room that everyone may join."""
    for user_id in user_ids:
        await set_membership(server, room_id, user_id, "join")
