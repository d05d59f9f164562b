"""Invitations from one server to another."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from chamberlain.matrix.events import Event
from tests.federation.test_accept import enter
from tests.federation.test_joining import VERSIONS, count, join, members
from tests.support.peer import Asked, Peer
from tests.support.server import Client, Server, path
from tests.support.wire import Wire


def stripped(answer: dict, section: str, room_id: str) -> dict:
    """The stripped state of a room in an answer of /sync, content by (type, state key)."""
    room = answer["rooms"][section][room_id]
    events = room[f"{section}_state"]["events"]
    return {(event["type"], event["state_key"]): event["content"] for event in events}


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_invited_user_sees_what_may_be_shown_and_joins(
    alice: Client, bob: Client, version: str
) -> None:
    """The invitation arrives with the room's name; accepting it needs no hint where the room is."""
    room_id = await alice.create_room(name="Salon", room_version=version)
    await bob.sync()

    (await alice.post(path("rooms", room_id, "invite"), {"user_id": bob.user_id, "reason": "Come!"})).ok()

    shown = stripped(await bob.sync(), "invite", room_id)
    assert shown["m.room.name", ""] == {"name": "Salon"}
    assert shown["m.room.member", bob.user_id] == {"membership": "invite", "reason": "Come!"}
    assert shown["m.room.member", alice.user_id]["membership"] == "join"
    assert ("m.room.create", "") in shown
    assert (await members(alice, room_id))[bob.user_id] == "invite"

    await join(bob, room_id)

    both = {alice.user_id: "join", bob.user_id: "join"}
    assert await members(alice, room_id) == both == await members(bob, room_id)
    answer = await bob.sync()
    assert room_id in answer["rooms"]["join"] and room_id not in answer["rooms"].get("invite", {})


@pytest.mark.parametrize("version", ("1", "6", "12"))
async def test_an_invitation_is_rejected(alice: Client, bob: Client, version: str) -> None:
    """The inviter sees that the other does not come; the other is rid of it, and may be invited again."""
    room_id = await alice.create_room(room_version=version)
    for _ in range(2):
        await alice.invite(room_id, bob)
        assert room_id in (await bob.sync())["rooms"]["invite"]

        await bob.leave(room_id)
        await bob.leave(room_id)

        assert (await members(alice, room_id))[bob.user_id] == "leave"
        left = (await bob.sync())["rooms"]["leave"][room_id]
        assert left["timeline"]["events"][-1]["content"]["membership"] == "leave"
        assert not (await bob.sync()).get("rooms")
    assert "rooms" not in (await bob.get("sync")).ok()


async def test_where_the_other_server_is_down_nobody_is_invited(
    alice: Client, bob: Client, wire: Wire
) -> None:
    """The inviter is told, and may try again."""
    room_id = await alice.create_room()
    wire.part("far.test")
    target = path("rooms", room_id, "invite")
    (await alice.post(target, {"user_id": bob.user_id})).error(502, "M_UNKNOWN")
    assert bob.user_id not in await members(alice, room_id)
    wire.heal()
    await alice.invite(room_id, bob)
    assert (await members(alice, room_id))[bob.user_id] == "invite"


async def test_users_that_are_not_there_cannot_be_invited(alice: Client, bob: Client, far: Server) -> None:
    """Nor those who are gone, nor those who do not want to be."""
    room_id = await alice.create_room()
    target = path("rooms", room_id, "invite")
    (await alice.post(target, {"user_id": "@nobody:far.test"})).error(403, "M_FORBIDDEN")

    config = path("user", bob.user_id, "account_data", "m.invite_permission_config")
    (await bob.put(config, {"default_action": "block"})).ok()
    (await alice.post(target, {"user_id": bob.user_id})).error(403, "M_INVITE_BLOCKED")
    carol = await far.register("carol")
    own = await carol.create_room()
    (await carol.post(path("rooms", own, "invite"), {"user_id": bob.user_id})).error(403, "M_INVITE_BLOCKED")
    (await carol.post("createRoom", {"invite": [bob.user_id]})).error(403, "M_INVITE_BLOCKED")
    member = path("rooms", own, "state", "m.room.member", bob.user_id)
    (await carol.put(member, {"membership": "invite"})).error(403, "M_INVITE_BLOCKED")
    (await bob.put(config, {})).ok()
    await alice.invite(room_id, bob)
    (await bob.put(config, {"default_action": "block"})).ok()
    assert not (await bob.sync()).get("rooms", {}).get("invite")


async def test_those_who_may_not_invite_ask_nobody(
    alice: Client, bob: Client, near: Server, wire: Wire
) -> None:
    """What the room does not allow does not leave the server."""
    dora = await near.register("dora")
    room_id = await alice.create_room(preset="public_chat")
    await join(dora, room_id)
    (await dora.post(path("rooms", room_id, "invite"), {"user_id": bob.user_id})).error(403, "M_FORBIDDEN")
    closed = await alice.create_room(creation_content={"m.federate": False})
    (await alice.post(path("rooms", closed, "invite"), {"user_id": bob.user_id})).error(403, "M_FORBIDDEN")
    assert count(wire, "invite") == 0


async def test_a_room_is_made_with_users_of_other_servers(alice: Client, bob: Client, wire: Wire) -> None:
    """Who can be reached is invited; the room is there in any case."""
    room_id = await alice.create_room(invite=[bob.user_id, "@ann:down.test"], is_direct=True)
    assert await members(alice, room_id) == {alice.user_id: "join", bob.user_id: "invite"}
    assert stripped(await bob.sync(), "invite", room_id)["m.room.member", bob.user_id]["is_direct"] is True


async def test_an_invite_by_setting_state_is_an_invite(alice: Client, bob: Client) -> None:
    """The other server hears of it just so."""
    room_id = await alice.create_room()
    target = path("rooms", room_id, "state", "m.room.member", bob.user_id)
    first = (await alice.put(target, {"membership": "invite"})).ok()
    assert (await alice.put(target, {"membership": "invite"})).ok() == first
    assert room_id in (await bob.sync())["rooms"]["invite"]


async def test_an_invitation_to_a_room_that_the_server_is_in_is_an_event_there(
    alice: Client, bob: Client, far: Server
) -> None:
    """It needs no handshake to accept or to reject it."""
    carol = await far.register("carol")
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    await join(bob, room_id)
    await alice.invite(room_id, carol)
    assert (await members(bob, room_id))[carol.user_id] == "invite"
    assert room_id in (await carol.sync())["rooms"]["invite"]
    await carol.leave(room_id)
    assert (await members(bob, room_id))[carol.user_id] == "leave"


async def test_an_invitation_can_be_rejected_though_the_inviter_is_gone(
    alice: Client, bob: Client, wire: Wire
) -> None:
    """The user is rid of it; the room does not hear of that."""
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    await bob.sync()
    wire.part("near.test")
    await bob.leave(room_id)
    assert room_id in (await bob.sync())["rooms"]["leave"]
    wire.heal()
    assert (await members(alice, room_id))[bob.user_id] == "invite"
    (await bob.post(path("rooms", room_id, "forget"))).ok()
    await join(bob, room_id)
    assert (await members(alice, room_id))[bob.user_id] == "join"


async def test_an_invitation_that_was_taken_back_unheard_can_be_rejected(
    alice: Client, bob: Client, far: Server, wire: Wire
) -> None:
    """The server has come into the room meanwhile, which knows nothing of the invitation."""
    carol = await far.register("carol")
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    wire.part("near.test")
    (await alice.post(path("rooms", room_id, "kick"), {"user_id": bob.user_id})).ok()
    await alice.set_state(room_id, "m.room.join_rules", {"join_rule": "public"})
    (await alice.post(path("rooms", room_id, "unban"), {"user_id": bob.user_id})).error(403, "M_BAD_STATE")
    wire.heal()
    await join(carol, room_id)

    for _ in range(2):
        await bob.leave(room_id)

    assert "rooms" not in (await bob.get("sync")).ok()
    assert (await members(carol, room_id))[carol.user_id] == "join"


async def test_an_invite_that_comes_back_badly_signed(alice: Client, wire: Wire) -> None:
    """Nobody is invited, and the inviter is not told that it was their mistake."""
    peer = Peer.on(wire, "peer.test")
    room_id = await alice.create_room()

    def spoilt(asked: Asked, honest: Any) -> Any:
        signatures = {"near.test": {"ed25519:other": "A" * 86}, "peer.test": {"ed25519:x": "A" * 86}}
        return {"event": asked.body["event"] | {"signatures": signatures}}

    peer.lies["invite"] = spoilt
    refused = await alice.post(path("rooms", room_id, "invite"), {"user_id": peer.user()})
    refused.error(502, "M_UNKNOWN")
    assert await members(alice, room_id) == {alice.user_id: "join"}


async def test_who_is_deactivated_rejects_their_invitations(alice: Client, bob: Client, far: Server) -> None:
    """The rooms hear of it, as far as their servers are there."""
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    root = await far.admin()
    (await root.post(f"/_synapse/admin/v1/deactivate/{path(bob.user_id)}", {})).ok()
    assert (await members(alice, room_id))[bob.user_id] == "leave"
    target = path("rooms", room_id, "invite")
    (await alice.post(target, {"user_id": bob.user_id})).error(403, "M_FORBIDDEN")


@pytest.mark.parametrize("version", ("9", "1"))
async def test_an_invite_is_read_by_the_version_of_the_room(
    near: Server, alice: Client, wire: Wire, version: str
) -> None:
    """What the other server says of the version counts for nothing where the room is known."""
    peer = Peer.on(wire, "peer.test")
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    carol = await near.register("carol")
    invite = room.build("m.room.member", peer.user(), {"membership": "invite"}, carol.user_id)
    target = f"/_matrix/federation/v2/invite/{quote(room.room_id)}/{quote(invite.event_id)}"
    body = {"room_version": version, "event": orjson.loads(invite.pdu), "invite_room_state": []}

    assert (await peer.request("near.test", "PUT", target, body)).status == 400
    assert room.room_id not in (await carol.sync()).get("rooms", {}).get("invite", {})

    assert (await peer.request("near.test", "PUT", target, body | {"room_version": "10"})).status == 200
    assert room.room_id in (await carol.sync())["rooms"]["invite"]


async def test_an_invite_that_overtakes_what_was_before_it_waits_for_it(
    near: Server, alice: Client, wire: Wire
) -> None:
    """It is signed, but what the room was before it is not guessed: that would be another room than the inviter's."""
    peer = Peer.on(wire, "peer.test")
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    carol = await near.register("carol")
    topic = room.send("m.room.topic", peer.user(), {"topic": "On its way"}, state_key="")
    invite = room.build("m.room.member", peer.user(), {"membership": "invite"}, carol.user_id)
    target = f"/_matrix/federation/v2/invite/{quote(room.room_id)}/{quote(invite.event_id)}"
    body = {"room_version": "10", "event": orjson.loads(invite.pdu), "invite_room_state": []}

    signed = orjson.loads((await peer.request("near.test", "PUT", target, body)).body)["event"]

    assert "near.test" in signed["signatures"]
    room.put(Event.from_dict(signed, room.version))
    await near.app.services.rooms.accept.accept(peer.name, room.room_id, [room.events[invite.event_id]])
    assert room.room_id in (await carol.sync())["rooms"]["invite"]
    target = f"/_matrix/federation/v1/state_ids/{quote(room.room_id)}?event_id={quote(invite.event_id)}"
    assert topic.event_id in orjson.loads((await peer.request("near.test", "GET", target)).body)["pdu_ids"]
