"""Guests in rooms of other servers: theirs alone knows that they are guests."""

from pathlib import Path

import pytest

from chamberlain.config.registration import Registration
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire


@pytest.fixture
async def far(wire: Wire, tmp_path: Path) -> Server:
    """The server `far.test`, which gives out guest accounts."""
    return await wire.add("far.test", tmp_path, registration=Registration(enabled=True, guests=True))


@pytest.fixture
async def guest(far: Server) -> Client:
    """A guest of `far.test`."""
    answer = (await far.anonymous.post("register?kind=guest")).ok()
    return Client(far, answer["access_token"], answer["user_id"], answer["device_id"])


async def member(client: Client, room_id: str, user: Client) -> str:
    """What the user is in the room, as the client sees it."""
    answer = await client.state(room_id, "m.room.member", user.user_id)
    return str(answer.json.get("membership", "nothing"))


async def test_a_guest_is_in_a_room_elsewhere_as_long_as_guests_may(alice: Client, guest: Client) -> None:
    """They accept an invitation, and their server takes them out when the room stops letting guests in."""
    room = await alice.create_room(preset="private_chat")
    await alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    await alice.invite(room, guest)
    (await guest.post(path("join", room))).ok()
    assert await member(alice, room, guest) == "join"

    await alice.set_state(room, "m.room.guest_access", {"guest_access": "forbidden"})

    async def is_out() -> bool:
        return await member(alice, room, guest) == "leave"

    await until(is_out)


async def test_a_guest_does_not_stay_in_a_room_elsewhere_where_guests_may_not(
    alice: Client, guest: Client
) -> None:
    """Their server knows it once it is in the room."""
    room = await alice.create_room(preset="public_chat")
    joined = await guest.post(path("join", room, via="near.test"))
    joined.error(403, "M_GUEST_ACCESS_FORBIDDEN")

    async def is_out() -> bool:
        return await member(alice, room, guest) == "leave"

    await until(is_out)
