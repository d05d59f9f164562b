"""Rooms that users of other servers are in, without the way that takes them there."""

from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.ids import server_of
from chamberlain.matrix.versions import get_room_version
from tests.support.peer import Peer
from tests.support.server import Server


async def seat(server: Server, room_id: str, user_id: str, membership: str = "join") -> None:
    """Let a user of another server be this in a public room, as if they had sent it themselves."""
    await server.app.services.rooms.submit.send(
        user_id, room_id, "m.room.member", {"membership": membership}, state_key=user_id
    )


def message(peer: Peer, room_id: str, body: str, *, version: str = "11", user: str = "eve") -> Event:
    """A message that a user of the peer sends to a room, at a place of the room that nobody knows."""
    return build(
        Draft(
            room_id=room_id,
            type="m.room.message",
            sender=peer.user(user),
            content={"body": body, "msgtype": "m.text"},
            origin_server_ts=peer.now(),
        ),
        version=get_room_version(version),
        prev_events=["$" + "p" * 43],
        auth_events=["$" + "a" * 43],
        depth=10,
        server_name=server_of(peer.user()),
        signing_key=peer.key,
    )
