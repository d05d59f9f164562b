"""Knocking on rooms of other servers."""

import pytest

from tests.federation.test_inviting import stripped
from tests.federation.test_joining import join, members
from tests.support.server import Client, path


async def make_room(host: Client, version: str = "11") -> str:
    """A room on which one may knock."""
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    return await host.create_room(name="Club", room_version=version, initial_state=[rule])


async def knock(client: Client, room_id: str) -> None:
    """Knock through the server that has the room."""
    (await client.post(path("knock", room_id, via="near.test"), {"reason": "Please"})).ok()


@pytest.mark.parametrize("version", ("7", "10", "11", "12"))
async def test_a_knock_is_heard_and_answered(alice: Client, bob: Client, version: str) -> None:
    """The room's members see it; who knocks sees the room's name, is invited, and joins."""
    room_id = await make_room(alice, version)
    await alice.sync()

    await knock(bob, room_id)

    shown = stripped(await bob.sync(), "knock", room_id)
    assert shown["m.room.name", ""] == {"name": "Club"}
    assert shown["m.room.member", bob.user_id]["membership"] == "knock"
    (event,) = (await alice.sync())["rooms"]["join"][room_id]["timeline"]["events"]
    assert event["content"] == {"membership": "knock", "displayname": "bob", "reason": "Please"}

    await alice.invite(room_id, bob)
    answer = await bob.sync()
    assert room_id in answer["rooms"]["invite"] and "knock" not in answer["rooms"]
    await join(bob, room_id)
    assert (await members(alice, room_id))[bob.user_id] == "join"


async def test_a_knock_is_retracted(alice: Client, bob: Client) -> None:
    """The room's members see that too, and the knock is gone from syncs."""
    room_id = await make_room(alice)
    await knock(bob, room_id)
    await bob.leave(room_id)
    assert (await members(alice, room_id))[bob.user_id] == "leave"
    assert "rooms" not in await bob.sync()


async def test_a_knock_that_is_not_wanted_is_refused(alice: Client, bob: Client) -> None:
    """Where the join rule says nothing of knocking, and where the room's version does not."""
    for version in ("6", "11"):
        room_id = await alice.create_room(room_version=version)
        target = path("knock", room_id, via="near.test")
        (await bob.post(target)).error(403, "M_FORBIDDEN")
    assert "rooms" not in await bob.sync()
