"""Knocking on rooms of other servers."""

import orjson
import pytest

from tests.federation.test_inviting import stripped
from tests.federation.test_joining import join, members
from tests.support.peer import Peer
from tests.support.server import Client, path
from tests.support.wire import Wire


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


async def test_of_a_new_room_only_what_is_true_is_shown(alice: Client, wire: Wire) -> None:
    """From room version 12 on a knock is answered with events of that very room; older ones show what they get."""
    for version, names in (("11", ["False"]), ("12", [])):
        peer = Peer.on(wire, f"peer{version}.test")
        room = peer.room(version).furnish("knock")
        name = {"type": "m.room.name", "state_key": "", "sender": peer.user(), "content": {"name": "False"}}
        create = room.events[room.state["m.room.create", ""]]
        shown = [orjson.loads(create.pdu), name, 7]
        peer.lies["send_knock"] = lambda asked, honest, s=shown: {"knock_room_state": s}
        (await alice.post(path("knock", room.room_id, via=peer.name))).ok()
        events = (await alice.sync())["rooms"]["knock"][room.room_id]["knock_state"]["events"]
        assert [event["content"]["name"] for event in events if event["type"] == "m.room.name"] == names
        assert any(event["type"] == "m.room.create" for event in events)


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
