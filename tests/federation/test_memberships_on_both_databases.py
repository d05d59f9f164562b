"""Memberships across servers, with one of them on each database, and with two workers."""

from pathlib import Path

import pytest

from chamberlain.config.database import Database
from tests.federation.test_inviting import stripped
from tests.federation.test_joining import join, members
from tests.support.server import Client, path
from tests.support.wire import Wire

RULE = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}


@pytest.fixture
async def carol(wire: Wire, tmp_path: Path, database_url: str) -> Client:
    """A user of a server on this database."""
    return await (await wire.add("third.test", tmp_path, database=Database(url=database_url))).register(
        "carol"
    )


async def test_once_through(alice: Client, carol: Client) -> None:
    """Knock, retract, be invited, reject, be invited, join, leave, be invited to what was left, join anew."""
    room_id = await alice.create_room(name="Club", initial_state=[RULE])
    (await carol.post(path("knock", room_id, via="near.test"))).ok()
    assert stripped(await carol.sync(), "knock", room_id)["m.room.name", ""] == {"name": "Club"}
    await carol.leave(room_id)
    assert (await members(alice, room_id))[carol.user_id] == "leave"

    await alice.invite(room_id, carol)
    assert stripped(await carol.sync(), "invite", room_id)["m.room.name", ""] == {"name": "Club"}
    await carol.leave(room_id)
    assert room_id in (await carol.sync())["rooms"]["leave"]
    await alice.invite(room_id, carol)
    await join(carol, room_id)
    both = {alice.user_id: "join", carol.user_id: "join"}
    assert await members(alice, room_id) == both == await members(carol, room_id)

    await carol.leave(room_id)
    await carol.sync()
    own = path("rooms", room_id, "state", "m.room.member", carol.user_id)
    await alice.post(path("rooms", room_id, "kick"), {"user_id": carol.user_id})
    await alice.set_state(room_id, "m.room.name", {"name": "Pub"})
    await alice.invite(room_id, carol)
    assert stripped(await carol.sync(), "invite", room_id)["m.room.name", ""] == {"name": "Pub"}
    await join(carol, room_id)
    assert (await carol.get(own)).ok()["membership"] == "join"
    assert (await carol.state(room_id, "m.room.name")).ok() == {"name": "Pub"}


async def test_the_other_way(alice: Client, carol: Client) -> None:
    """The room is on the server with this database."""
    room_id = await carol.create_room(name="Club", initial_state=[RULE])
    (await alice.post(path("knock", room_id, via="third.test"))).ok()
    assert (await members(carol, room_id))[alice.user_id] == "knock"
    await carol.invite(room_id, alice)
    await join(alice, room_id)
    both = {alice.user_id: "join", carol.user_id: "join"}
    assert await members(alice, room_id) == both == await members(carol, room_id)
