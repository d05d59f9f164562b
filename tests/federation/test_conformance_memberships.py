"""Invitations, knocks and bans from one server to another, in the order in which people come to do these things."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.federation.test_joining import join, members, try_join
from tests.support.peer import Peer
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire


async def treat(user: Client, room_id: str, how: str, other: Client) -> None:
    """Invite, kick, ban or unban somebody."""
    (await user.post(path("rooms", room_id, how), {"user_id": other.user_id})).ok()


async def leaves(user: Client, room_id: str) -> None:
    """Return when a sync says that the user is out of the room."""
    await user.sync_until(lambda answer: room_id in answer.get("rooms", {}).get("leave", {}))


async def becomes(seen_by: Client, room_id: str, user: Client, membership: str) -> None:
    """Return when a member sees that somebody is this."""

    async def is_seen() -> bool:
        return (await members(seen_by, room_id)).get(user.user_id) == membership

    await until(is_seen)


async def test_who_was_banned_comes_back_by_an_invitation(alice: Client, bob: Client) -> None:
    """The server that all its users had left knows nothing of the end of the ban."""
    room_id = await alice.create_room(preset="public_chat")
    await join(bob, room_id, "near.test")
    await treat(alice, room_id, "ban", bob)
    await leaves(bob, room_id)
    (await try_join(bob, room_id)).error(403, "M_FORBIDDEN")
    await treat(alice, room_id, "unban", bob)
    await alice.invite(room_id, bob)
    assert room_id in (await bob.sync())["rooms"]["invite"]
    await join(bob, room_id)
    assert (
        (await members(alice, room_id))[bob.user_id] == "join" == (await members(bob, room_id))[bob.user_id]
    )


async def test_an_invitation_to_a_room_that_nobody_is_in_any_more(alice: Client, bob: Client) -> None:
    """It can be rejected."""
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    await bob.sync()
    await alice.leave(room_id)
    await bob.leave(room_id)
    assert room_id in (await bob.sync())["rooms"]["leave"]
    assert "rooms" not in (await bob.get("sync")).ok()


async def test_a_direct_chat_is_still_known_as_one_after_the_join(alice: Client, bob: Client) -> None:
    """The join shows what the invitation said."""
    room_id = await alice.create_room(invite=[bob.user_id], is_direct=True)
    await bob.sync()
    await join(bob, room_id)
    events = (await bob.sync())["rooms"]["join"][room_id]["timeline"]["events"]
    (own,) = [event for event in events if event.get("state_key") == bob.user_id]
    assert own["unsigned"]["prev_content"]["is_direct"] is True


async def test_all_servers_see_an_invitation_come_and_go(
    alice: Client, bob: Client, wire: Wire, tmp_path: Path
) -> None:
    """Those too that had no part in it."""
    carol = await (await wire.add("third.test", tmp_path)).register("carol")
    room_id = await alice.create_room()
    await alice.invite(room_id, carol)
    await join(carol, room_id)
    await alice.invite(room_id, bob)
    await becomes(carol, room_id, bob, "invite")
    await bob.leave(room_id)
    await becomes(carol, room_id, bob, "leave")


async def test_knocks_of_all_kinds(alice: Client, bob: Client) -> None:
    """Again and again, after a refusal too; not where one is invited, in or banned."""
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(room_version="11", initial_state=[rule])
    knock = path("knock", room_id, via="near.test")
    for reason in ("one", "two"):
        (await bob.post(knock, {"reason": reason})).ok()
    assert (await alice.state(room_id, "m.room.member", bob.user_id)).ok()["reason"] == "two"
    (await try_join(bob, room_id)).error(403, "M_FORBIDDEN")
    await bob.leave(room_id)
    (await bob.post(knock)).ok()
    await bob.sync()
    await treat(alice, room_id, "kick", bob)
    await leaves(bob, room_id)
    (await bob.post(knock)).ok()
    await alice.invite(room_id, bob)
    (await bob.post(knock)).error(403, "M_FORBIDDEN")
    await join(bob, room_id)
    (await bob.post(knock)).error(403, "M_FORBIDDEN")
    await bob.leave(room_id)
    await becomes(alice, room_id, bob, "leave")
    (await bob.post(knock)).ok()
    await bob.sync()
    await treat(alice, room_id, "ban", bob)
    await leaves(bob, room_id)
    (await bob.post(knock)).error(403, "M_FORBIDDEN")


@pytest.mark.parametrize("version", ["1", "11", "12"])
async def test_state_that_came_with_a_join_is_given_whole(
    wire: Wire, near: Server, alice: Client, version: str
) -> None:
    """Event by event, to a server that asks which state there is."""
    peer = Peer.on(wire, "peer.test")
    room = peer.room(version).furnish()
    room.send("m.room.name", peer.user(), {"name": "Far"}, "")
    await join(alice, room.room_id, "peer.test")
    said = await alice.say(room.room_id, "x")

    async def ask(*parts: str, **query: Any) -> Any:
        target = f"/_matrix/federation/v1/{path(*parts, **query)}"
        return orjson.loads((await peer.request("near.test", "GET", target)).body)

    ids = await ask("state_ids", room.room_id, event_id=said)
    for event_id in (*ids["pdu_ids"], *ids["auth_chain_ids"]):
        (pdu,) = (await ask("event", event_id))["pdus"]
        assert pdu["content"] == room.events[event_id].content
